"""Carries a trace into runs and out of nodes, as headers of messages and requests or as environment variables.

Not for threads of this process (``current.py``) nor for the worker processes of a run (``carried.py``).

Formats: https://www.w3.org/TR/trace-context/ and, for the environment,
https://opentelemetry.io/docs/specs/otel/context/env-carriers/.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator

from .guard import guard

ENVIRONMENT_NAMES: Final = {"traceparent": "TRACEPARENT", "tracestate": "TRACESTATE", "baggage": "BAGGAGE"}
Headers = Mapping[str, str] | Iterable[tuple[str, bytes]]


def from_environment(context: Context) -> Context:
    """Return *context*, or, where it has no span, one with the span that TRACEPARENT and its kin name."""
    if trace.get_current_span(context).get_span_context().is_valid or "TRACEPARENT" not in os.environ:
        return context
    carrier = {key: os.environ[name] for key, name in ENVIRONMENT_NAMES.items() if name in os.environ}
    return propagate.extract(carrier, context)


@contextmanager
def incoming(headers: Headers) -> Iterator[None]:
    """Make the caller's trace, given as message or request headers, the parent of the runs inside the block.

    :param headers: a mapping of names to values, in any case, or Kafka's list of ``(name, bytes)``. W3C and B3 headers
        are both understood (B3 where ``opentelemetry-propagator-b3`` is installed). Headers without a trace change
        nothing.
    """
    token = otel_context.attach(_extract(headers))
    try:
        yield
    finally:
        otel_context.detach(token)


def inject(carrier: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
    """Return *carrier* (default: a new dict) with the headers of the current trace, for a message that a node sends."""
    target = carrier if carrier is not None else {}
    with guard("inject"):
        propagate.inject(target)
    return target


def environment() -> dict[str, str]:
    """Return the variables with which a child process that a node starts continues the current trace."""
    return {ENVIRONMENT_NAMES[key]: value for key, value in inject().items() if key in ENVIRONMENT_NAMES}


def _extract(headers: Headers) -> Context:
    current = otel_context.get_current()
    with guard("incoming headers"):
        items = headers.items() if isinstance(headers, Mapping) else headers
        carrier = {
            str(name).lower(): value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            for name, value in items
        }
        return _incoming_propagator().extract(carrier, current)
    return current


def _incoming_propagator() -> CompositePropagator:
    propagators = [propagate.get_global_textmap()]
    try:
        from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
    except ImportError:
        return CompositePropagator(propagators)
    return CompositePropagator([B3MultiFormat(), B3SingleFormat(), *propagators])
