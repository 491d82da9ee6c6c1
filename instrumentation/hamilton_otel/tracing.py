"""The sink that makes spans: one per run, one per node, linked to the spans of the node's inputs.

Not for who is current (``recorder.py`` attaches what this sink puts into ``context``) nor for export
(``providers.py``). Status and exception events follow OpenTelemetry's "Recording errors": unset on success, ERROR
with ``error.type`` on failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.trace import Link, Span, SpanContext, StatusCode, Tracer, TracerProvider, set_span_in_context

from . import capture, errors, semconv, span_ids
from .events import Execution, NodeExecution, RunExecution, Sink, TaskExecution
from .span_ids import DerivedIds
from .version import VERSION

MAX_LINKS: Final = 100
"""Below the SDK's limit of 128, so that a user can add some."""
MAX_NAMES: Final = 100
"""Outputs, inputs and overrides that a run's span names."""


class TracingSink(Sink):
    """Makes the spans of runs and nodes with a tracer of *provider*."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer: Tracer = provider.get_tracer(semconv.SCOPE, VERSION)
        self._derives = isinstance(getattr(provider, "id_generator", None), DerivedIds)

    def run_started(self, run: RunExecution) -> None:
        """Start the run's span, with its tags and the names of what goes in and out."""
        attributes: dict[str, capture.Value | tuple[str, ...]] = {
            semconv.DAG_NAME: run.dag.name,
            semconv.DAG_VERSION: run.dag.version,
            semconv.RUN_ID: run.id,
            semconv.RUN_OUTPUTS: run.outputs[:MAX_NAMES],
        }
        if run.inputs:
            attributes[semconv.RUN_INPUTS] = run.inputs[:MAX_NAMES]
        if run.overrides:
            attributes[semconv.RUN_OVERRIDES] = run.overrides[:MAX_NAMES]
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
        _end(run)

    def run_resumed(self, run: RunExecution) -> None:
        """Mark the run's span."""
        run.span.set_attribute(semconv.RUN_RESUMED, True)

    def task_started(self, task: TaskExecution) -> None:
        """Start the task's span, with the time that it has waited."""
        run = task.run
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
        _end(task)

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
        _remember(node.run, node.info.name, node.task.id if node.task else None, node.span.get_span_context())
        if node.span.is_recording():
            node.span.set_attributes(node.summary)
            if node.cache_result is not None:
                node.span.set_attribute(semconv.CACHE_RESULT, node.cache_result)
        _end(node)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Add a retry event to the node's span."""
        attributes = {
            semconv.ERROR_TYPE: errors.error_type(error),
            semconv.EXCEPTION_MESSAGE: capture.exception_message(error),
        }
        node.span.add_event(semconv.RETRY_EVENT, attributes)


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


def _end(execution: Execution) -> None:
    span: Span = execution.span
    try:
        if span.is_recording():
            span.set_attribute(semconv.OUTCOME, execution.outcome)
            if execution.error is not None:
                _record_error(execution, execution.error)
    finally:
        span.end(execution.ended_at)


def _record_error(execution: Execution, error: BaseException) -> None:
    span = execution.span
    span.set_attribute(semconv.ERROR_TYPE, errors.error_type(error))
    if execution.outcome == "failure":
        span.set_attribute(semconv.ERROR_KIND, errors.error_kind(error))
        span.set_status(StatusCode.ERROR, capture.exception_message(error))
        if isinstance(execution, TaskExecution):
            return
        span.add_event(semconv.EXCEPTION_EVENT, capture.describe_exception(error), execution.ended_at)
