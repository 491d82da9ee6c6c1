"""OpenTelemetry's OTLP exporters for spans, with our own encoding; everything else of them stays as it is.

Not for other exporters, which take any span as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult


def fast_exporter(kind: Any) -> Any:
    """Return *kind*, a class of exporters or a function that makes one, with our encoding where it is an OTLP one's."""
    module = getattr(kind, "__module__", "")
    if module == "opentelemetry.exporter.otlp.proto.http.trace_exporter":
        return _over_http(kind)
    if module == "opentelemetry.exporter.otlp.proto.grpc.trace_exporter":
        return _over_grpc(kind)
    return kind


def _over_http(kind: Any) -> Any:
    from hamilton_otel.span_encoding import encode

    class HttpSpanExporter(kind):  # type: ignore[misc]
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Send *spans*."""
            accepted = self._client.export(encode(spans)).success
            return SpanExportResult.SUCCESS if accepted else SpanExportResult.FAILURE

    return HttpSpanExporter


def _over_grpc(kind: Any) -> Any:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from hamilton_otel.span_encoding import encode

    class GrpcSpanExporter(kind):  # type: ignore[misc]
        def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
            return ExportTraceServiceRequest.FromString(encode(data))

    return GrpcSpanExporter
