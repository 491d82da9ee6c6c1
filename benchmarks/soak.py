"""Executes a million nodes with every signal on, and fails where memory grows after the first tenth.

``make soak``; one run of a huge graph: ``python -m benchmarks.soak --executions 100000 --nodes 100000``. Telemetry goes
to a local store in a temporary directory, or to an endpoint. Not for the cost of a single node.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import hamilton_otel
import psutil
import typer
from hamilton import ad_hoc_utils, driver
from hamilton_otel import semconv
from hamilton_otel.health import health
from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import machine

RESULTS = Path(__file__).parent / "results" / "soak.json"
WARM = 0.1
"""Part of the runs in which memory may grow: caches fill, the allocator settles. Growth is from the mean of the next
such part to the highest that follows, so that an early peak hides nothing."""


@dataclass(frozen=True)
class Figures:
    """What was measured. Memory in MiB, times in seconds of CPU; ``bare`` is the same without telemetry."""

    runs: int
    nodes: int
    executions: int
    memory_at_start: float
    memory_when_warm: float
    memory_at_most: float
    memory_at_end: float
    growth: float
    bare_seconds: float
    seconds: float
    wall_seconds: float
    microseconds_per_node: float
    delivered: bool
    dropped: float
    own_errors: float


def main(
    executions: Annotated[int, typer.Option(min=1, help="Nodes to execute, of all runs.")] = 1_000_000,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of the graph.")] = 1_000,
    growth: Annotated[float, typer.Option(min=0, help="Part by which memory may grow once it is warm.")] = 0.05,
    endpoint: Annotated[str | None, typer.Option(help="Where telemetry goes; default: a temporary directory.")] = None,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Execute many nodes, show what that took, and fail where memory grew."""
    console = Console()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        hamilton_otel.configure(
            profile="ci",
            service_name="soak",
            endpoint=endpoint,
            local_store=None if endpoint else directory,
            spool=Path(directory, "spool"),
        )
        figures = measure(max(1, executions // nodes), nodes, console)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"machine": machine.describe(), "figures": asdict(figures)}, indent=2) + "\n")
    _show(figures, console)
    if figures.growth > growth:
        console.print(f"Memory grew by {figures.growth:.1%} once it was warm; {growth:.0%} are allowed.", style="red")
        raise typer.Exit(1)


def measure(runs: int, nodes: int, console: Console) -> Figures:
    """Return the figures of *runs* runs of a graph of *nodes* nodes."""
    module = ad_hoc_utils.create_temporary_module(*_functions(nodes))
    outputs = [f"node_{number}" for number in range(nodes)]
    bare = driver.Builder().with_modules(module).build()
    expected = bare.execute(outputs)
    bare_seconds = _seconds(lambda: bare.execute(outputs))
    adapter = hamilton_otel.TelemetryAdapter("soak", tags={"team": "benchmarks"})
    observed = driver.Builder().with_modules(module).with_adapters(adapter).build()
    process = psutil.Process()
    start = process.memory_info().rss
    memory: list[int] = []
    seconds, begin = 0.0, time.perf_counter()
    for number in track(range(runs), description=f"{runs} runs of {nodes} nodes", console=console):
        with hamilton_otel.run_tags(number=number):
            seconds += _seconds(lambda: _check(observed.execute(outputs), expected))
        memory.append(process.memory_info().rss)
    delivered = hamilton_otel.flush(60.0)
    tenth = max(1, int(runs * WARM))
    warm, end = fmean(memory[tenth : 2 * tenth] or memory), fmean(memory[-tenth:])
    most = max(memory[tenth:] or memory)
    return Figures(
        runs=runs,
        nodes=nodes,
        executions=runs * nodes,
        memory_at_start=start / 2**20,
        memory_when_warm=warm / 2**20,
        memory_at_most=most / 2**20,
        memory_at_end=end / 2**20,
        growth=most / warm - 1,
        bare_seconds=bare_seconds * runs,
        seconds=seconds,
        wall_seconds=time.perf_counter() - begin,
        microseconds_per_node=(seconds / runs - bare_seconds) / nodes * 1e6,
        delivered=delivered,
        dropped=_total(semconv.TELEMETRY_DROPPED),
        own_errors=_total(semconv.TELEMETRY_ERRORS),
    )


def _functions(count: int) -> Iterator[Callable[..., int]]:
    """Yield the functions of a graph in which each node reads the one before, in chains of ten."""
    for number in range(count):
        parameters = "" if number % 10 == 0 else f"node_{number - 1}: int"
        value = "1" if number % 10 == 0 else f"node_{number - 1} + 1"
        namespace: dict[str, Any] = {}
        exec(f"def node_{number}({parameters}) -> int:\n    return {value}\n", namespace)
        yield namespace[f"node_{number}"]


def _check(result: dict[str, Any], expected: dict[str, Any]) -> None:
    if result != expected:
        raise AssertionError("The observed run's result is not that of the bare run.")


def _seconds(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin


def _total(metric: semconv.Metric) -> float:
    return float(sum(observation.value for observation in health.observations(metric)))


def _show(figures: Figures, console: Console) -> None:
    table = Table("figure", "value", title="Soak")
    for name, value in asdict(figures).items():
        text = f"{value:.1%}" if name == "growth" else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(name.replace("_", " "), str(value) if isinstance(value, bool) else text)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
