"""Encodes spans as a line of OTLP JSON; of a node's span that took the fast path, what is constant only once.

The counterpart of ``span_encoding.py``: the parts come from OpenTelemetry's own encoder, which takes thirty times as
long. Not for where lines go (``local_store.py``, ``delivery/spool.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from .capture import Value
from .dag import NodeInfo
from .fast_spans import FastSpan, NodeSpans
from .links import Target
from .span_parts import once, parted, span_of, span_with

_PLACE: Final = "spans"


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Return *spans* as an ``ExportTraceServiceRequest`` on one line, with its end."""
    others, fast = parted(spans)
    found = [_text(some) for some in encode_spans(others).to_dict()["resourceSpans"]] if others else []
    for (resource, scope), some in fast:
        before, after = _around(resource, scope)
        found.append(before + ",".join(map(_span, some)) + after)
    return f'{{"resourceSpans":[{",".join(found)}]}}\n'.encode()


def _span(span: FastSpan) -> str:
    spans = span.spans
    shared = _shared(spans)
    fields, attributes = _node(span.info)
    ending = _attributes(tuple(span.end_attributes().items()))
    targets = spans.targets_of(span.info)
    links = "".join((',"links":[', ",".join(shared.link(target) for target in targets), "]") if targets else ())
    return (
        f'{{{shared.fields},"spanId":"{span.span_id:016x}",{fields},'
        f'"startTimeUnixNano":"{span.started_at}","endTimeUnixNano":"{span.ended_at}",'
        f'"attributes":[{",".join(filter(None, (attributes, shared.attributes, ending)))}]{links}}}'
    )


class _Shared:
    """What all spans of *spans* have in common, as text, and their links, which are in the same trace."""

    def __init__(self, spans: NodeSpans) -> None:
        made = _encoded(context=spans.context_of(1), parent=spans.parent, attributes=spans.attributes)
        self.fields = _part(made, "traceId", "traceState", "parentSpanId", "flags")
        self.attributes = _attributes_in(made)
        self._links = [
            _part(_encoded(links=[Link(SpanContext(spans.parent.trace_id, 1, remote))])["links"][0], "traceId", "flags")
            for remote in (False, True)
        ]

    def link(self, target: Target) -> str:
        span_id, is_remote = span_of(target)
        return f'{{{self._links[is_remote]},"spanId":"{span_id:016x}"}}'


_shared = once(_Shared)


@once
def _node(info: NodeInfo) -> tuple[str, str]:
    """Return the fields and the attributes of a node's span."""
    made = _encoded(name=info.span_name, attributes=info.attributes)
    return _part(made, "name", "kind", "status"), _attributes_in(made)


@lru_cache(1_000)
def _attributes(items: tuple[tuple[str, Value], ...]) -> str:
    return _attributes_in(_encoded(attributes=dict(items)))


@lru_cache(10)
def _around(resource: Resource, scope: InstrumentationScope) -> tuple[str, str]:
    """Return what stands before and after the spans of *scope*."""
    origin = _origin(resource=resource, instrumentation_scope=scope)
    origin["scopeSpans"][0]["spans"] = [_PLACE]
    before, _, after = _text(origin).rpartition(f'"{_PLACE}"')
    return before, after


def _encoded(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = _origin(**fields)["scopeSpans"][0]["spans"][0]
    return found


def _origin(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = encode_spans([span_with(**fields)]).to_dict()["resourceSpans"][0]
    return found


def _attributes_in(encoded: Mapping[str, Any]) -> str:
    """Return the attributes, without brackets."""
    return _text(encoded.get("attributes", []))[1:-1]


def _part(encoded: Mapping[str, Any], *fields: str) -> str:
    """Return these fields, as far as there are any, without braces."""
    return _text({field: encoded[field] for field in fields if field in encoded})[1:-1]


def _text(encoded: Any) -> str:
    return json.dumps(encoded, separators=(",", ":"))
