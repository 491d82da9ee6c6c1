"""Telemetry that processes left in files, read by the Collector with collector/spool.yaml."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.exporter.otlp.json.file.metric_exporter import FileMetricExporter
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.servers import new_stack

PROCESSES = 3
RUNS = 20
#: More than what the receiver takes for a line unless told otherwise, 1 MiB.
LONG = "x" * 1_200_000


class Spooled:
    """What one process leaves: a span and a log line for each run, and counts of its runs, in several files."""

    def __init__(self, directory: Path, number: int) -> None:
        directory.mkdir(parents=True)
        resource = Resource({"service.name": "spooled", "service.instance.id": str(number)})
        path = {signal: directory / f"{signal}-{number}.jsonl" for signal in ("traces", "logs", "metrics")}
        tracing = TracerProvider(resource=resource)
        tracing.add_span_processor(SimpleSpanProcessor(FileSpanExporter(path["traces"])))
        logging = LoggerProvider(resource)
        logging.add_log_record_processor(SimpleLogRecordProcessor(FileLogExporter(path["logs"])))
        delta = FileMetricExporter(path["metrics"], preferred_temporality={Counter: AggregationTemporality.DELTA})
        metrics = MeterProvider([PeriodicExportingMetricReader(delta, export_interval_millis=3_600_000)], resource)
        starts = metrics.get_meter("hamilton_otel").create_counter("hamilton.run.starts", "{run}")
        self.lines = [f"process {number} run {run}" for run in range(RUNS)]
        self.spans = set()
        for run in range(RUNS):
            with tracing.get_tracer("test").start_as_current_span(
                "run", attributes={"text": "" if run else LONG}
            ) as span:
                logging.get_logger("test").emit(body=self.lines[run])
            self.spans.add(f"{span.get_span_context().span_id:016x}")
            starts.add(1, {"hamilton.dag.name": "spooled"})
            metrics.force_flush()
        for provider in (tracing, logging, metrics):
            provider.shutdown()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the spool."""
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def stack(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of this module's own, whose Collector reads the directory."""
    with new_stack(tmp_path_factory.mktemp("stack"), ["spool.yaml"], SPOOL_DIR=str(directory)) as servers:
        yield servers


def test_spooled_telemetry_arrives_once(stack: Stack, directory: Path) -> None:
    """Every span is in Jaeger, every line in Loki, the count exact; also after the Collector has started anew."""
    spooled = [Spooled(directory / f"receiver-{number}", number) for number in range(PROCESSES)]
    runs = PROCESSES * RUNS
    spans = {span for process in spooled for span in process.spans}
    lines = sorted(line for process in spooled for line in process.lines)
    count = 'sum(increase(hamilton_run_starts_total{hamilton_dag_name="spooled"}[10m] anchored))'

    def stored_spans() -> set[str]:
        return {span["spanID"] for trace in backends.traces(stack, "spooled") for span in trace["spans"]}

    def stored_lines() -> list[str]:
        return sorted(line for _, line in backends.logs(stack, '{service_name="spooled"}'))

    eventually(lambda: stored_spans() == spans)
    eventually(lambda: stored_lines() == lines)
    eventually(lambda: backends.value(stack, count) == runs)

    stack.drain()
    stack.servers["collector"].start()
    stack.servers["collector"].wait_ready()
    late = Spooled(directory / "late", PROCESSES)
    eventually(lambda: stored_spans() == spans | late.spans)
    eventually(lambda: backends.value(stack, count) == runs + RUNS)
    eventually(lambda: stored_lines() == sorted([*lines, *late.lines]))
    assert backends.losses(stack) == {}
