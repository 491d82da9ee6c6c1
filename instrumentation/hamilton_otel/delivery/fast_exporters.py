"""OpenTelemetry's OTLP exporters for spans, with our own encoding; everything else of them stays as it is.

Not for other exporters, which take any span as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.version import __version__ as SDK_VERSION

PROVEN: Final = frozenset(("1.45.1",))
"""Versions of the SDK and its exporters with which the tests have found both paths equal."""


def fast_exporter(kind: Any) -> Any:
    """Return *kind*, a class of exporters or a function that makes one, with our encoding where it is an OTLP one's."""
    module = getattr(kind, "__module__", "")
    if not module.startswith("opentelemetry.exporter.otlp.proto.") or not _is_proven(module):
        return kind
    if module == "opentelemetry.exporter.otlp.proto.http.trace_exporter":
        return _over_http(kind)
    if module == "opentelemetry.exporter.otlp.proto.grpc.trace_exporter":
        return _over_grpc(kind)
    return kind


def _is_proven(module: str) -> bool:
    """Tell whether the SDK and the exporter in *module* are of a version that is proven."""
    exporter = import_module(f"{module.rpartition('.')[0]}.version").__version__
    return SDK_VERSION in PROVEN and exporter in PROVEN


def _over_http(kind: Any) -> Any:
    from hamilton_otel.fast_spans import FastSpan
    from hamilton_otel.span_encoding import encode

    class HttpSpanExporter(kind):  # type: ignore[misc]
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Send *spans*."""
            if self._shutdown or not any(type(span) is FastSpan for span in spans):
                result: SpanExportResult = super().export(spans)
                return result
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
