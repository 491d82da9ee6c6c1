"""Shows one run on a terminal: its nodes as a timeline with durations, share of time, rows and outcomes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hamilton_otel import semconv
from hamilton_otel.history import NodeRun, Run

_MARKS = {"success": ("✓", "green"), "failure": ("✗", "bold red"), "cancelled": ("◌", "yellow")}
_TIMELINE = 16
_SLOWEST = 3


def show_run(console: Console, run: Run, directory: Path) -> None:
    """Print *run*, which was read from the store in *directory*."""
    console.print(_heading(run), Text(), _nodes(run), Text(), _slowest(run), *_failure(run), Text(), sep="\n")
    console.print(f"run    {run.id}\ntrace  {run.trace_id}\nfiles  {directory.resolve()}", highlight=False)


def _heading(run: Run) -> Text:
    mark, style = _MARKS.get(run.outcome, ("?", "yellow"))
    return Text.assemble(
        (f"{mark} ", style),
        (f"run {run.dag}", "bold"),
        f"  {_seconds(run.seconds)}  ",
        (run.outcome, style),
        f"  {len(run.nodes)} nodes",
    )


def _nodes(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("node", no_wrap=True, max_width=34)
    table.add_column("timeline", no_wrap=True, min_width=_TIMELINE)
    for number in ("time", "share", "rows"):
        table.add_column(number, justify="right", no_wrap=True, min_width=7)
    for position, node in enumerate(run.nodes):
        mark, style = _MARKS.get(node.outcome, ("?", "yellow"))
        branch = "└─" if position == len(run.nodes) - 1 else "├─"
        rows = node.attributes.get(semconv.RESULT_ROWS)
        table.add_row(
            Text.assemble((f"{branch} ", "dim"), (f"{mark} ", style), node.name),
            _bar(run, node, style),
            _seconds(node.seconds),
            f"{_share(run, node):.0%}",
            f"{rows:,}" if isinstance(rows, int) else "",
        )
    return table


def _bar(run: Run, node: NodeRun, style: str) -> Text:
    """Return the node's part of the run's time as a bar at its place."""
    total = max(run.end - run.start, 1)
    before = min(int((node.start - run.start) / total * _TIMELINE), _TIMELINE - 1)
    length = max(1, round((node.end - node.start) / total * _TIMELINE))
    return Text.assemble(" " * before, ("━" * min(length, _TIMELINE - before), style))


def _slowest(run: Run) -> Text:
    slowest = sorted(run.nodes, key=lambda node: node.seconds, reverse=True)[:_SLOWEST]
    return Text(
        "slowest: " + ", ".join(f"{node.name} {_seconds(node.seconds)} ({_share(run, node):.0%})" for node in slowest)
    )


def _failure(run: Run) -> list[Text]:
    failed = [node for node in run.nodes if node.outcome == "failure"]
    return [
        Text.assemble(
            ("failed: ", "bold red"),
            f"{node.name}: {node.attributes.get(semconv.ERROR_TYPE)} "
            f"({node.attributes.get(semconv.ERROR_KIND)} error), "
            f"{node.attributes.get(semconv.CODE_FILE)}:{node.attributes.get(semconv.CODE_LINE)}",
        )
        for node in failed
    ]


def _share(run: Run, node: NodeRun) -> float:
    return node.seconds / run.seconds if run.seconds else 0.0


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
