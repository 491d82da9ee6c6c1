"""A pipeline that lets every secret of the corpus out wherever it can: `python leaks.py DAG`.

Values are allowed, so that inputs and results are looked at too; what this sends where is up to the environment.
"""

import logging
import sys
from typing import Any

import hamilton_otel
import structlog
from hamilton import ad_hoc_utils, driver
from hamilton_otel import CapturePolicy

from tests.corpus import SECRETS

MARK = "harmless-text-beside-it"


def talks(given: str) -> Any:
    text = f"{MARK} {given}"
    structlog.get_logger().warning(text, field=text, nested={"list": [text, {"deep": text}]})
    logging.getLogger("user").warning("%s", text, extra={"extra": text})
    hamilton_otel.annotate(note=text, mapping={"a": text})
    hamilton_otel.record_retry(ConnectionError(text))
    return {"result": text, "results": [text]}


def fails(talks: Any, given: str) -> Any:
    try:
        raise ValueError(f"{MARK} {given}")
    except ValueError as error:
        raise RuntimeError(f"{MARK} {given}") from error


def main(dag: str) -> None:
    hamilton_otel.configure(capture=CapturePolicy(values=True))
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    logging.getLogger().addHandler(logging.NullHandler())
    module = ad_hoc_utils.create_temporary_module(talks, fails)
    for entry in SECRETS:
        tags = {"team": f"{MARK} {entry.text}", "note": entry.text}
        adapter = hamilton_otel.TelemetryAdapter(dag, tags=tags)
        dr = driver.Builder().with_modules(module).with_adapters(adapter).build()
        try:
            dr.execute(["fails"], inputs={"given": entry.text})
        except RuntimeError:
            continue


if __name__ == "__main__":
    main(sys.argv[1])
