"""Writes log records as JSON lines on standard error, where ``HAMILTON_OTEL_LOG_FORMAT=json`` asks for it.

``timestamp`` (ISO, UTC), ``level``, ``logger``, ``event``, then the fields, then the ids. Not for delivery: OTLP does
that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.trace import format_span_id, format_trace_id


class JsonLinesExporter(LogRecordExporter):
    """Renders each record with structlog's JSONRenderer and prints it."""

    def __init__(self) -> None:
        self._render = structlog.processors.JSONRenderer()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Print *batch*."""
        for record in batch:
            print(self._render(None, "", _fields(record)), file=sys.stderr)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True


def _fields(readable: ReadableLogRecord) -> dict[str, Any]:
    record = readable.log_record
    scope = readable.instrumentation_scope
    moment = record.timestamp or record.observed_timestamp or 0
    fields: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(moment / 1e9, UTC).isoformat().replace("+00:00", "Z"),
        "level": (record.severity_text or "info").lower(),
        "logger": scope.name if scope else "",
        "event": record.event_name or record.body,
        **(record.attributes or {}),
    }
    if record.trace_id:
        fields["trace_id"] = format_trace_id(record.trace_id)
        fields["span_id"] = format_span_id(record.span_id or 0)
    return fields
