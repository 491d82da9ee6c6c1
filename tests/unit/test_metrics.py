import pytest
from hamilton_otel.guard import guard
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


def test_swallowed_errors_are_counted(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hamilton.telemetry.errors` says how often we failed without hurting the run."""
    monkeypatch.setattr(guard, "errors", 3)
    MetricsSink(telemetry.meter_provider, heartbeat=15)
    assert list(telemetry.points("hamilton.telemetry.errors").values()) == [3]
