import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from hamilton_otel import process_metrics, semconv
from hamilton_otel.guard import guard
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.unit.conftest import run_python
from tests.unit.test_providers import PIPELINE, free_port

CPU = semconv.PROCESS_CPU_UTILIZATION.name
EXPORTERS = {"OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
SHORT_HEARTBEAT = {"OTEL_METRIC_EXPORT_INTERVAL": "100", **EXPORTERS}
UNTIL = """
from time import monotonic, sleep
def until(question):
    deadline = monotonic() + 20
    while not question():
        assert monotonic() < deadline
        sleep(0.01)
"""
unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor file descriptors")


def points(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Return the attributes and values of each metric that the reader collects now."""
    data = reader.get_metrics_data()
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "value", None)) for point in metric.data.data_points
        ]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def named(reader: InMemoryMetricReader, name: str) -> dict[str, Any]:
    """Return the values of a metric by their only attribute."""
    return {next(iter(attributes.values()), ""): value for attributes, value in points(reader)[name]}


@pytest.fixture
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every question answered anew."""
    monkeypatch.setattr(process_metrics, "_FRESH", 0.0)


@unix
@pytest.mark.usefixtures("always_fresh")
def test_a_process_is_measured_by_the_names_of_the_catalogue() -> None:
    """Each metric is there with its unit and attributes, no other is; utilisation from the second time."""
    reader = InMemoryMetricReader()
    process_metrics.measure(MeterProvider([reader], shutdown_on_exit=False))
    assert set(points(reader)) == set(semconv.PROCESS_METRICS) - {CPU}
    data = reader.get_metrics_data()
    assert data is not None
    scopes = data.resource_metrics[0].scope_metrics
    assert semconv.SCOPE not in {scope.scope.name for scope in scopes}
    found = {metric.name: metric for scope in scopes for metric in scope.metrics}
    assert set(found) == set(semconv.PROCESS_METRICS)
    for name, metric in found.items():
        declared = semconv.PROCESS_METRICS[name]
        assert metric.unit == declared.unit
        for point in metric.data.data_points:
            assert set(point.attributes or {}) == set(declared.attributes)


@unix
@pytest.mark.usefixtures("always_fresh")
def test_the_values_are_those_of_the_system() -> None:
    """CPU time, memory, threads and file descriptors are what psutil says."""
    reader = InMemoryMetricReader()
    process_metrics.measure(MeterProvider([reader], shutdown_on_exit=False))
    process = psutil.Process()
    before = process.cpu_times()
    told = named(reader, "process.cpu.time")
    after = process.cpu_times()
    assert before.user <= told["user"] <= after.user
    assert before.system <= told["system"] <= after.system
    assert named(reader, "process.memory.usage")[""] == pytest.approx(process.memory_info().rss, rel=0.1)
    assert named(reader, "process.thread.count")[""] == process.num_threads()
    assert named(reader, "process.open_file_descriptor.count")[""] == process.num_fds()


def test_readers_that_ask_at_once_get_the_same_answer() -> None:
    """The second reader is not told what happened in the instant since the first one asked."""
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    process_metrics.measure(MeterProvider(readers, shutdown_on_exit=False))
    assert points(readers[0]) == points(readers[1])


@unix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_silent_and_then_tells_of_itself(tmp_path: Path) -> None:
    """A child has no values, least of all its parent's, until it has lived long enough itself."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    process_metrics.measure(provider)
    assert points(reader)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()  # which makes at least two in the parent
    child = os.fork()
    if child == 0:
        silent = points(reader)
        process_metrics.measure(provider)
        (tmp_path / "told").write_text(json.dumps([silent, named(reader, "process.thread.count")[""]]))
        os._exit(0)
    os.waitpid(child, 0)
    done.set()
    thread.join()
    assert json.loads((tmp_path / "told").read_text()) == [{}, 1]


def test_what_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that the system does not give is not there; the others are."""
    monkeypatch.setattr(guard, "reraise", False)
    reader = InMemoryMetricReader()
    process_metrics.measure(MeterProvider([reader], shutdown_on_exit=False))

    def denied(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "num_threads", denied)
    found = points(reader)
    assert "process.thread.count" not in found
    assert "process.memory.usage" in found


def test_a_short_process_has_none_and_loads_nothing_for_it(tmp_path: Path) -> None:
    """Before its first heartbeat a process with runs neither exports what it takes nor has loaded what for."""
    code = """
import sys
hamilton_otel.configure()
run()
hamilton_otel.flush()
print([name for name in sys.modules if "system_metrics" in name or "process_metrics" in name], file=sys.stderr)
"""
    done = run_python(PIPELINE + code, tmp_path, **EXPORTERS)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert '"hamilton.run.starts"' in done.stdout
    assert '"process.cpu' not in done.stdout


def test_a_process_that_lives_longer_is_measured(tmp_path: Path) -> None:
    """After a heartbeat it exports its metrics, once and without a warning, as its own host and process."""
    code = """
hamilton_otel.configure()
import sys
until(lambda: "hamilton_otel.process_metrics" in sys.modules)
hamilton_otel.flush()
"""
    done = run_python(PIPELINE + UNTIL + code, tmp_path, **SHORT_HEARTBEAT)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("process.cpu.time", "process.memory.usage", "process.pid", "host.name"):
        assert f'"{name}"' in done.stdout
    assert '"system.' not in done.stdout
    assert "process.command" not in done.stdout


@unix
def test_a_forked_process_waits_for_a_heartbeat_of_its_own(tmp_path: Path) -> None:
    """A child of a process that is measured is measured too, once it takes part in a run and lives long enough."""
    code = """
import os
hamilton_otel.configure()
from hamilton_otel import providers
(reader,) = providers._installed.ways.readers
def measured():
    return reader._long_lived_from > monotonic() + 3600
until(measured)
if os.fork() == 0:
    try:
        assert not measured()
        providers.ensure_process()
        until(measured)
    except BaseException:
        os._exit(1)
    os._exit(0)
assert os.wait()[1] == 0
"""
    done = run_python(PIPELINE + UNTIL + code, tmp_path, **SHORT_HEARTBEAT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "settings",
    [
        {"HAMILTON_OTEL_PROCESS_METRICS": "false", **SHORT_HEARTBEAT},
        {**SHORT_HEARTBEAT, "OTEL_METRICS_EXPORTER": "local"},
    ],
    ids=["switched off", "local store"],
)
def test_it_can_be_switched_off_and_is_not_for_the_local_store(tmp_path: Path, settings: dict[str, str]) -> None:
    """HAMILTON_OTEL_PROCESS_METRICS=false leaves it out, and so does a process that sends to nobody."""
    code = """
hamilton_otel.configure()
from hamilton_otel import providers
assert [reader.when_long_lived for reader in providers._installed.ways.readers] == [None]
"""
    done = run_python(PIPELINE + code, tmp_path, **settings)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_psutil_the_run_goes_on(tmp_path: Path) -> None:
    """A library that cannot be loaded is one line in the log, and one error counted."""
    code = """
import sys
sys.modules["psutil"] = None
hamilton_otel.configure()
from hamilton_otel.health import health
from hamilton_otel.semconv import TELEMETRY_ERRORS
until(lambda: health.observations(TELEMETRY_ERRORS))
hamilton_otel.flush()
hamilton_otel.flush()
run()
assert [observation.value for observation in health.observations(TELEMETRY_ERRORS)] == [1]
"""
    done = run_python(PIPELINE + UNTIL + code, tmp_path, **SHORT_HEARTBEAT)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "hamilton-otel failed in start of what long-lived processes measure" in line


@unix
def test_a_forked_process_names_itself(tmp_path: Path) -> None:
    """Traces, metrics and logs of a child carry its own number and its own instance, and the parent's host."""
    code = f"""
import json, os
hamilton_otel.configure(endpoint="http://127.0.0.1:{free_port()}", spool="none")
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
def told():
    resources = [trace.get_tracer_provider().resource, get_logger_provider().resource]
    resources.append(metrics.get_meter_provider()._sdk_config.resource)
    keys = ("process.pid", "host.name", "service.instance.id")
    (one,) = {{tuple(resource.attributes[key] for key in keys) for resource in resources}}
    return os.getpid(), *one
parent = told()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, json.dumps(told()).encode())
    os._exit(0)
os.wait()
print(json.dumps([parent, json.loads(os.read(reading, 1000))]))
"""
    done = run_python(PIPELINE + code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (parent_pid, *parent), (child_pid, *child) = json.loads(done.stdout)
    assert (parent[0], child[0]) == (parent_pid, child_pid)
    assert child[1] == parent[1]
    assert child[2] != parent[2]
