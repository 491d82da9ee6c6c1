from collections.abc import Iterator

import pytest
from hamilton import driver
from hamilton_otel.instrumentor import HamiltonInstrumentor
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import module_of


def number(start: int) -> int:
    return start


@pytest.fixture
def instrumented(telemetry: CapturedTelemetry) -> Iterator[CapturedTelemetry]:
    """Hamilton, instrumented to emit into memory."""
    instrumentor = HamiltonInstrumentor()
    instrumentor.instrument(
        tracer_provider=telemetry.tracer_provider,
        meter_provider=telemetry.meter_provider,
        logger_provider=telemetry.logger_provider,
    )
    yield telemetry
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def test_a_driver_that_never_heard_of_us_is_observed(instrumented: CapturedTelemetry) -> None:
    """A plain driver's run is recorded under the name of its module."""
    module = module_of(number)
    dr = driver.Builder().with_modules(module).build()
    assert dr.execute(["number"], inputs={"start": 1}) == {"number": 1}
    assert [span.name for span in instrumented.spans] == ["node number", f"run {module.__name__}"]


def test_a_driver_built_the_old_way_keeps_its_result(instrumented: CapturedTelemetry) -> None:
    """`Driver(config, module)` still returns its data frame."""
    result = driver.Driver({"start": 1}, module_of(number)).execute(["number"])
    assert result["number"].tolist() == [1]
    assert len(instrumented.spans) == 2


def test_the_dag_can_be_named(instrumented: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """HAMILTON_OTEL_DAG_NAME names the DAG."""
    monkeypatch.setenv("HAMILTON_OTEL_DAG_NAME", "prices")
    driver.Builder().with_modules(module_of(number)).build().execute(["number"], inputs={"start": 1})
    assert instrumented.span("run prices")


def test_a_driver_with_our_adapter_is_not_observed_twice(instrumented: CapturedTelemetry) -> None:
    """Where the adapter is already there, nothing is doubled."""
    dr = driver.Builder().with_modules(module_of(number)).with_adapters(instrumented.adapter("named")).build()
    dr.execute(["number"], inputs={"start": 1})
    assert [span.name for span in instrumented.spans] == ["node number", "run named"]


def test_uninstrument_restores_the_driver(instrumented: CapturedTelemetry) -> None:
    """After `uninstrument()` a new driver is as it always was."""
    HamiltonInstrumentor().uninstrument()
    driver.Builder().with_modules(module_of(number)).build().execute(["number"], inputs={"start": 1})
    assert instrumented.spans == []
