"""Encodes spans as an OTLP export request; of a node's span that took the fast path, what is constant only once.

Protocol Buffers allow a message to be put together from parts: encoded messages that follow each other are merged
(https://protobuf.dev/programming-guides/encoding/). The parts come from OpenTelemetry's own encoder, which also encodes
all other spans. Not for JSON (``span_json.py``) nor for sending.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from .capture import Value
from .dag import NodeInfo
from .fast_spans import FastSpan, NodeSpans
from .links import Target
from .span_parts import once, parted, span_of, span_with

_SPAN_ID_AND_TIMES: Final = Struct("<BB8sBQBQ")
"""Fields 2, 7 and 8 of a span, each behind its tag."""


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Return *spans* as an encoded ``ExportTraceServiceRequest``."""
    others, fast = parted(spans)
    parts = [encode_spans(others).SerializePartialToString()] if others else []
    for (resource, scope), some in fast:
        before, inside = _origin(resource, scope)
        parts.append(_field(1, before + _field(2, inside + b"".join(map(_span, some)))))
    return b"".join(parts)


def _span(span: FastSpan) -> bytes:
    """Return *span* as a field of ``ScopeSpans``."""
    spans = span.spans
    shared = _shared(spans)
    variable = _SPAN_ID_AND_TIMES.pack(
        0x12, 8, span.span_id.to_bytes(8, "big"), 0x39, span.started_at, 0x41, span.ended_at
    )
    links = [shared.link(target) for target in spans.targets_of(span.info)]
    ending = _attributes(tuple(span.end_attributes().items()))
    return _field(2, b"".join((_node(span.info), shared.fields, variable, ending, *links)))


class _Shared:
    """The encoded parts that all spans of *spans* have in common, and their links, which are in the same trace."""

    def __init__(self, spans: NodeSpans) -> None:
        made = _encoded(context=spans.context_of(1), parent=spans.parent, attributes=spans.attributes)
        self.fields = _part(made, "trace_id", "trace_state", "parent_span_id", "flags", "attributes")
        self._links = [_link(spans.parent.trace_id, is_remote) for is_remote in (False, True)]

    def link(self, target: Target) -> bytes:
        span_id, is_remote = span_of(target)
        return self._links[is_remote].replace(_PLACE, span_id.to_bytes(8, "big"))


_PLACE: Final = b"\x00span-id"
_shared = once(_Shared)


@once
def _node(info: NodeInfo) -> bytes:
    made = _encoded(name=info.span_name, attributes=info.attributes)
    return _part(made, "name", "kind", "attributes", "status")


@lru_cache(1_000)
def _attributes(items: tuple[tuple[str, Value], ...]) -> bytes:
    return _part(_encoded(attributes=dict(items)), "attributes")


def _link(trace_id: int, is_remote: bool) -> bytes:
    target = SpanContext(trace_id, int.from_bytes(_PLACE, "big"), is_remote)
    return _part(_encoded(links=[Link(target)]), "links")


@lru_cache(10)
def _origin(resource: Resource, scope: InstrumentationScope) -> tuple[bytes, bytes]:
    """Return the encoded fields of a ``ResourceSpans`` and of the ``ScopeSpans`` in it, without their spans."""
    around = _request(resource=resource, instrumentation_scope=scope).resource_spans[0]
    inside = around.scope_spans[0]
    inside.ClearField("spans")
    encoded = inside.SerializeToString()
    around.ClearField("scope_spans")
    return around.SerializeToString(), encoded


def _encoded(**fields: Any) -> Any:
    return _request(**fields).resource_spans[0].scope_spans[0].spans[0]


def _request(**fields: Any) -> Any:
    return encode_spans([span_with(**fields)])


def _part(span: Any, *fields: str) -> bytes:
    """Return these fields of *span*, encoded."""
    part: Any = Span()
    part.CopyFrom(span)
    for field in Span.DESCRIPTOR.fields:
        if field.name not in fields:
            part.ClearField(field.name)
    encoded: bytes = part.SerializeToString()
    return encoded


def _field(number: int, encoded: bytes) -> bytes:
    """Return an encoded message as field *number* (below 16) of another."""
    length, header = len(encoded), bytearray((number << 3 | 2,))
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + encoded
