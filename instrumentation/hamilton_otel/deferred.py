"""A stand-in for a span that begins later than the context that holds it.

Under Hamilton's async driver a node's context must be current when its coroutine is made, but its span begins only when
its inputs are there. Not for anything else: everywhere else a span is itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import AttributeValue


class DeferredSpan(Span):
    """Does what the span does to which it is resolved; before that, nothing."""

    def __init__(self) -> None:
        self._span: Span = INVALID_SPAN

    def resolve(self, span: Span) -> None:
        """Make *span* the one that this stands for."""
        self._span = span

    def end(self, end_time: int | None = None) -> None:
        """End the span."""
        self._span.end(end_time)

    def get_span_context(self) -> SpanContext:
        """Return the span's context."""
        return self._span.get_span_context()

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set the span's attributes."""
        self._span.set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one of the span's attributes."""
        self._span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event to the span."""
        self._span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link to the span."""
        self._span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Rename the span."""
        self._span.update_name(name)

    def is_recording(self) -> bool:
        """Tell whether the span records."""
        return self._span.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the span's status."""
        self._span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception on the span."""
        self._span.record_exception(exception, attributes, timestamp, escaped)
