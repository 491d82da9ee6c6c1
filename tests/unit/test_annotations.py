import hamilton_otel
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of


def test_annotate_adds_attributes_to_the_running_node(telemetry: CapturedTelemetry) -> None:
    """Attributes given inside a node are on that node's span."""

    def reads(start: int) -> int:
        hamilton_otel.annotate(rows_read=10_000, source=[1, 2])
        return start

    driver_of(reads, adapters=[telemetry.adapter("d")]).execute(["reads"], inputs={"start": 1})
    attributes = telemetry.span("node reads").attributes or {}
    assert attributes["rows_read"] == 10_000
    assert attributes["source"] == "[1, 2]"


def test_a_retry_is_counted_logged_and_marked_on_the_span(telemetry: CapturedTelemetry) -> None:
    """`record_retry()` gives a metric, a log event and a span event for the node that retries."""

    def flaky(start: int) -> int:
        hamilton_otel.record_retry(TimeoutError("slow"))
        hamilton_otel.record_retry(TimeoutError("slow"))
        return start

    driver_of(flaky, adapters=[telemetry.adapter("d")]).execute(["flaky"], inputs={"start": 1})
    key = {"hamilton.dag.name": "d", "hamilton.node.name": "flaky", "error.type": "TimeoutError"}
    assert telemetry.points("hamilton.node.retries") == {frozenset(key.items()): 2}
    assert len(telemetry.events("hamilton.node.retried")) == 2
    assert [event.name for event in telemetry.span("node flaky").events] == ["retry", "retry"]


def test_outside_a_node_nothing_happens() -> None:
    """Both calls are harmless where no node is running."""
    hamilton_otel.annotate(rows=1)
    hamilton_otel.record_retry(ValueError())
