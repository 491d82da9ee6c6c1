"""Encodes spans as a line of OTLP JSON; of a node's span that took the fast path, what is constant only once.

The counterpart of ``span_encoding.py``: the parts come from OpenTelemetry's own encoder, which takes thirty times as
long. Not for where lines go (``local_store.py``, ``delivery/spool.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from .capture import Value
from .dag import NodeInfo
from .fast_spans import FastSpan, NodeSpans

_NOBODY: Final = SpanContext(1, 1, is_remote=False)
_NOWHERE: Final = Resource.get_empty()
_PLACE: Final = "spans"


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Return *spans* as an ``ExportTraceServiceRequest`` on one line, with its end."""
    others = [span for span in spans if type(span) is not FastSpan]
    found = [_text(some) for some in encode_spans(others).to_dict()["resourceSpans"]] if others else []
    fast = (span for span in spans if type(span) is FastSpan)
    for (resource, scope), some in groupby(fast, lambda span: (span.spans.resource, span.spans.scope)):
        before, after = _around(resource, scope)
        found.append(before + ",".join(map(_span, some)) + after)
    return f'{{"resourceSpans":[{",".join(found)}]}}\n'.encode()


def _span(span: FastSpan) -> str:
    spans = span.spans
    shared = _shared.get(spans) or _share(spans)
    fields, attributes = _node(span.info)
    ending = _attributes(tuple(span.end_attributes().items()))
    targets = spans.targets_of(span.info)
    links = "".join((',"links":[', ",".join(shared.link(target) for target in targets), "]") if targets else ())
    return (
        f'{{{shared.fields},"spanId":"{span.span_id:016x}",{fields},'
        f'"startTimeUnixNano":"{span.started_at}","endTimeUnixNano":"{span.ended_at}",'
        f'"attributes":[{attributes},{shared.attributes},{ending}]{links}}}'
    )


class _Shared:
    """What all spans of *spans* have in common, as text, and their links, which are in the same trace."""

    def __init__(self, spans: NodeSpans) -> None:
        made = _encoded(context=spans.context_of(1), parent=spans.parent, attributes=spans.attributes)
        self.fields = _part(made, "traceId", "traceState", "parentSpanId", "flags")
        self.attributes = _text(made["attributes"])[1:-1]
        self._links = [
            _part(_encoded(links=[Link(SpanContext(spans.parent.trace_id, 1, remote))])["links"][0], "traceId", "flags")
            for remote in (False, True)
        ]

    def link(self, target: int | Link) -> str:
        if isinstance(target, int):
            return f'{{{self._links[False]},"spanId":"{target:016x}"}}'
        return f'{{{self._links[target.context.is_remote]},"spanId":"{target.context.span_id:016x}"}}'


_shared: WeakKeyDictionary[NodeSpans, _Shared] = WeakKeyDictionary()
_nodes: WeakKeyDictionary[NodeInfo, tuple[str, str]] = WeakKeyDictionary()


def _share(spans: NodeSpans) -> _Shared:
    return _shared.setdefault(spans, _Shared(spans))


def _node(info: NodeInfo) -> tuple[str, str]:
    """Return the fields and the attributes of a node's span."""
    known = _nodes.get(info)
    if known is None:
        made = _encoded(name=info.span_name, attributes=info.attributes)
        known = _nodes[info] = _part(made, "name", "kind", "status"), _text(made["attributes"])[1:-1]
    return known


@lru_cache(1_000)
def _attributes(items: tuple[tuple[str, Value], ...]) -> str:
    return _text(_encoded(attributes=dict(items))["attributes"])[1:-1]


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
    span = ReadableSpan(**{"name": "", "context": _NOBODY, "resource": _NOWHERE, **fields})
    found: dict[str, Any] = encode_spans([span]).to_dict()["resourceSpans"][0]
    return found


def _part(encoded: Mapping[str, Any], *fields: str) -> str:
    """Return these fields, as far as there are any, without braces."""
    return _text({field: encoded[field] for field in fields if field in encoded})[1:-1]


def _text(encoded: Any) -> str:
    return json.dumps(encoded, separators=(",", ":"))
