"""Secrets in a pipeline, looked for in the real servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stack import Stack
from tests.corpus import SECRETS
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.leaks import MARK

ROOT = Path(__file__).parents[2]
LEAKS = Path(__file__).with_name("leaks.py")


def test_no_secret_is_found_in_the_servers(stack: Stack, tmp_path: Path) -> None:
    """Inputs, results, exceptions, logs and tags full of secrets: none is in Jaeger, Loki, Prometheus or the spool."""
    dag, spool = "leaks", tmp_path / "spool"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
        "OTEL_SERVICE_NAME": dag,
        "HAMILTON_OTEL_LOCAL_STORE": str(tmp_path / "store"),
        "HAMILTON_OTEL_SPOOL": str(spool),
        "HAMILTON_OTEL_EXIT_TIMEOUT": "30",
    }
    command = [sys.executable, str(LEAKS), dag]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    def spans() -> Any:
        found = backends.traces(stack, dag)
        return found if len(found) == len(SECRETS) else None

    def records() -> Any:
        found = backends.logs(stack, f'{{service_name="{dag}"}}')
        return found if len([line for _, line in found if line.startswith(MARK)]) == 2 * len(SECRETS) else None

    def series() -> Any:
        found = backends.prometheus(stack, f'{{hamilton_dag_name="{dag}"}}')
        starts = sum(value for labels, value in found if labels["__name__"] == "hamilton_run_starts_total")
        return found if starts == len(SECRETS) else None

    expect_none("Jaeger", eventually(spans, timeout=40))
    expect_none("Loki", eventually(records, timeout=40))
    expect_none("Prometheus", eventually(series, timeout=40))
    written = [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert any(MARK in text for text in written)
    expect_none("the files", [text.encode().decode("unicode_escape", "replace") for text in written] + written)


def test_no_secret_is_found_in_the_spool(tmp_path: Path) -> None:
    """What waits on disk for a Collector that is down has been redacted before it was written."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "HAMILTON_OTEL_SPOOL": str(tmp_path / "spool"),
        "HAMILTON_OTEL_EXIT_TIMEOUT": "30",
    }
    command = [sys.executable, str(LEAKS), "leaks"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    written = [file.read_text() for file in (tmp_path / "spool").glob("*/*.jsonl")]
    assert len(written) == 3
    expect_none("the spool", [text.encode().decode("unicode_escape", "replace") for text in written] + written)


def expect_none(place: str, content: Any) -> None:
    """Assert that no secret of the corpus is in what a place holds, and that what stood beside it is."""
    text = "\n".join(leaves(content))
    assert MARK in text, place
    assert {entry.kind for entry in SECRETS if entry.secret in text} == set(), place


def leaves(content: Any) -> Iterator[str]:
    """Yield every text in nested data, as it is and without the escapes of JSON in JSON."""
    if isinstance(content, dict):
        yield from leaves(list(content.items()))
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from leaves(item)
    else:
        text = str(content)
        yield text
        yield text.replace("\\\\n", "\n").replace('\\\\"', '"')
