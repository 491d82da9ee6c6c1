"""Brings the user's own structlog and logging records into the same stream, with the ids of the node they come from.

What the application has configured keeps its own output. Not for our own events (``logs.py``).
"""

from __future__ import annotations

import logging
import sys
from types import FrameType
from typing import Any, Final

from opentelemetry._logs import LogRecord
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.structlog import StructlogInstrumentor, StructlogProcessor
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, unwrap
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from wrapt import FunctionWrapper, wrap_function_wrapper

from . import current, semconv
from .capture import DEFAULT, Capture
from .events import NodeExecution, RunExecution, TaskExecution
from .guard import guard
from .redaction import REDACTED

_NOT_THE_USERS: Final = (
    "opentelemetry",
    "hamilton_otel",
    "hamilton.driver",
    "hamilton.async_driver",
    "hamilton.execution",
)
"""Loggers left out: ours and the SDK's (a loop), and Hamilton's error banners (they print a node's inputs in full, and
``hamilton.node.failed`` says the same without values)."""


class RunContextProcessor(LogRecordProcessor):
    """Adds the ids of the run and node to every record that is emitted inside one, and takes secrets out of all.

    :param policy: what may leave the process outside runs; inside, the run's own policy counts.
    """

    def __init__(self, policy: Capture = DEFAULT) -> None:
        self._policy = policy

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Add what the record's own context knows; take out and shorten what may not leave as it is."""
        record, scope = log_record.log_record, log_record.instrumentation_scope
        execution = current.execution(record.context)
        if isinstance(execution, (NodeExecution, TaskExecution)):
            run: RunExecution | None = execution.run
        else:
            run = execution if isinstance(execution, RunExecution) else None
        if scope is None or scope.name != semconv.SCOPE:
            limit = log_record.limits.max_log_record_attribute_length
            _clean(record, run.capture if run is not None else self._policy, limit)
        attributes = record.attributes
        if run is None or attributes is None or semconv.RUN_ID in attributes:
            return
        attributes[semconv.RUN_ID] = run.id  # type: ignore[index]
        attributes[semconv.DAG_NAME] = run.dag.name  # type: ignore[index]
        if isinstance(execution, NodeExecution):
            attributes[semconv.NODE_NAME] = execution.info.name  # type: ignore[index]

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True


class _Handler(LoggingHandler):
    """The instrumentation's handler, whose flush would start a thread, which a process that ends may not do."""

    def flush(self) -> None:
        """Leave flushing to the provider."""


def install(provider: LoggerProvider) -> None:
    """Send the records of structlog and of ``logging`` to *provider*, besides where they go already.

    ``logging`` is tapped where a logger calls its handlers and not by a handler on the root logger: that would silence
    ``logging.lastResort`` and make a later ``basicConfig()`` do nothing.
    """
    structlog_bridge = StructlogInstrumentor()
    if not structlog_bridge.is_instrumented_by_opentelemetry:
        structlog_bridge.instrument(logger_provider=provider)
    if not isinstance(StructlogProcessor.__call__, FunctionWrapper):
        wrap_function_wrapper(StructlogProcessor, "__call__", _guarded)
    handler = _Handler(logger_provider=provider)
    handler.addFilter(_is_the_users)

    def tap(call_handlers: Any, logger: logging.Logger, args: Any, kwargs: Any) -> None:
        call_handlers(*args, **kwargs)
        with guard("logging bridge"):
            handler.handle(*args, **kwargs)

    if not isinstance(logging.Logger.callHandlers, FunctionWrapper):
        wrap_function_wrapper(logging.Logger, "callHandlers", tap)


def _clean(record: LogRecord, policy: Capture, limit: int | None) -> None:
    """Take secrets out of a record that is not ours, whose texts the SDK has cut at *limit*; all of it on failure."""
    body, attributes = record.body, dict(record.attributes or {})
    record.body = REDACTED
    for name in attributes:
        record.attributes[name] = REDACTED  # type: ignore[index]
    with guard("redaction of a log record"):
        record.body = policy.body(body)
        for name, value in attributes.items():
            record.attributes[name] = policy.field(name, _uncut(value, limit))  # type: ignore[index]


def _uncut(value: Any, limit: int | None) -> Any:
    """Return *value* without its last word where it was cut there: half a secret is not recognized."""
    is_cut = limit is not None and isinstance(value, str) and len(value) >= limit
    return value.rpartition(" ")[0] if is_cut else value


def uninstall() -> None:
    """Leave structlog and ``logging`` as they were."""
    structlog_bridge = StructlogInstrumentor()
    if structlog_bridge.is_instrumented_by_opentelemetry:
        structlog_bridge.uninstrument()
    unwrap(StructlogProcessor, "__call__")
    unwrap(logging.Logger, "callHandlers")


def _guarded(call: Any, handler: StructlogProcessor, args: Any, kwargs: Any) -> Any:
    """Hand an event on to structlog's next processor, whatever becomes of it here."""
    with guard("structlog bridge"):
        return call(*args, **kwargs)
    return args[-1]


def _is_the_users(record: logging.LogRecord) -> bool:
    if record.name.startswith(_NOT_THE_USERS) or not is_instrumentation_enabled():
        return False  # the latter while we export: what the HTTP client logs of it would be exported, and so on
    return not _comes_from_structlog()


def _comes_from_structlog() -> bool:
    """Tell whether structlog made this logging call: its own bridge has the record already, with all its fields."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "") in (__name__, "logging"):
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__", "")).startswith("structlog")
