"""What each form of the harness measures: everything, the quick form, the one of `check`, and a tiny one for tests.

Not for how it is measured (``comparison.py``) nor what it means (``figures.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .comparison import Comparison, Effort, Task
from .graphs import SHAPES, Graph

FIGURE: Final = "figure"
"""The task with the graph of the figures, in each comparison."""
FULL_SIZES: Final = (10, 100, 1_000, 10_000)
CONFIGURATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "all signals": {},
    "all signals, public API": {"HAMILTON_OTEL_FAST_SPANS": "false"},
    "sampled out": {"OTEL_TRACES_SAMPLER": "parentbased_always_off"},
    "metrics only": {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    "disabled": {"OTEL_SDK_DISABLED": "true"},
}
"""The configurations of ours, by the environment variables that make them."""
VARIANTS: Final = ("bare", "no-op", "floor", "ours")


@dataclass(frozen=True)
class Plan:
    """What is measured; *figure* is the graph of the figures, *sizes* those whose cost for a node is compared."""

    name: str
    figure: Graph
    comparisons: Sequence[Comparison]
    sizes: tuple[int, int]
    imports: int = 0
    losses: tuple[int, int] | None = None
    """Nodes and runs."""
    flights: tuple[int, int | None] | None = None
    """Pairs and rows; None: all."""

    @property
    def steps(self) -> int:
        """How often something is told of the progress, about."""
        tasks = sum(len(comparison.tasks) for comparison in self.comparisons)
        return tasks + self.imports + (self.losses or (0, 0))[1] + (self.flights or (0, 0))[0]


def full() -> Plan:
    """Return the plan of everything."""
    figure, main = Graph("diamonds", 500), Effort(12, 16, exported=4_000)
    graphs = [Graph(shape, size) for shape in SHAPES for size in FULL_SIZES]
    table = [Task(str(graph), VARIANTS, [graph], Effort(1.5, 5)) for graph in graphs]
    return _plan("full", figure, main, (100, 10_000), table, imports=15, losses=(10_000, 100), flights=(40, None))


def quick(seconds: float = 2.0) -> Plan:
    """Return the plan of the figures that somebody wants to see after each change; half a minute."""
    figure = Graph("diamonds", 500)
    comparisons = []
    for name, environment in CONFIGURATIONS.items():
        effort = Effort(seconds, 5, exported=1_500 if name.startswith("all signals") else 0)
        comparisons.append(Comparison(name, [Task(FIGURE, VARIANTS, [figure], effort)], environment))
    return Plan("quick", figure, comparisons, (0, 0))


def check() -> Plan:
    """Return the plan of the figures that `check` compares; less than a minute."""
    figure, effort, sizes = Graph("diamonds", 500), Effort(1.5, 5), (100, 4_000)
    tasks = [
        Task(FIGURE, [*VARIANTS, "OpenTelemetryTracer"], [figure], replace(effort, exported=1_000)),
        Task("sizes", ("bare", "floor", "ours"), [Graph("diamonds", size) for size in sizes], effort),
    ]
    others = [
        Comparison(name, [Task(FIGURE, VARIANTS, [figure], effort)], CONFIGURATIONS[name])
        for name in ("all signals, public API", "sampled out", "disabled")
    ]
    return Plan("check", figure, [Comparison("all signals", tasks), *others], sizes, imports=4, losses=(10_000, 3))


def tiny() -> Plan:
    """Return a plan in which everything is there and nothing is worth comparing."""
    figure, once = Graph("diamonds", 10), Effort(0, 1, depths=2, nodes=1, exported=1)
    table = [Task(str(graph), VARIANTS, [graph], once) for graph in (Graph(shape, 10) for shape in SHAPES)]
    return _plan("tiny", figure, once, (10, 20), table, imports=1, losses=(20, 2), flights=(1, 500))


def _plan(
    name: str,
    figure: Graph,
    main: Effort,
    sizes: tuple[int, int],
    table: Sequence[Task],
    *,
    imports: int,
    losses: tuple[int, int],
    flights: tuple[int, int | None],
) -> Plan:
    comparisons = []
    some = replace(main, seconds=main.seconds / 2, passes=max(1, main.passes // 2), exported=0)
    for configuration, environment in CONFIGURATIONS.items():
        tasks = [Task(FIGURE, VARIANTS, [figure], main), *table]
        if configuration == "all signals":
            both = [Graph("diamonds", size) for size in sizes]
            tasks = [
                Task(FIGURE, [*VARIANTS, "OpenTelemetryTracer"], [figure], main),
                Task("sizes", ("bare", "floor", "ours"), both, replace(some, nodes=min(sizes[1], 2_000))),
                Task("threads", ("bare, threads", "floor, threads", "ours, threads"), [figure], some),
                Task("async", ("bare", "bare, async", "floor", "ours, async"), [figure], some),
                Task("busy", ("bare", "floor", "ours"), [replace(both[0], busy=True)], some),
                *table,
            ]
        comparisons.append(Comparison(configuration, tasks, environment))
    unconfigured = Task(FIGURE, ("bare", "no-op", "floor", "unconfigured"), [figure], some)
    comparisons.append(Comparison("unconfigured", [unconfigured]))
    for peer, requires in (("HamiltonTracker", None), ("DDOGTracer", "ddtrace<3")):
        task = Task(FIGURE, [*VARIANTS, peer], [figure], some)
        comparisons.append(Comparison(peer, [task], peer=True, requires=requires))
    return Plan(name, figure, comparisons, sizes, imports, losses, flights)
