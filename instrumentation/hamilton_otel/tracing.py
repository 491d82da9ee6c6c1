"""The sink that makes spans: one per run, one per node, linked to the spans of the node's inputs.

Not for who is current (``recorder.py`` attaches what this sink puts into ``context``) nor for export
(``providers.py``). Status and exception events follow OpenTelemetry's "Recording errors": unset on success, ERROR
with ``error.type`` on failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
)

from . import capture, errors, links, semconv, span_ids
from .capture import Capture, Value
from .events import Execution, NodeExecution, RunExecution, Sink, TaskExecution
from .fast_spans import FastSpan, fast_path
from .span_ids import DerivedIds
from .version import VERSION


class TracingSink(Sink):
    """Makes the spans of runs, tasks and nodes with a tracer of *provider*.

    With *fast*, spans of nodes take the fast path where that is possible.
    A run has up to *max_spans* spans of tasks and nodes in each process. What is beyond has none of its own: the span
    around it takes its place, for log records and for what it starts itself.
    """

    def __init__(self, provider: TracerProvider, max_spans: int, fast: bool = False) -> None:
        self._max_spans = max_spans
        self._tracer: Tracer = provider.get_tracer(semconv.SCOPE, VERSION)
        self._derives = isinstance(getattr(provider, "id_generator", None), DerivedIds)
        self._fast = fast_path(self._tracer) if fast else None

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
            context=run.around,
            attributes=attributes,
            start_time=run.started_at,
        )
        if self._fast is not None and not run.span.is_recording():
            run.sinks = run.sinks.without(self)

    def run_finished(self, run: RunExecution) -> None:
        """End the run's span with its outcome and counts."""
        if run.span.is_recording():
            counts = {semconv.RUN_NODE_COUNT: run.node_count, semconv.RUN_FAILED_NODE_COUNT: run.failed_node_count}
            _end(run, run.capture, {**counts, **run.rows.attributes()})
        run.targets, run.node_spans = {}, None

    def run_resumed(self, run: RunExecution) -> None:
        """Mark the run's span."""
        run.span.set_attribute(semconv.RUN_RESUMED, True)

    def task_started(self, task: TaskExecution) -> None:
        """Start the task's span, with the time that it has waited."""
        run = task.run
        if next(run.span_numbers) >= self._max_spans:
            self._do_without(task)
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
            context=task.around,
            attributes=attributes,
            start_time=task.started_at,
        )

    def task_finished(self, task: TaskExecution) -> None:
        """End the task's span with its outcome; the exception itself is on the node that raised it."""
        if task.span.is_recording():
            _end(task, task.run.capture, {})

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Remember the spans of a task that another process executed, for links."""
        if self._derives:
            root = run.span.get_span_context()
            for name in nodes:
                span_id = span_ids.derive(root.trace_id, run.id, task_id, name)
                link = Link(SpanContext(root.trace_id, span_id, True, root.trace_flags))
                links.remember(run.targets, name, task_id, link)

    def node_started(self, node: NodeExecution) -> None:
        """Start the node's span."""
        run = node.run
        if next(run.span_numbers) >= self._max_spans:
            self._do_without(node)
            return
        if self._fast is not None:
            around = node.task or run
            spans = around.node_spans
            if spans is None:
                spans = around.node_spans = self._fast.of(around, run)
            if spans.start(node):
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
            context=node.around,
            attributes=attributes,
            links=links.as_links(
                links.of_node(run.targets, node.info.dependencies, node.task.id if node.task else None),
                run.span.get_span_context(),
            ),
            start_time=node.started_at,
        )

    def node_finished(self, node: NodeExecution) -> None:
        """End the node's span with its outcome and the summary of its result."""
        span = node.span
        if (type(span) is FastSpan and span.finish(node)) or not span.is_recording():
            return
        attributes: dict[str, Value] = dict(node.summary()) if node.outcome == "success" else {}
        if node.cache_result is not None:
            attributes[semconv.CACHE_RESULT] = node.cache_result
        task_id = node.task.id if node.task else None
        links.remember(node.run.targets, node.info.name, task_id, Link(span.get_span_context()))
        _end(node, node.run.capture, attributes)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Add a retry event to the node's span."""
        attributes = {
            semconv.ERROR_TYPE: errors.error_type(error),
            semconv.EXCEPTION_MESSAGE: node.run.capture.exception_message(error),
        }
        node.span.add_event(semconv.RETRY_EVENT, attributes)

    def _do_without(self, execution: TaskExecution | NodeExecution) -> None:
        """Let the span around *execution* stand for its own, closed to attributes."""
        run = execution.run
        execution.span = NonRecordingSpan(get_current_span(execution.around).get_span_context())
        if not run.lacks_spans:
            run.lacks_spans = True
            run.sinks.tell("limit_reached", run, "spans")


def _end(execution: Execution, policy: Capture, attributes: Mapping[str, Value]) -> None:
    """End a span that records."""
    try:
        execution.span.set_attributes({**attributes, semconv.OUTCOME: execution.outcome})
        if execution.error is not None:
            _record_error(execution, execution.error, policy)
    finally:
        execution.span.end(execution.ended_at)


def _record_error(execution: Execution, error: BaseException, policy: Capture) -> None:
    span = execution.span
    span.set_attribute(semconv.ERROR_TYPE, errors.error_type(error))
    if execution.outcome == "failure":
        span.set_attribute(semconv.ERROR_KIND, errors.error_kind(error))
        span.set_status(StatusCode.ERROR, policy.exception_message(error))
        if isinstance(execution, TaskExecution):
            return
        span.add_event(semconv.EXCEPTION_EVENT, policy.describe_exception(error), execution.ended_at)
