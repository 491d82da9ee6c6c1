from collections.abc import Iterator

import hamilton_otel
import pytest
import stamina
import tenacity
from hamilton_otel.integrations.stamina import RetryHook
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of


@pytest.fixture
def hooked() -> Iterator[None]:
    """Stamina with our hook, and as it was afterwards."""
    stamina.instrumentation.set_on_retry_hooks([RetryHook])
    yield
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.mark.usefixtures("hooked")
def test_staminas_retries_are_counted_for_the_node(telemetry: CapturedTelemetry) -> None:
    """Each retry of stamina inside a node is a metric, a log event and a span event of that node."""
    attempts: list[int] = []

    @stamina.retry(on=ConnectionError, attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)
    def fetch() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("not yet")
        return len(attempts)

    def fetched(start: int) -> int:
        return fetch()

    driver_of(fetched, adapters=[telemetry.adapter("d")]).execute(["fetched"], inputs={"start": 1})
    assert list(telemetry.points("hamilton.node.retries").values()) == [2]
    assert len(telemetry.events("hamilton.node.retried")) == 2
    assert [event.name for event in telemetry.span("node fetched").events] == ["retry", "retry"]


def test_tenacitys_retries_need_one_line(telemetry: CapturedTelemetry) -> None:
    """With tenacity, `before_sleep` hands the error to `record_retry()`."""

    def before_sleep(state: tenacity.RetryCallState) -> None:
        if state.outcome is not None and (error := state.outcome.exception()) is not None:
            hamilton_otel.record_retry(error)

    attempts: list[int] = []

    @tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none(), before_sleep=before_sleep)
    def fetch() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise TimeoutError
        return len(attempts)

    def fetched(start: int) -> int:
        return fetch()

    driver_of(fetched, adapters=[telemetry.adapter("d")]).execute(["fetched"], inputs={"start": 1})
    assert list(telemetry.points("hamilton.node.retries").values()) == [2]
