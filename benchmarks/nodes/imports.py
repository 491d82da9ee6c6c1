"""What `import hamilton_otel` costs in CPU, beside the import of OpenTelemetry's SDK and exporters alone.

Each import is a process of its own, in turns; compiled files are there. Not for what is loaded later.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from .child import ROOT, MeasurementFailed, Progress, clean_environment

PROGRAMS: Final[Mapping[str, str]] = {
    "nothing": "pass",
    "OpenTelemetry": (
        "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics, opentelemetry.sdk._logs;"
        "import opentelemetry.exporter.otlp.proto.http.trace_exporter;"
        "import opentelemetry.exporter.otlp.proto.http.metric_exporter;"
        "import opentelemetry.exporter.otlp.proto.http._log_exporter"
    ),
    "Hamilton": "from hamilton import driver",
    "ours": "import hamilton_otel",
}


def imports(repetitions: int, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Return the median seconds of CPU of each import, and ours as a multiple of OpenTelemetry's.

    Raises MeasurementFailed where one of them fails.
    """
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for program in PROGRAMS.values() if repetitions > 1 else ():
        _seconds(program)  # compiles
    for number in range(repetitions):
        progress(f"imports, {number + 1} of {repetitions}")
        for name, program in PROGRAMS.items():
            seconds[name].append(_seconds(program))
    pairs = zip(seconds["ours"], seconds["OpenTelemetry"], strict=True)
    return {
        "seconds": {name: median(taken) for name, taken in seconds.items()},
        "ratio": median(ours / theirs for ours, theirs in pairs),
    }


def _seconds(program: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=clean_environment())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise MeasurementFailed(f"`{program}` ended with {process.returncode}.")
    return usage.ru_utime + usage.ru_stime
