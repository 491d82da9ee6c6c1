"""Plain OpenTelemetry programs that tests start as processes: `python sender.py KIND OPTIONS-AS-JSON`.

They know nothing of hamilton_otel, so that they show what the servers do with anybody's telemetry.
"""

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


def resource(options: dict[str, Any]) -> Resource:
    attributes = {
        "service.name": options["service"],
        "service.instance.id": options.get("instance"),
        "deployment.environment.name": options.get("environment"),
    }
    kept = {key: value for key, value in attributes.items() if value}
    # Not Resource.create(), which makes up a service.instance.id.
    return Resource(kept)


def meter_provider(options: dict[str, Any]) -> MeterProvider:
    delta = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
    exporter = OTLPMetricExporter(
        f"{options['endpoint']}/v1/metrics",
        preferred_temporality=delta if options.get("temporality") == "delta" else {},  # type: ignore[arg-type]
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=options.get("interval", 3_600_000))
    return MeterProvider([reader], resource(options))


def send_runs(options: dict[str, Any]) -> None:
    """Each flush reports one run and one execution of each of its nodes; one may wait for a line of input."""
    provider = meter_provider(options)
    meter = provider.get_meter(options.get("scope", "hamilton_otel"), options.get("version", "0.1.0"))
    starts = meter.create_counter("hamilton.run.starts", "{run}")
    runs = meter.create_histogram("hamilton.run.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    nodes = meter.create_histogram("hamilton.node.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    dag = {"hamilton.dag.name": options["dag"]}
    for flush in range(options["flushes"]):
        if flush == options.get("wait_before"):
            print("waiting", flush=True)
            sys.stdin.readline()
        starts.add(1, dag)
        runs.record(0.2, {**dag, "hamilton.outcome": "success"})
        for node in range(options.get("nodes", 0)):
            nodes.record(0.01, {**dag, "hamilton.node.name": f"node_{node}", "hamilton.outcome": "success"})
        provider.force_flush()
    provider.shutdown()


def send_counter(options: dict[str, Any]) -> None:
    """A user's own counter: the instance's number of orders, and then a flush in which nothing has happened."""
    provider = meter_provider(options)
    # A scope whose name only begins like one that is aggregated.
    orders = provider.get_meter("hamilton_otel_shop").create_counter("shop.orders", "{order}")
    for _ in range(options["flushes"]):
        orders.add(options["orders"])
        provider.force_flush()
        provider.force_flush()
    provider.shutdown()


def be_active(options: dict[str, Any]) -> None:
    """Report an active run for ever."""
    provider = meter_provider({**options, "interval": 500})

    def active(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, {"hamilton.dag.name": options["dag"]})

    provider.get_meter("hamilton_otel").create_observable_up_down_counter("hamilton.run.active", [active], "{run}")
    while True:
        time.sleep(60)


def send_span_and_log(options: dict[str, Any]) -> None:
    """One span, a log record and a histogram within it; print the trace id."""
    tracing = TracerProvider(resource=resource(options))
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{options['endpoint']}/v1/traces")))
    logging = LoggerProvider(resource(options))
    logging.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{options['endpoint']}/v1/logs")))
    metrics = meter_provider(options)
    runs = metrics.get_meter("hamilton_otel").create_histogram("hamilton.run.duration", "s")
    with tracing.get_tracer("hamilton_otel").start_as_current_span("run probe") as span:
        runs.record(0.2, {"hamilton.dag.name": options["dag"], "hamilton.outcome": "success"})
        logging.get_logger("hamilton_otel").emit(
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body="Run completed",
            event_name="hamilton.run.completed",
            attributes={"hamilton.dag.name": options["dag"]},
        )
        print(f"{span.get_span_context().trace_id:032x}")
    for provider in (tracing, logging, metrics):
        provider.shutdown()


KINDS = {"runs": send_runs, "counter": send_counter, "active": be_active, "signals": send_span_and_log}

if __name__ == "__main__":
    KINDS[sys.argv[1]](json.loads(sys.argv[2]))
