"""Measures Prometheus with the series of many DAGs: ``make bench-prometheus``, or smaller with ``--dags 2 --nodes 5``.

A day of raw series and a month of recorded ones go into blocks of the real Prometheus, which is then asked every
expression of the checkout. A day of all series as they are scraped, every 5 s, is too much to make: so that of a few
DAGs tells what each sample more costs. At last the same series come live. Not for exactness: ``tests/stack`` is.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stack.build import Cache
from stack.progress import build_missing
from stack.recipes import ROOT

from .. import machine
from . import live
from .past import Blocks, Size
from .points import count
from .server import RECORDED, configured

RESULTS: Final = Path(__file__).parents[1] / "results" / "prometheus.json"
SLOW: Final = 1.0
"""An expression that takes longer is listed."""
MANY_SAMPLES: Final = 1_000_000
"""With fewer, an expression does not tell what a sample costs."""
SERVERS: Final = ("collector", "prometheus", "promtool")


def main(
    dags: Annotated[int, typer.Option(min=1, help="DAGs.")] = 200,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of each DAG.")] = 100,
    hours: Annotated[int, typer.Option(min=2, help="Hours of raw series, an even number.")] = 24,
    days: Annotated[int, typer.Option(min=1, help="Days of recorded series.")] = 30,
    interval: Annotated[int, typer.Option(min=1, max=3600, help="Seconds between raw samples.")] = 120,
    dense_dags: Annotated[int, typer.Option("--dense", min=0, help="DAGs to sample as often as in reality.")] = 2,
    live_seconds: Annotated[int, typer.Option("--live", min=0, help="Seconds of live series; 0 leaves them out.")] = 90,
    compact: Annotated[bool, typer.Option(help="Let Prometheus compact the blocks first; takes minutes.")] = True,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Measure, print tables, and write the figures."""
    # So that what was started is stopped then too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console()
    if hours % 2:
        raise typer.BadParameter("Blocks are of two hours, so give an even number.", param_hint="--hours")
    size = Size(dags, nodes, hours, days, interval)
    figures = measure(console, size, dense_dags=dense_dags, live_seconds=live_seconds, compact=compact)
    command = f"python -m benchmarks.prometheus {' '.join(sys.argv[1:])}".strip()
    written = {"machine": machine.describe(), "command": command, "prometheus": version(), **figures}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(rounded(written), indent=2) + "\n")
    show(figures, console)


def measure(console: Console, size: Size, *, dense_dags: int, live_seconds: int, compact: bool) -> dict[str, Any]:
    """Return all figures of that many DAGs and nodes."""
    cache = Cache.default()
    build_missing(cache, SERVERS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    counted = count(size.dags, size.nodes)
    figures: dict[str, Any] = {"series_by_metric": dict(counted.most_common())}
    with (
        tempfile.TemporaryDirectory(prefix="bench-prometheus-") as name,
        Progress(*columns, console=console) as progress,
    ):
        directory = Path(name)
        figures |= Blocks(directory / "blocks", cache, progress, size, compact).measure()
        shutil.rmtree(directory / "blocks")
        if dense_dags:
            dense = replace(size, dags=dense_dags, days=1, interval=configured("scrape_interval"))
            figures["as_scraped"] = Blocks(directory / "dense", cache, progress, dense, compact).measure()
            shutil.rmtree(directory / "dense")
            estimate(figures, figures["as_scraped"])
        if live_seconds:
            task = progress.add_task("Live", total=None)

            def step(text: str) -> None:
                progress.update(task, description=text)

            figures["live"] = live.measure(directory / "live", cache, size, counted.total(), live_seconds, step)
            progress.update(task, total=1, completed=1)
    figures["slow"] = [
        f"{each['source']}: {each['name']}"
        for each in figures["expressions"]
        if each["error"] or max(each["seconds"], each.get("cpu_seconds_as_scraped") or 0) > SLOW
    ]
    return figures


def estimate(figures: dict[str, Any], dense: dict[str, Any]) -> None:
    """Add what the expressions would take over all series if these were sampled as often as in reality.

    It is the processor's time: what was measured, and for each sample more what one costs in the *dense* series.
    """
    costs = [e["cpu_seconds"] / e["samples"] for e in dense["expressions"] if e["samples"] > MANY_SAMPLES]
    if not costs:
        return
    cost = statistics.median(costs)
    more = figures["size"]["interval"] / dense["size"]["interval"] - 1
    for each in figures["expressions"]:
        known = each["error"] is None and each["kind"] != "variable" and RECORDED not in each["asked"]
        each["cpu_seconds_as_scraped"] = each["cpu_seconds"] + each["samples"] * more * cost if known else None
    per_series = dense["blocks"].get("bytes_compacted", dense["blocks"]["raw_bytes"]) / dense["series"]
    dense["nanoseconds_per_sample"] = cost * 1e9
    dense["bytes_per_day_of_all"] = int(per_series * figures["series"] * 24 / dense["size"]["hours"])


def version() -> str:
    """Return the version of Prometheus' module."""
    found = re.search(
        r"github.com/prometheus/prometheus (v\S+)", (ROOT / "stack" / "prometheus" / "go.mod").read_text()
    )
    return found[1] if found else "unknown"


def rounded(value: Any) -> Any:
    """Return figures with as many digits as they are worth."""
    if isinstance(value, float):
        return round(value, 1 if value >= 10 else 4)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def show(figures: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    blocks, memory, dense = figures["blocks"], figures["memory"], figures.get("as_scraped", {})
    table = Table("figure", "value", title=f"{figures['size']['dags']} DAGs of {figures['size']['nodes']} nodes")
    table.add_row("series", f"{figures['series']:,}")
    table.add_row("samples in blocks", f"{blocks['raw_samples']:,}")
    table.add_row("raw blocks", f"{blocks['raw_bytes'] / 2**20:,.0f} MiB")
    table.add_row("recorded blocks", f"{blocks['recorded_bytes'] / 2**20:,.1f} MiB")
    if "bytes_per_day_of_all" in dense:
        table.add_row("a day as it is scraped", f"{dense['bytes_per_day_of_all'] / 2**20:,.0f} MiB")
    for when, used in memory.items():
        table.add_row(f"memory {when.replace('_', ' ')}", f"{used['resident_mib']:,.0f} MiB")
    for name, value in rounded(figures.get("live", {})).items():
        table.add_row(f"live: {name.replace('_', ' ')}", str(value))
    console.print(table)
    title = "Expressions, slowest first; CPU as scraped is estimated"
    table = Table("from", "what", "asked", "seconds", "CPU", "CPU as scraped", "samples", title=title)
    for each in sorted(figures["expressions"], key=lambda each: (each["error"] is None, -each["seconds"])):
        scraped = each.get("cpu_seconds_as_scraped")
        style = "red" if each["error"] else "yellow" if max(each["seconds"], scraped or 0) > SLOW else None
        table.add_row(
            each["source"],
            each["name"] + (f": {each['error']}" if each["error"] else ""),
            each["asked"],
            f"{each['seconds']:.3f}",
            f"{each['cpu_seconds']:.2f}",
            "" if scraped is None else f"{scraped:.2f}",
            f"{each['samples']:,}",
            style=style,
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
