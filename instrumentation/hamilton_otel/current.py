"""Knows which run and node the code that is running belongs to, and which tags its next run gets.

Kept in OpenTelemetry's context, so that whatever carries the trace carries this too. Not for starting or ending
anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from structlog import contextvars as structlog_context

from .capture import Value, tag
from .events import Execution, NodeExecution
from .limits import tag_name

_EXECUTION = otel_context.create_key("hamilton_otel.execution")
_TAGS = otel_context.create_key("hamilton_otel.run_tags")


@dataclass(slots=True)
class Attachment:
    """What :func:`attach` has made current, for :func:`detach`."""

    token: Token[Context]
    log_tokens: Mapping[str, Token[Any]]


def attach(context: Context, log_variables: Mapping[str, Any] | None = None) -> Attachment:
    """Make *context* current in this thread, and *log_variables* structlog's context variables."""
    log_tokens = structlog_context.bind_contextvars(**log_variables) if log_variables else {}
    return Attachment(otel_context.attach(context), log_tokens)


def detach(attachment: Attachment) -> None:
    """Restore what was current before; for the thread (or task) that attached."""
    otel_context.detach(attachment.token)
    if attachment.log_tokens:
        structlog_context.reset_contextvars(**attachment.log_tokens)


def bind(execution: Execution, context: Context) -> Context:
    """Return *context* with *execution* as the current one."""
    return otel_context.set_value(_EXECUTION, execution, context)


def execution(context: Context | None = None) -> Execution | None:
    """Return the run, task or node to which *context* (default: the current one) belongs."""
    found = otel_context.get_value(_EXECUTION, context)
    return found if isinstance(found, Execution) else None


def node() -> NodeExecution | None:
    """Return the node that is running here, or None."""
    found = execution()
    return found if isinstance(found, NodeExecution) else None


@contextmanager
def run_tags(**tags: Value) -> Iterator[None]:
    """Give these tags to every run that starts inside the ``with`` block.

    They win over the adapter's tags and over those of an outer block. Values other than text, numbers and booleans
    become text.

    .. code-block:: python

        with hamilton_otel.run_tags(commit="abc123"):
            dr.execute(["delay_model"])
    """
    merged = {**tags_in_force(), **{tag_name(key): tag(value) for key, value in tags.items()}}
    token = otel_context.attach(otel_context.set_value(_TAGS, merged))
    try:
        yield
    finally:
        otel_context.detach(token)


def tags_in_force() -> dict[str, Value]:
    """Return the tags of the enclosing ``run_tags()`` blocks."""
    found = otel_context.get_value(_TAGS)
    return dict(found) if isinstance(found, dict) else {}
