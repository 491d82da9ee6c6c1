"""What the encodings of spans have in common: which take the fast path, and how their constant parts are made once.

Not for any format: ``span_encoding.py`` is for Protocol Buffers, ``span_json.py`` for JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from .fast_spans import FastSpan
from .links import Target

K = TypeVar("K")
V = TypeVar("V")
Origin = tuple[Resource, InstrumentationScope]

_NOBODY: Final = SpanContext(1, 1, is_remote=False)
_NOWHERE: Final = Resource.get_empty()


def parted(spans: Sequence[ReadableSpan]) -> tuple[list[ReadableSpan], Iterator[tuple[Origin, Iterator[FastSpan]]]]:
    """Return the spans that OpenTelemetry's encoder has to take, and the others by where they come from."""
    others = [span for span in spans if type(span) is not FastSpan]
    fast = (span for span in spans if type(span) is FastSpan)
    return others, groupby(fast, lambda span: (span.spans.resource, span.spans.scope))


def span_with(**fields: Any) -> ReadableSpan:
    """Return a span with these fields alone, for OpenTelemetry's encoder to encode."""
    return ReadableSpan(**{"name": "", "context": _NOBODY, "resource": _NOWHERE, **fields})


def span_of(target: Target) -> tuple[int, bool]:
    """Return the id of the span that is linked to, and whether another process has made it."""
    return (target.context.span_id, target.context.is_remote) if isinstance(target, Link) else (target, False)


def once(make: Callable[[K], V]) -> Callable[[K], V]:
    """Return *make*, called once for each object for as long as that lives."""
    known: WeakKeyDictionary[K, V] = WeakKeyDictionary()

    def made(key: K) -> V:
        found = known.get(key)
        if found is None:
            found = known[key] = make(key)
        return found

    return made
