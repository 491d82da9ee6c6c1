import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hamilton_otel import semconv
from hamilton_otel.health import health
from hamilton_otel.limits import Cardinality
from hamilton_otel.metrics import MetricsSink
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of


def good(start: int) -> int:
    return start


def bad(good: int) -> int:
    raise OSError("disk")


def test_runs_and_nodes_are_counted_by_outcome(telemetry: CapturedTelemetry) -> None:
    """Starts, durations and failures of runs and nodes have the attributes of the catalogue, and no more."""
    dr = driver_of(good, bad, adapters=[telemetry.adapter("d", {"team": "ops", "commit": "abc"})])
    dr.execute(["good"], inputs={"start": 1})
    with pytest.raises(OSError, match="disk"):
        dr.execute(["bad"], inputs={"start": 1})
    dag = {("hamilton.dag.name", "d"), ("hamilton.team", "ops")}
    error = {("error.type", "OSError"), ("hamilton.error.kind", "system")}
    success, failure = ("hamilton.outcome", "success"), ("hamilton.outcome", "failure")
    node_good, node_bad = ("hamilton.node.name", "good"), ("hamilton.node.name", "bad")
    assert telemetry.points("hamilton.run.starts") == {frozenset(dag): 2}
    assert telemetry.points("hamilton.run.duration") == {frozenset({*dag, success}): 1, frozenset({*dag, failure}): 1}
    assert telemetry.points("hamilton.run.failures") == {frozenset(dag | error): 1}
    assert telemetry.points("hamilton.node.duration") == {
        frozenset({*dag, node_good, success}): 2,
        frozenset({*dag, node_bad, failure}): 1,
    }
    assert telemetry.points("hamilton.node.failures") == {frozenset({*dag, node_bad} | error): 1}


def test_a_young_process_shows_no_gauges(telemetry: CapturedTelemetry) -> None:
    """A process that has not lived for one heartbeat adds no series of runs in progress."""
    driver_of(good, adapters=[telemetry.adapter("d")]).execute(["good"], inputs={"start": 1})
    assert telemetry.points("hamilton.run.active") == {}


def test_a_process_that_lives_shows_its_runs_in_progress(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a heartbeat, runs in progress and the oldest start are seen; after the run the count is back at 0."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    seen: list[dict[frozenset[tuple[str, object]], float]] = []

    def looks(start: int) -> int:
        seen.append(telemetry.points("hamilton.run.active"))
        seen.append(telemetry.points("hamilton.run.oldest_start.time"))
        return start

    dr = driver_of(looks, adapters=[telemetry.adapter("d")])
    dr.execute(["looks"], inputs={"start": 1})
    dr.execute(["looks"], inputs={"start": 1})
    key = frozenset({("hamilton.dag.name", "d")})
    active, oldest = seen[-2:]
    assert active == {key: 1}
    assert oldest[key] > 1_700_000_000
    assert telemetry.points("hamilton.run.active") == {key: 0}


@pytest.fixture
def counted_anew() -> None:
    """Totals of our own telemetry that begin at zero."""
    health.reset()


@pytest.mark.usefixtures("counted_anew")
def test_what_our_own_telemetry_does_is_exported(telemetry: CapturedTelemetry) -> None:
    """Every total of `health.py` is an instrument: swallowed errors, what was dropped, and so on."""
    MetricsSink(telemetry.meter_provider, heartbeat=15, cardinality_limit=2_000)
    health.count(semconv.TELEMETRY_ERRORS, 3)
    for metric in semconv.TELEMETRY_METRICS[1:]:
        health.count(metric, 2, dict.fromkeys(metric.attributes, "x"))
    assert telemetry.points("hamilton.telemetry.errors") == {frozenset(): 3}
    for metric in semconv.TELEMETRY_METRICS[1:]:
        assert telemetry.points(metric.name) == {frozenset((name, "x") for name in metric.attributes): 2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.usefixtures("counted_anew")
def test_a_forked_process_counts_its_own(tmp_path: Path) -> None:
    """What the parent's telemetry did is not told by its children as well."""
    health.count(semconv.TELEMETRY_ERRORS)
    child = multiprocessing.get_context("fork").Process(target=_write_errors, args=(tmp_path / "errors",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(30)
    assert (tmp_path / "errors").read_text() == "[]"
    assert len(health.observations(semconv.TELEMETRY_ERRORS)) == 1


def _write_errors(file: Path) -> None:
    file.write_text(str(health.observations(semconv.TELEMETRY_ERRORS)))


@pytest.mark.usefixtures("counted_anew")
def test_attribute_sets_are_bounded_and_sums_stay_exact(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 5 teams, 2 have series of their own and 3 share the overflow set: the limit is 3 series, no count is lost."""
    monkeypatch.setenv("HAMILTON_OTEL_CARDINALITY_LIMIT", "3")
    for team in ("a", "b", "c", "d", "e"):
        dr = driver_of(good, adapters=[telemetry.adapter("dag", {"team": team})])
        for _ in range(2):
            dr.execute(["good"], inputs={"start": 1})
    for metric in ("hamilton.run.starts", "hamilton.run.duration", "hamilton.node.duration"):
        points = telemetry.points(metric)
        assert sum(points.values()) == 10
        assert len(points) == 3
        assert points[frozenset({("otel.metric.overflow", True)})] == 6
    overflowed = telemetry.points("hamilton.telemetry.overflowed")
    assert overflowed[frozenset({("hamilton.telemetry.instrument", "hamilton.run.starts")})] == 6
    assert overflowed[frozenset({("hamilton.telemetry.instrument", "hamilton.node.duration")})] == 6


def test_the_gauges_are_bounded_too(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in progress of teams beyond the limit are counted together, and taken off again when they end."""
    monkeypatch.setenv("HAMILTON_OTEL_CARDINALITY_LIMIT", "2")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    seen: list[dict[frozenset[tuple[str, object]], float]] = []

    def inner(start: int) -> int:
        seen.append(telemetry.points("hamilton.run.active"))
        return start

    def middle(start: int) -> int:
        dr = driver_of(inner, adapters=[telemetry.adapter("dag", {"team": "c"})])
        return int(dr.execute(["inner"], inputs={"start": start})["inner"])

    def outer(start: int) -> int:
        dr = driver_of(middle, adapters=[telemetry.adapter("dag", {"team": "b"})])
        return int(dr.execute(["middle"], inputs={"start": start})["middle"])

    driver_of(outer, adapters=[telemetry.adapter("dag", {"team": "a"})]).execute(["outer"], inputs={"start": 1})
    own = frozenset({("hamilton.dag.name", "dag"), ("hamilton.team", "a")})
    overflow = frozenset({("otel.metric.overflow", True)})
    assert seen == [{own: 1, overflow: 2}]
    assert telemetry.points("hamilton.run.active") == {own: 0, overflow: 0}


def test_threads_do_not_exceed_the_limit() -> None:
    """Whoever asks at the same time, one series less than the limit is admitted: the last is the overflow's."""
    cardinality = Cardinality(semconv.RUN_STARTS, 100)
    with ThreadPoolExecutor(8) as threads:
        admitted = list(threads.map(cardinality.admits, [n % 500 for n in range(5_000)]))
    assert sum(number in cardinality for number in range(500)) == 99
    assert not all(admitted)
