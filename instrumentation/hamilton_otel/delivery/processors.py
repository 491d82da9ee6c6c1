"""Feeds the queues from the SDK: finished spans, emitted log records, collected metrics.

Each says how much memory an item takes, roughly: that is what the queues are bounded by. Not for delivery.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import TraceFlags

from hamilton_otel import semconv

from .queue import Queue

ITEM: Final = 2_500
"""Bytes of a span or log record with the attributes that we set; their text is short."""
ATTRIBUTE: Final = 150
POINT: Final = 1_000
_EMPTY: Final = Resource.get_empty()


class SpanQueue(SpanProcessor):
    """Puts each sampled span into *queue* when it ends."""

    def __init__(self, queue: Queue[ReadableSpan]) -> None:
        self.queue = queue

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span."""
        context = span.get_span_context()
        if context is not None and context.trace_flags & TraceFlags.SAMPLED:
            self.queue.put(span, _weight_of_span(span))

    def shutdown(self) -> None:
        """Deliver what is queued, and take no more."""
        self.queue.flush(30.0)
        self.queue.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is queued; return whether that succeeded in time."""
        return self.queue.flush(timeout_millis / 1000)


class LogQueue(LogRecordProcessor):
    """Puts each log record into *queue* when it is emitted."""

    def __init__(self, queue: Queue[ReadableLogRecord]) -> None:
        self.queue = queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record, without the context, which may hold much more than the record."""
        record = copy.copy(log_record.log_record)
        record.context = Context()
        readable = ReadableLogRecord(
            log_record=record,
            resource=log_record.resource or _EMPTY,
            instrumentation_scope=log_record.instrumentation_scope,
            limits=log_record.limits,
        )
        self.queue.put(readable, ITEM + len(str(record.body)) + _weight_of_attributes(record.attributes))

    def shutdown(self) -> None:
        """Deliver what is queued, and take no more."""
        self.queue.flush(30.0)
        self.queue.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is queued; return whether that succeeded in time."""
        return self.queue.flush(timeout_millis / 1000)


def points_in(data: MetricsData) -> int:
    """Return how many data points *data* holds."""
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def weight_of_metrics(data: MetricsData) -> int:
    """Return about how many bytes *data* takes."""
    return ITEM + POINT * points_in(data)


def _weight_of_span(span: ReadableSpan) -> int:
    scope = span.instrumentation_scope
    if scope is not None and scope.name == semconv.SCOPE:
        return ITEM
    events = sum(_weight_of_attributes(event.attributes) for event in span.events)
    return ITEM + _weight_of_attributes(span.attributes) + events


def _weight_of_attributes(attributes: Any) -> int:
    return sum(ATTRIBUTE + (len(value) if isinstance(value, str) else 0) for value in (attributes or {}).values())
