"""What many DAGs have in Prometheus: every metric of the catalogue with the attributes that it would carry.

Not for files or servers. Histograms have all their buckets, because the Collector exposes all of them. How often a
metric occurs is an assumption, and stands in ``_USES`` and ``_VALUES``; one that is not named there occurs in every
DAG, and at every node where it has a node's name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from hamilton_otel import semconv
from hamilton_otel.semconv import Metric

ENVIRONMENT: Final = "production"
PERIOD: Final = 300
"""Seconds from one run of a DAG to its next."""
PHASES: Final = 5
"""At how many different times within the period DAGs start."""
DAGS_PER_SERVICE: Final = 10
TEAMS: Final = 10
TASKS: Final = ("expand", "chunk", "collect")
FAILURES: Final = 0.01
"""Part of the runs in which a node fails that can fail."""
FRAGILE: Final = 20
"""Every so many nodes there is one that can fail."""
_BELOW: Final = 0.7
"""Part of the measurements in the bucket where most are; the others lie in the next."""


@dataclass(frozen=True, slots=True)
class _Use:
    """Where a metric occurs: in every so many DAGs, from the given one on, and there at every so many nodes."""

    dags: int = 1
    first: int = 0
    nodes: int = 1


_CACHED, _PARALLEL = _Use(dags=4), _Use(dags=4, first=1)
_USES: Final = {
    semconv.NODE_FAILURES: _Use(nodes=FRAGILE),
    semconv.NODE_RETRIES: _Use(nodes=FRAGILE),
    semconv.CACHE_LOOKUPS: _CACHED,
    semconv.CACHE_STORES: _CACHED,
    semconv.RUN_RESUMES: _CACHED,
    semconv.TASK_DURATIONS: _PARALLEL,
    semconv.TASK_WAITS: _PARALLEL,
    semconv.TASK_ACTIVE: _PARALLEL,
    semconv.TASK_PENDING: _PARALLEL,
    semconv.FANOUT_SIZES: _Use(dags=4, first=1, nodes=1_000_000),
}
_VALUES: Final = {
    semconv.ERROR_TYPE: {"ValueError": FAILURES},
    semconv.ERROR_KIND: {"user": 1.0},
    semconv.CACHE_RESULT: {"hit": 0.75, "miss": 0.25},
    semconv.SIGNAL: {"traces": 1.0, "metrics": 1.0, "logs": 1.0},
}
"""Values of attributes, each with the part of the runs that has it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One set of attributes of a metric: how often a run adds to it, and the bucket where most measurements are."""

    metric: Metric
    dag: int
    attributes: dict[str, str]
    share: float
    bucket: int

    @property
    def service(self) -> str:
        """Return what Prometheus calls the job."""
        return f"pipelines-{self.dag // DAGS_PER_SERVICE:02}"

    @property
    def phase(self) -> int:
        """Return when the DAG starts within the period, in seconds."""
        return self.dag % PHASES * (PERIOD // PHASES)


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its name, and the part of the runs that it counts; ``scale`` is what each of them adds."""

    name: str
    labels: dict[str, str]
    share: float
    scale: float | None = None


def points(dags: int, nodes: int) -> Iterator[Point]:
    """Yield every point of that many DAGs, metric by metric."""
    for metric in semconv.METRICS.values():
        use = _USES.get(metric, _Use())
        of_dags = semconv.DAG_NAME in metric.attributes
        for dag in range(use.first if of_dags else 0, dags, use.dags if of_dags else DAGS_PER_SERVICE):
            yield from _points_of(metric, dag, range(0, nodes, use.nodes))


def _points_of(metric: Metric, dag: int, nodes: range) -> Iterator[Point]:
    own: dict[str, str] = {}
    if semconv.DAG_NAME in metric.attributes:
        own = {semconv.DAG_NAME: dag_name(dag), semconv.TEAM: f"team-{dag % TEAMS}"}
    names: Iterator[tuple[int, dict[str, str]]] = iter([(0, {})])
    if semconv.NODE_NAME in metric.attributes:
        names = ((node, {semconv.NODE_NAME: node_name(node)}) for node in nodes)
    elif semconv.TASK_NAME in metric.attributes:
        names = ((task, {semconv.TASK_NAME: name}) for task, name in enumerate(TASKS))
    named = (semconv.DAG_NAME, semconv.TEAM, semconv.NODE_NAME, semconv.TASK_NAME)
    others = [attribute for attribute in metric.attributes if attribute not in named]
    for number, name in names:
        for values in itertools.product(*(_values(attribute, number).items() for attribute in others)):
            attributes = {attribute: value for attribute, (value, _) in zip(others, values, strict=True)}
            share = prod(part for _, part in values)
            bucket = (number * 7 + dag) % len(metric.boundaries or (0,))
            yield Point(metric, dag, {**own, **name, **attributes}, share, bucket)


def _values(attribute: str, number: int) -> dict[str, float]:
    if attribute == semconv.OUTCOME:
        return {"success": 1.0} | ({"failure": FAILURES} if number % FRAGILE == 0 else {})
    return _VALUES.get(attribute, {"value": 1.0})


def series(point: Point) -> Iterator[Series]:
    """Yield the series that Prometheus has of a point; ``job``, ``instance`` and the environment are not among them."""
    name = point.metric.prometheus_name
    labels = {attribute.replace(".", "_"): value for attribute, value in point.attributes.items()}
    if point.metric.kind != "histogram":
        yield Series(name, labels, point.share)
        return
    for number, bound in enumerate((*(point.metric.boundaries or ()), float("inf"))):
        part = 0.0 if number < point.bucket else _BELOW if number == point.bucket else 1.0
        le = "+Inf" if bound == float("inf") else str(float(bound))
        yield Series(f"{name}_bucket", {**labels, "le": le}, point.share * part)
    yield Series(f"{name}_sum", labels, point.share, scale=typical(point))
    yield Series(f"{name}_count", labels, point.share)


def typical(point: Point) -> float:
    """Return what most measurements of a histogram's point are, with as many digits as real ones have."""
    return (point.metric.boundaries or (0.0,))[point.bucket] * 0.912345678901


def count(dags: int, nodes: int) -> Counter[str]:
    """Return how many series each metric has."""
    counted: Counter[str] = Counter()
    for point in points(dags, nodes):
        histogram = point.metric.kind == "histogram"
        counted[point.metric.prometheus_name] += len(point.metric.boundaries or ()) + 3 if histogram else 1
    return counted


def dag_name(number: int) -> str:
    """Return the name of a DAG."""
    return f"dag_{number:03}"


def node_name(number: int) -> str:
    """Return the name of a node."""
    return f"node_{number:03}"
