"""Writes the README's tables of names (`semconv.py`) and of the figures of `make bench`, and the picture of a run.

`make docs` writes; the tests write the tables into a copy and compare.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hamilton_otel import semconv

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURES = ROOT / "benchmarks" / "results" / "nodes.json"
COSTS = {
    "thread": "every signal, in the thread that executes, against one bare span of OpenTelemetry's SDK a node",
    "process": "the same for the whole process, with encoding and export",
    "OpenTelemetryTracer": "Hamilton's own `OpenTelemetryTracer` (spans alone) against every signal of ours",
    "HamiltonTracker": "`HamiltonTracker` against every signal of ours",
    "DDOGTracer": "Hamilton's `DDOGTracer` against every signal of ours",
    "sampled out": "trace not sampled, metrics exact, against one bare span",
    "disabled": "`OTEL_SDK_DISABLED=true`: a run against one with an adapter of empty hooks",
    "public thread": "where the fast path cannot serve (below), against one bare span",
    "lost": "spans lost of a million, at full speed",
    "flights": "the flights demo through the Collector, against none, wall time",
    "import": "`import hamilton_otel` against importing the SDK and its OTLP exporter",
}
"""Figures that the README shows, and what they compare."""


def tables() -> str:
    """Return the tables of spans, metrics, log events and attributes."""
    spans = [(f"`{name}`", meaning) for name, meaning in semconv.SPANS.items()]
    events = [(f"`{event.name}`", event.level, event.meaning) for event in semconv.EVENTS.values()]
    attributes = [(f"`{name}`", meaning) for name, meaning in semconv.ATTRIBUTES.items()]
    return "\n\n".join(
        (
            "### Spans",
            _table(("span", "what it is"), spans),
            "### Metrics",
            "`hamilton.team` is there where the `team` tag is set; Prometheus adds `job` (the service) and "
            "`deployment_environment_name`.",
            _metrics(semconv.METRICS),
            "### Metrics of processes",
            "What a process takes that has lived longer than a heartbeat. Prometheus adds `job`, `instance`, "
            "`host_name`, `process_pid` and `deployment_environment_name`.",
            _metrics(semconv.PROCESS_METRICS),
            "### Metrics of hosts",
            'What the Collector measures of its host. Prometheus adds `job` (`"host"`), and the host as `instance` and '
            "`host_name`.",
            _metrics(semconv.HOST_METRICS),
            "### Log events",
            _table(("event", "level", "when"), events),
            "### Attributes of spans and log events",
            _table(("attribute", "what it holds"), attributes),
        )
    )


def _metrics(catalogue: Mapping[str, semconv.Metric]) -> str:
    rows = [
        (
            f"`{metric.name}`<br>`{metric.prometheus_name}`",
            metric.kind.replace("_", " ") + (f", `{metric.unit}`" if metric.unit else ""),
            ", ".join(f"`{attribute}`" for attribute in metric.attributes) or "none",
            metric.meaning,
        )
        for metric in catalogue.values()
    ]
    return _table(("metric, and its name in Prometheus", "kind, unit", "attributes", "what it says"), rows)


def costs() -> str:
    """Return the table of the latest figures of `make bench`."""
    figures = json.loads(FIGURES.read_text())["figures"]
    rows = [
        (meaning, f"{figures[name]['value']:,.3g}" if figures[name]["value"] else "0")
        for name, meaning in COSTS.items()
        if name in figures
    ]
    return _table(("what", "figure"), rows)


def readme_with_tables(text: str) -> str:
    """Return the README's *text* with its tables written anew."""
    for name, table in (("schema", tables()), ("costs", costs())):
        begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Write the README's tables, and the picture of the latest run of the demo."""
    README.write_text(readme_with_tables(README.read_text()))
    picture = README.parent / "docs" / "run.svg"
    command = [sys.executable, "-m", "hamilton_otel.cli", "show", "--svg", str(picture)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
