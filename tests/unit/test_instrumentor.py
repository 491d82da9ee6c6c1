import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hamilton import async_driver, driver
from hamilton.execution.executors import MultiThreadingExecutor
from hamilton_otel import auto_instrumentation
from hamilton_otel.instrumentor import HamiltonInstrumentor
from hamilton_otel.testing import CapturedTelemetry

from tests.unit import parallel_dag
from tests.unit.conftest import module_of
from tests.unit.test_executors import TREE
from tests.unit.trees import from_memory, tree


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


def test_a_task_based_driver_is_observed_whole(
    instrumented: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver with an executor gives the same tree as with the adapter."""
    monkeypatch.setenv("HAMILTON_OTEL_DAG_NAME", "parallel")
    dr = (
        driver.Builder()
        .with_modules(parallel_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(MultiThreadingExecutor(3))
        .build()
    )
    assert dr.execute(["total"], inputs={"start": 3}) == {"total": 8}
    assert tree(from_memory(instrumented.spans)) == TREE


def test_an_async_driver_is_observed(instrumented: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An async driver that never heard of us has spans around its bodies; with our adapters nothing is doubled."""
    monkeypatch.setenv("HAMILTON_OTEL_DAG_NAME", "flow")

    async def main(*adapters: Any) -> None:
        builder = async_driver.Builder().with_modules(module_of(number))
        dr = await (builder.with_adapters(*adapters) if adapters else builder).build()
        assert await dr.execute(["number"], inputs={"start": 1}) == {"number": 1}

    asyncio.run(main())
    assert tree(from_memory(instrumented.spans)) == ["run flow", "run flow > node number"]
    asyncio.run(main(*instrumented.async_adapters("named")))
    assert sorted(span.name for span in instrumented.spans) == ["node number", "node number", "run flow", "run named"]


SCRIPT = """
from hamilton import driver
import numbers_module
print(driver.Builder().with_modules(numbers_module).build().execute(["number"], inputs={"start": 1}))
"""


def test_the_stock_distribution_observes_a_script(tmp_path: Path) -> None:
    """Under `opentelemetry-instrument` a script that never heard of us gives our spans and metrics, not its host's."""
    (tmp_path / "pipeline.py").write_text(SCRIPT)
    (tmp_path / "numbers_module.py").write_text("def number(start: int) -> int:\n    return start\n")
    exporters = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "pipeline.py"],
        cwd=tmp_path,
        env={**os.environ, **exporters, "OTEL_SERVICE_NAME": "stock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "{'number': 1}" in done.stdout
    for name in ("run numbers_module", "node number", "hamilton.run.starts", "hamilton.run.completed"):
        assert f'"{name}"' in done.stdout
    assert '"system.' not in done.stdout


def test_the_stock_distribution_does_not_measure_the_host_because_of_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's metrics are excluded while it instruments, unless the environment says something of them."""
    monkeypatch.delenv(auto_instrumentation.EXCLUDED, raising=False)
    auto_instrumentation.before()
    assert os.environ[auto_instrumentation.EXCLUDED] == "*"
    auto_instrumentation.after()
    assert auto_instrumentation.EXCLUDED not in os.environ
    monkeypatch.setenv(auto_instrumentation.EXCLUDED, "none")
    auto_instrumentation.before()
    auto_instrumentation.after()
    assert os.environ[auto_instrumentation.EXCLUDED] == "none"
