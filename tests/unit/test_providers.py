"""`configure()` changes the whole process, so each of these runs a process of its own."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import perf_counter

import pytest
from hamilton_otel.history import open_store
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.unit.conftest import run_python

PIPELINE = """
from hamilton import ad_hoc_utils, driver
import hamilton_otel

def number(start: int) -> int:
    return start

def run(times: int = 1) -> None:
    module = ad_hoc_utils.create_temporary_module(number)
    dr = driver.Builder().with_modules(module).with_adapters(hamilton_otel.TelemetryAdapter("d")).build()
    for _ in range(times):
        assert dr.execute(["number"], inputs={"start": 1}) == {"number": 1}
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_an_endpoint_the_local_store_holds_the_run(tmp_path: Path) -> None:
    """A process that configures nothing but us leaves its run as OTLP JSON lines, and prints nothing."""
    done = run_python(PIPELINE + "hamilton_otel.configure(); run()", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = open_store(tmp_path / ".hamilton-otel").run("latest")
    assert (found.dag, found.outcome, [node.name for node in found.nodes]) == ("d", "success", ["number"])
    (metrics,) = (tmp_path / ".hamilton-otel" / "metrics").glob("*.jsonl")
    names = {
        metric["name"]: metric
        for line in metrics.read_text().splitlines()
        for resource in json.loads(line)["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    }
    assert names["hamilton.run.starts"]["sum"]["aggregationTemporality"] == 1  # delta
    assert "hamilton.run.active" not in names


def test_configure_alone_leaves_nothing_and_connects_nowhere(tmp_path: Path) -> None:
    """`configure()` opens no connection and writes no file."""
    code = """
import socket
def refuse(*arguments): raise AssertionError("a connection was opened")
socket.socket.connect = refuse
import hamilton_otel
hamilton_otel.configure(endpoint="http://127.0.0.1:9", local_store="store")
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "store").iterdir()] == []


def test_an_unreachable_endpoint_is_said_once_and_exit_is_bounded(tmp_path: Path) -> None:
    """With nothing listening, a process says so in one line and ends within its exit budget."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    begin = perf_counter()
    baseline = run_python(PIPELINE + "run(20)", tmp_path)
    without = perf_counter() - begin
    begin = perf_counter()
    done = run_python(PIPELINE + f"hamilton_otel.configure(endpoint={endpoint!r}, exit_timeout=1); run(20)", tmp_path)
    assert perf_counter() - begin < without + 1 + 4  # the budget, and the import of exporters on a loaded machine
    assert (baseline.returncode, done.returncode) == (0, 0)
    (line,) = done.stderr.splitlines()
    assert endpoint in line
    assert "Connection refused" in line
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in line


def test_wrong_settings_raise_in_dev_and_are_logged_in_prod(tmp_path: Path) -> None:
    """One sentence that names the setting: raised by `configure()` in dev, logged in prod, where the run goes on."""
    wrong = {"OTEL_BSP_MAX_QUEUE_SIZE": "lots", "HAMILTON_OTEL_LOCAL_STORE": str(tmp_path / "store")}
    refused = run_python(PIPELINE + "hamilton_otel.configure()", tmp_path, **wrong)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("hamilton_otel.settings.SettingsError: OTEL_BSP_MAX_QUEUE_SIZE")
    accepted = run_python(PIPELINE + "hamilton_otel.configure(profile='prod'); run()", tmp_path, **wrong)
    assert accepted.returncode == 0
    (line,) = accepted.stderr.splitlines()
    assert line.startswith("OTEL_BSP_MAX_QUEUE_SIZE is 'lots'")
    assert open_store(tmp_path / "store").run("latest").outcome == "success"


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_an_unwritable_local_store_is_said_at_configure_time(tmp_path: Path, profile: str) -> None:
    """A store that cannot be written is one sentence naming it; in prod the run goes on without."""
    (tmp_path / "occupied").write_text("a file")
    done = run_python(
        PIPELINE + f"hamilton_otel.configure(profile={profile!r}, local_store='occupied/store'); run()", tmp_path
    )
    assert done.returncode == (1 if profile == "dev" else 0)
    store = tmp_path / "occupied" / "store"
    assert f"HAMILTON_OTEL_LOCAL_STORE is '{store}', which cannot be written" in done.stderr.splitlines()[-1]


def test_providers_of_the_application_are_used_as_they_are(tmp_path: Path) -> None:
    """What the application has set is neither replaced nor copied."""
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
hamilton_otel.configure()
run()
assert trace.get_tracer_provider() is provider
assert [span.name for span in spans.get_finished_spans()] == ["node number", "run d"]
"""
    done = run_python(PIPELINE + code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / ".hamilton-otel" / "traces").exists()


def test_a_disabled_sdk_does_nothing(tmp_path: Path) -> None:
    """OTEL_SDK_DISABLED=true leaves no file and no provider."""
    done = run_python(PIPELINE + "hamilton_otel.configure(); run()", tmp_path, OTEL_SDK_DISABLED="true")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / ".hamilton-otel").exists()


def test_an_unknown_exporter_is_one_sentence(tmp_path: Path) -> None:
    """A name in OTEL_<SIGNAL>_EXPORTER that is not installed is refused with the mend."""
    done = run_python(PIPELINE + "hamilton_otel.configure()", tmp_path, OTEL_TRACES_EXPORTER="zipkin")
    assert "OTEL_TRACES_EXPORTER names 'zipkin', which is not installed" in done.stderr.splitlines()[-1]


def test_prometheus_scrapes_a_long_lived_process(tmp_path: Path) -> None:
    """OTEL_METRICS_EXPORTER=prometheus serves the same metrics on a port of its own."""
    port = free_port()
    code = f"""
import urllib.request
hamilton_otel.configure()
run(3)
print(urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode())
"""
    done = run_python(
        PIPELINE + code,
        tmp_path,
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("hamilton_run_starts_total{")]
    assert 'hamilton_dag_name="d"' in line
    assert line.endswith(" 3.0")


def test_json_lines_are_written_where_asked_for(tmp_path: Path) -> None:
    """HAMILTON_OTEL_LOG_FORMAT=json writes each record to standard error with its ids."""
    done = run_python(PIPELINE + "hamilton_otel.configure(); run()", tmp_path, HAMILTON_OTEL_LOG_FORMAT="json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "hamilton.dag.defined",
        "hamilton.run.started",
        "hamilton.run.completed",
    ]
    completed = lines[-1]
    assert list(completed)[:4] == ["timestamp", "level", "logger", "event"]
    assert completed["timestamp"].endswith("Z")
    assert len(completed["trace_id"]) == 32
    assert completed["hamilton.dag.name"] == "d"


def test_the_users_logging_prints_as_without_us(tmp_path: Path) -> None:
    """`basicConfig()` after `configure()` and the handler of last resort both work as in a process without us."""
    code = """
import logging
{configure}
logging.getLogger("early").warning("by the last resort")
logging.basicConfig(format="%(message)s!")
logging.getLogger("late").warning("by the root handler")
"""
    with_us = run_python(PIPELINE + code.format(configure="hamilton_otel.configure()"), tmp_path)
    without = run_python(PIPELINE + code.format(configure=""), tmp_path)
    assert with_us.stderr == without.stderr == "by the last resort\nby the root handler!\n"


class _Receiver(BaseHTTPRequestHandler):
    """Stands in for a Collector: a real one would not tell when a request came in."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        paths = {path for path, _ in self.server.received}  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(len(paths)).encode())

    def log_message(self, *arguments: object) -> None: ...


def test_the_start_of_a_run_is_exported_while_it_runs(tmp_path: Path) -> None:
    """A run that goes on has its start counted and logged at the receiver before it ends; its end is not yet known."""
    with HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.received = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = f"""
import os, time, urllib.request
from hamilton import ad_hoc_utils, driver
import hamilton_otel
hamilton_otel.configure(endpoint="http://127.0.0.1:{server.server_port}")

def dies(start: int) -> int:
    deadline = time.monotonic() + 20
    address = "http://127.0.0.1:{server.server_port}"
    while urllib.request.urlopen(address).read() != b"2" and time.monotonic() < deadline:
        time.sleep(0.05)
    os._exit(9)

module = ad_hoc_utils.create_temporary_module(dies)
dr = driver.Builder().with_modules(module).with_adapters(hamilton_otel.TelemetryAdapter("d")).build()
dr.execute(["dies"], inputs={{"start": 1}})
"""
        assert run_python(code, tmp_path).returncode == 9
        received = list(server.received)  # type: ignore[attr-defined]
        server.shutdown()
    assert {path for path, _ in received} == {"/v1/metrics", "/v1/logs"}
    metrics = ExportMetricsServiceRequest.FromString(dict(received)["/v1/metrics"])
    names = {m.name for r in metrics.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert names == {"hamilton.run.starts"}


def test_the_local_store_stays_where_it_was(tmp_path: Path) -> None:
    """A program that changes its directory keeps the store that was checked at the start."""
    (tmp_path / "elsewhere").mkdir()
    done = run_python(PIPELINE + "import os; hamilton_otel.configure(); os.chdir('elsewhere'); run()", tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / ".hamilton-otel").run("latest").outcome == "success"


def test_flush_tells_whether_all_was_delivered(tmp_path: Path) -> None:
    """`flush()` returns False where nothing listens, True where the store takes it."""
    code = "hamilton_otel.configure({target}); run(); print(hamilton_otel.flush(10))"
    endpoint = f"http://127.0.0.1:{free_port()}"
    assert run_python(PIPELINE + code.format(target=f"endpoint={endpoint!r}"), tmp_path).stdout == "False\n"
    assert run_python(PIPELINE + code.format(target="local_store='store'"), tmp_path).stdout == "True\n"
