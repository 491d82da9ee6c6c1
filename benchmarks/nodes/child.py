"""Runs one measurement in a process of its own, which gets its instructions as JSON and answers in JSON lines.

``ask`` is for the process that wants to know, ``main`` for the one that measures. Not for what is measured.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .receiver import receiving

ROOT: Final = Path(__file__).parents[2]
Progress = Callable[[str], object]


class MeasurementFailed(Exception):
    """A process that was to measure has not; the message ends in what it said last."""


def ask(
    module: str,
    instructions: Mapping[str, Any],
    progress: Progress = lambda _: None,
    *,
    launcher: Sequence[str] = (),
    extensions: bool = False,
    replay: bool = False,
) -> dict[str, Any]:
    """Return what ``measure`` in *module* of this package says to *instructions*, in a new process with a receiver.

    The instructions get ``url``, the receiver's, and ``directory``, for files. *launcher* is put before the command.
    Without *extensions* Hamilton does not load pandas and the like. With *replay* our spool is delivered afterwards.
    The answer has what ``arrived``, before and after that. Raises MeasurementFailed where the process fails.
    """
    with receiving() as receiver, tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as said:
        given = json.dumps({**instructions, "url": receiver.url, "directory": directory})
        environment = {**clean_environment(), "XDG_STATE_HOME": directory, "PYTHONHASHSEED": "0"}
        if not extensions:
            environment["HAMILTON_AUTOLOAD_EXTENSIONS"] = "0"
        process = subprocess.Popen(
            [*launcher, sys.executable if not launcher else "python", "-m", __name__, module, given],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        assert process.stdout is not None
        answer: dict[str, Any] | None = None
        with process:
            for line in process.stdout:
                message = json.loads(line)
                if "progress" in message:
                    progress(message["progress"])
                else:
                    answer = message
        if process.returncode or answer is None:
            said.seek(0)
            raise MeasurementFailed(f"{module} ended with {process.returncode}: {said.read()[-2_000:].strip()}")
        before = after = receiver.spans()
        if replay:
            command = [sys.executable, "-m", "hamilton_otel.cli", "replay"]
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"{receiver.url}/ours"
            subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
            after = receiver.spans()
        if after.pop("unreadable"):
            raise MeasurementFailed(f"{module} has sent what the receiver cannot read.")
        return {**answer, "arrived": after, "arrived_without_replay": before}


def clean_environment() -> dict[str, str]:
    """Return this process' environment without settings of OpenTelemetry and ours, and without Hamilton's telemetry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HAMILTON_OTEL_"))}
    return {**kept, "HAMILTON_TELEMETRY_ENABLED": "false"}


def main(module: str, instructions: str) -> None:
    """Measure and print the answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an adapter or a pipeline prints is not for our reader

    def tell(message: Mapping[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    measure = importlib.import_module(f"{__package__}.{module}").measure
    tell(measure(json.loads(instructions), lambda what: tell({"progress": what})))


if __name__ == "__main__":
    main(*sys.argv[1:])
