"""The sink that makes spans: one per run, one per node, linked to the spans of the node's inputs.

Not for who is current (``recorder.py`` attaches what this sink puts into ``context``) nor for export
(``providers.py``). Status and exception events follow OpenTelemetry's "Recording errors": unset on success, ERROR
with ``error.type`` on failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
    set_span_in_context,
)

from . import capture, errors, semconv, span_ids
from .capture import Capture
from .events import Execution, NodeExecution, RunExecution, Sink, TaskExecution, notify
from .span_ids import DerivedIds
from .version import VERSION

MAX_LINKS: Final = 100
"""Below the SDK's limit of 128, so that a user can add some."""


class TracingSink(Sink):
    """Makes the spans of runs, tasks and nodes with a tracer of *provider*.

    A run has up to *max_spans* spans of tasks and nodes in each process. What is beyond has none of its own: the span
    around it takes its place, for log records and for what it starts itself.
    """

    def __init__(self, provider: TracerProvider, max_spans: int) -> None:
        self._max_spans = max_spans
        self._tracer: Tracer = provider.get_tracer(semconv.SCOPE, VERSION)
        self._derives = isinstance(getattr(provider, "id_generator", None), DerivedIds)

    def run_started(self, run: RunExecution) -> None:
        """Start the run's span, with its tags and the names of what goes in and out."""
        attributes: dict[str, capture.Value | tuple[str, ...]] = {
            semconv.DAG_NAME: run.dag.name,
            semconv.DAG_VERSION: run.dag.version,
            semconv.RUN_ID: run.id,
            semconv.RUN_OUTPUTS: run.outputs,
        }
        if run.inputs:
            attributes[semconv.RUN_INPUTS] = run.inputs
        if run.overrides:
            attributes[semconv.RUN_OVERRIDES] = run.overrides
        attributes |= run.input_values
        attributes |= {f"{semconv.RUN_TAGS}.{key}": value for key, value in run.tags.items()}
        run.span = self._tracer.start_span(
            semconv.SPAN_RUN.format(dag=run.dag.name),
            context=run.context,
            attributes=attributes,
            start_time=run.started_at,
        )
        run.context = set_span_in_context(run.span, run.context)

    def run_finished(self, run: RunExecution) -> None:
        """End the run's span with its outcome and counts."""
        if run.span.is_recording():
            run.span.set_attributes(
                {semconv.RUN_NODE_COUNT: run.node_count, semconv.RUN_FAILED_NODE_COUNT: run.failed_node_count}
            )
        _end(run, run.capture)
        run.node_spans.clear()

    def run_resumed(self, run: RunExecution) -> None:
        """Mark the run's span."""
        run.span.set_attribute(semconv.RUN_RESUMED, True)

    def task_started(self, task: TaskExecution) -> None:
        """Start the task's span, with the time that it has waited."""
        run = task.run
        if not self._has_room(run):
            _do_without(task)
            return
        attributes: capture.Attributes = {
            semconv.DAG_NAME: run.dag.name,
            semconv.DAG_VERSION: run.dag.version,
            semconv.RUN_ID: run.id,
            semconv.TASK_ID: task.id,
            semconv.TASK_NAME: task.name,
        }
        if task.wait is not None:
            attributes[semconv.TASK_WAIT] = task.wait / 1e9
        task.span = self._tracer.start_span(
            semconv.SPAN_TASK.format(task=task.name),
            context=task.context,
            attributes=attributes,
            start_time=task.started_at,
        )
        task.context = set_span_in_context(task.span, task.context)

    def task_finished(self, task: TaskExecution) -> None:
        """End the task's span with its outcome; the exception itself is on the node that raised it."""
        _end(task, task.run.capture)

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Remember the spans of a task that another process executed, for links."""
        if self._derives:
            root = run.span.get_span_context()
            for name in nodes:
                span_id = span_ids.derive(root.trace_id, run.id, task_id, name)
                _remember(run, name, task_id, SpanContext(root.trace_id, span_id, True, root.trace_flags))

    def node_started(self, node: NodeExecution) -> None:
        """Start the node's span."""
        run = node.run
        if not self._has_room(run):
            _do_without(node)
            return
        attributes = {
            **node.info.attributes,
            semconv.DAG_NAME: run.dag.name,
            semconv.DAG_VERSION: run.dag.version,
            semconv.RUN_ID: run.id,
        }
        if node.task is not None:
            attributes[semconv.TASK_ID] = node.task.id
            if self._derives:
                trace_id = run.span.get_span_context().trace_id
                span_ids.use(span_ids.derive(trace_id, run.id, node.task.id, node.info.name))
        node.span = self._tracer.start_span(
            node.info.span_name,
            context=node.context,
            attributes=attributes,
            links=[Link(source) for source in _sources(node)],
            start_time=node.started_at,
        )
        node.context = set_span_in_context(node.span, node.context)

    def node_finished(self, node: NodeExecution) -> None:
        """End the node's span with its outcome and the summary of its result."""
        if node.span.is_recording():
            _remember(node.run, node.info.name, node.task.id if node.task else None, node.span.get_span_context())
            node.span.set_attributes(node.summary)
            if node.cache_result is not None:
                node.span.set_attribute(semconv.CACHE_RESULT, node.cache_result)
        _end(node, node.run.capture)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Add a retry event to the node's span."""
        attributes = {
            semconv.ERROR_TYPE: errors.error_type(error),
            semconv.EXCEPTION_MESSAGE: node.run.capture.exception_message(error),
        }
        node.span.add_event(semconv.RETRY_EVENT, attributes)

    def _has_room(self, run: RunExecution) -> bool:
        number = next(run.span_numbers)
        if number == self._max_spans:
            notify(run.sinks, "limit_reached", run, "spans")
        return number < self._max_spans


def _do_without(execution: Execution) -> None:
    """Let the span around *execution* stand for its own, closed to attributes."""
    execution.span = NonRecordingSpan(get_current_span(execution.context).get_span_context())
    execution.context = set_span_in_context(execution.span, execution.context)


def _remember(run: RunExecution, name: str, task_id: str | None, span: SpanContext) -> None:
    spans = run.node_spans.setdefault(name, {})
    if len(spans) < MAX_LINKS:
        spans[task_id] = span


def _sources(node: NodeExecution) -> list[SpanContext]:
    """Return the spans of the node's inputs: those of its own task, else those of all tasks of that name."""
    task_id = node.task.id if node.task else None
    sources: list[SpanContext] = []
    for name in node.info.dependencies:
        by_task = node.run.node_spans.get(name, {})
        sources += [by_task[task_id]] if task_id in by_task else by_task.values()
    return sources[:MAX_LINKS]


def _end(execution: Execution, policy: Capture) -> None:
    span: Span = execution.span
    try:
        if span.is_recording():
            span.set_attribute(semconv.OUTCOME, execution.outcome)
            if execution.error is not None:
                _record_error(execution, execution.error, policy)
    finally:
        span.end(execution.ended_at)


def _record_error(execution: Execution, error: BaseException, policy: Capture) -> None:
    span = execution.span
    span.set_attribute(semconv.ERROR_TYPE, errors.error_type(error))
    if execution.outcome == "failure":
        span.set_attribute(semconv.ERROR_KIND, errors.error_kind(error))
        span.set_status(StatusCode.ERROR, policy.exception_message(error))
        if isinstance(execution, TaskExecution):
            return
        span.add_event(semconv.EXCEPTION_EVENT, policy.describe_exception(error), execution.ended_at)
