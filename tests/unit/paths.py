"""Both ways in which the spans of nodes are made, side by side: runs a scenario and reads what was exported of it.

What differs from run to run by nature (ids, times) becomes names and relations, so that two runs can be compared.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hamilton_otel import semconv
from hamilton_otel.adapter import TelemetryAdapter
from hamilton_otel.delivery.outlet import Outlet
from hamilton_otel.delivery.processors import SpanQueue
from hamilton_otel.delivery.queue import Queue
from hamilton_otel.limits import span_limits
from hamilton_otel.pipelines import preferred_temporality
from hamilton_otel.sinks import forget
from hamilton_otel.span_encoding import encode
from hamilton_otel.span_ids import DerivedIds
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

NODE_DURATION = semconv.NODE_DURATIONS.name
PROCESS = {"service.instance.id": "some process", "process.pid": "some number"}
DRIFT = 1_000_000
"""Nanoseconds between the two clocks that tell a start and a duration."""
SETTING = "HAMILTON_OTEL_FAST_SPANS"


class Way:
    """One way: providers, and what they have exported."""

    def __init__(self, fast: bool, directory: Path, **options: Any) -> None:
        self.fast = fast
        self.directory = directory
        self.kinds: Counter[str] = Counter()
        self.requests: list[Any] = []
        self.queue: Queue[ReadableSpan] = Queue(
            Outlet("traces", self._send), max_bytes=10**9, max_batch=512, interval=1.0
        )
        chosen = {"id_generator": DerivedIds(), "span_limits": span_limits(), **options}
        resource = Resource({"service.name": "paths"}, "https://example.org/schema")
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, **chosen)
        self.tracer_provider.add_span_processor(SpanQueue(self.queue))
        self.reader = InMemoryMetricReader(preferred_temporality=preferred_temporality())
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.providers: dict[str, Any] = {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
        }
        self.tracer = self.tracer_provider.get_tracer("library")

    def adapter(self, name: str = "d", **options: Any) -> TelemetryAdapter:
        """Return an adapter that records on this way."""
        return TelemetryAdapter(name, **self.providers, **options)

    def run(self, scenario: Callable[["Way"], object]) -> "Way":
        """Run *scenario* with the setting of this way, and export what it leaves."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SETTING, str(self.fast).lower())
            patch.chdir(self.directory)
            scenario(self)
        assert self.queue.flush(20)
        return self

    def close(self) -> None:
        """End the queue's thread, and let go of the sinks."""
        self.queue.close()
        forget(self.tracer_provider, self.meter_provider)

    def spans(self) -> list[Any]:
        """Return the exported spans, with everything that a decoded request says of each."""
        return spans_in(self.requests)

    def normalised(self) -> tuple[Any, Any]:
        """Return what was exported without ids and times."""
        return normalised(self.requests, self.metrics())

    def metrics(self) -> list[Any]:
        """Return the metrics that were collected since the last time."""
        data = self.reader.get_metrics_data()
        return [] if data is None else [encode_metrics(data)]

    def _send(self, batch: Sequence[ReadableSpan]) -> bool:
        self.kinds.update(type(span).__name__ for span in batch)
        encoded = encode(batch) if self.fast else encode_spans(batch).SerializeToString()
        self.requests.append(ExportTraceServiceRequest.FromString(encoded))
        return True


def spans_in(requests: Iterable[Any]) -> list[Any]:
    """Return the spans of decoded requests."""
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def normalised(requests: Sequence[Any], metrics: Iterable[Any]) -> tuple[Any, Any]:
    """Return spans and durations of nodes without ids and times, having looked at whether these fit together."""
    spans = spans_in(requests)
    known = {(span.trace_id, span.span_id): span for span in spans}
    assert len(known) == len(spans), "a span was exported twice"
    runs = {_attributes(span).get(semconv.RUN_ID): span.name for span in spans if span.name.startswith("run ")}

    def path(trace_id: bytes, span_id: bytes) -> str:
        span = known.get((trace_id, span_id))
        if span is None:
            return f"<{span_id.hex()}>" if span_id else ""
        return f"{path(trace_id, span.parent_span_id)} > {_said(span)}"

    def told(span: Any) -> Any:
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert any(span.span_id)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        parent = known.get((span.trace_id, span.parent_span_id))
        attributes = _attributes(span)
        assert len(attributes) == len(span.attributes), "an attribute was exported twice"
        if semconv.RUN_ID in attributes:
            attributes[semconv.RUN_ID] = runs.get(attributes[semconv.RUN_ID], "")
        if semconv.TASK_WAIT in attributes:
            attributes[semconv.TASK_WAIT] = "some time"
        return {
            "path": path(span.trace_id, span.span_id),
            "trace state": span.trace_state,
            "flags": span.flags,
            "kind": span.kind,
            "status": (span.HasField("status"), span.status.code, span.status.message),
            "attributes": attributes,
            "events": [(event.name, _attributes(event), event.dropped_attributes_count) for event in span.events],
            "events within": all(span.start_time_unix_nano <= event.time_unix_nano for event in span.events),
            "links": sorted(
                (path(link.trace_id, link.span_id), link.flags, link.trace_state, str(_attributes(link)))
                for link in span.links
            ),
            "dropped": (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
            "begins within": parent is None or parent.start_time_unix_nano <= span.start_time_unix_nano,
            "ends within": parent is None or span.end_time_unix_nano <= parent.end_time_unix_nano + DRIFT,
        }

    origins = {
        (str(_attributes(resource.resource) | PROCESS), resource.schema_url, str(scope.scope), scope.schema_url)
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
    }
    told_spans = sorted((told(span) for span in spans), key=str)
    return (told_spans, sorted(origins)), sorted(_durations(metrics, known), key=str)


def _durations(metrics: Iterable[Any], known: dict[tuple[bytes, bytes], Any]) -> Iterable[Any]:
    counts: Counter[str] = Counter()
    exemplars: dict[str, set[str]] = {}
    for point, boundaries in _points(metrics):
        series = str(sorted(_attributes(point).items()))
        counts[series] += point.count
        assert sum(point.bucket_counts) == point.count
        for exemplar in point.exemplars:
            span = known[exemplar.trace_id, exemplar.span_id]
            exemplars.setdefault(series, set()).add(span.name)
            assert exemplar.as_double <= point.max
            if span.name.startswith("node "):
                assert span.name in (f"node {_attributes(point)[semconv.NODE_NAME]}", "node renamed")
                lasted = span.end_time_unix_nano - span.start_time_unix_nano
                assert bucket(boundaries, exemplar.as_double) == bucket(boundaries, lasted / 1e9)
    return [(series, count, sorted(exemplars.get(series, ()))) for series, count in counts.items()]


def bucket(boundaries: Sequence[float], seconds: float) -> int:
    """Return the number of the bucket that *seconds* falls into."""
    return sum(seconds > boundary for boundary in boundaries)


def _points(metrics: Iterable[Any]) -> Iterable[tuple[Any, Sequence[float]]]:
    for request in metrics:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == NODE_DURATION:
                        for point in metric.histogram.data_points:
                            yield point, point.explicit_bounds


def _said(span: Any) -> str:
    task = _attributes(span).get(semconv.TASK_ID)
    return span.name if task is None else f"{span.name} [{task}]"


def _attributes(of: Any) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in of.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return value.string_value if kind == "string_value" else (kind, repr(getattr(value, kind)))
