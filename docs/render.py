"""Writes what the README shows from the code: the tables of names (`semconv.py`) and the picture of a run.

`make docs` writes; the tests call `tables()` and compare.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hamilton_otel import semconv

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- schema: written by make docs -->", "<!-- end of schema -->"


def tables() -> str:
    """Return the tables of spans, metrics, log events and attributes."""
    spans = [(f"`{name}`", meaning) for name, meaning in semconv.SPANS.items()]
    metrics = [
        (
            f"`{metric.name}`<br>`{metric.prometheus_name}`",
            f"{metric.kind.replace('_', ' ')}, `{metric.unit}`",
            ", ".join(f"`{attribute}`" for attribute in metric.attributes) or "none",
            metric.meaning,
        )
        for metric in semconv.METRICS.values()
    ]
    events = [(f"`{event.name}`", event.level, event.meaning) for event in semconv.EVENTS.values()]
    attributes = [(f"`{name}`", meaning) for name, meaning in semconv.ATTRIBUTES.items()]
    return "\n\n".join(
        (
            "### Spans",
            _table(("span", "what it is"), spans),
            "### Metrics",
            "`hamilton.team` is there where the `team` tag is set; Prometheus adds `job` (the service) and "
            "`deployment_environment_name`.",
            _table(("metric, and its name in Prometheus", "kind, unit", "attributes", "what it says"), metrics),
            "### Log events",
            _table(("event", "level", "when"), events),
            "### Attributes of spans and log events",
            _table(("attribute", "what it holds"), attributes),
        )
    )


def readme_with_tables(text: str) -> str:
    """Return the README's *text* with its schema section written anew."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


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
