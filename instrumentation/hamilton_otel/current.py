"""Knows which run and node the code that is running belongs to, and which tags its next run gets.

Kept in OpenTelemetry's context, so that whatever carries the trace carries this too; save for nodes without a span, for
which that would cost more than all else. Not for starting or ending anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN
from structlog import contextvars as structlog_context

from .capture import Value, tag
from .events import EXECUTION, Execution, NodeExecution, RunExecution, TaskExecution
from .limits import tag_name

_TAGS = otel_context.create_key("hamilton_otel.run_tags")


Attachment = tuple[Token[Context], Mapping[str, Token[Any]]]
"""What :func:`attach` has made current, for :func:`detach`."""

_NONE: Final[Mapping[str, Token[Any]]] = {}
_node: ContextVar[NodeExecution | None] = ContextVar("hamilton_otel.node", default=None)

enter_node, leave_node = _node.set, _node.reset
"""Make a node current that has no span: for nobody else's sake need its context differ from that around it."""


def attach(execution: Execution, log_variables: Mapping[str, Any] | None = None) -> Attachment:
    """Make *execution* current in this thread, and *log_variables* structlog's context variables."""
    log_tokens = structlog_context.bind_contextvars(**log_variables) if log_variables else _NONE
    return otel_context.attach(execution.context), log_tokens


def detach(attachment: Attachment) -> None:
    """Restore what was current before; for the thread (or task) that attached."""
    token, log_tokens = attachment
    otel_context.detach(token)
    if log_tokens:
        structlog_context.reset_contextvars(**log_tokens)


def execution(context: Context | None = None) -> Execution | None:
    """Return the run, task or node to which *context* (default: the current one) belongs."""
    found = otel_context.get_value(EXECUTION, context)
    if not isinstance(found, Execution):
        return None
    inner = _node.get()
    if inner is not None and found is (inner.task or inner.run):
        return inner
    return _only_node_in(found) or found


def _only_node_in(around: Execution) -> NodeExecution | None:
    """Return the node without a span that is going on in a run or task: other threads are given only its context."""
    if isinstance(around, NodeExecution):
        return None
    run = around.run if isinstance(around, TaskExecution) else around
    nodes = list(run.open_nodes.values()) if isinstance(run, RunExecution) else []
    inside = [node for node in nodes if node.span is INVALID_SPAN and (node.task or node.run) is around]
    return inside[0] if len(inside) == 1 else None


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
