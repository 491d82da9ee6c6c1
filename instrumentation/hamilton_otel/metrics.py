"""The sink that counts and measures: every instrument that we have is created here.

Counts are exact for processes that live for seconds because they are exported as deltas and summed by the Collector;
this module only records. Attributes never hold a run id, a path or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider, Observation

from . import errors, semconv
from .capture import Attributes, Value
from .events import NodeExecution, RunExecution, Sink, TaskExecution
from .guard import guard
from .in_progress import InProgress
from .semconv import Metric
from .version import VERSION

MAX_PREPARED: Final = 10_000


class MetricsSink(Sink):
    """Records runs and nodes with a meter of *provider*.

    The gauges of runs in progress stay silent until the process has lived for *heartbeat* seconds, so that short
    processes add no series.
    """

    def __init__(self, provider: MeterProvider, heartbeat: float) -> None:
        meter = provider.get_meter(semconv.SCOPE, VERSION)
        self._run_starts = _counter(meter, semconv.RUN_STARTS)
        self._run_durations = _histogram(meter, semconv.RUN_DURATIONS)
        self._run_failures = _counter(meter, semconv.RUN_FAILURES)
        self._node_durations = _histogram(meter, semconv.NODE_DURATIONS)
        self._node_failures = _counter(meter, semconv.NODE_FAILURES)
        self._node_retries = _counter(meter, semconv.NODE_RETRIES)
        self._run_resumes = _counter(meter, semconv.RUN_RESUMES)
        self._cache_lookups = _counter(meter, semconv.CACHE_LOOKUPS)
        self._cache_stores = _counter(meter, semconv.CACHE_STORES)
        self._task_durations = _histogram(meter, semconv.TASK_DURATIONS)
        self._task_waits = _histogram(meter, semconv.TASK_WAITS)
        self._fanout_sizes = _histogram(meter, semconv.FANOUT_SIZES)
        self._active, self._tasks, self._pending = (InProgress(heartbeat) for _ in range(3))
        self._node_attributes: dict[tuple[str, Value | None, str, str], Attributes] = {}
        self._observe(meter, semconv.RUN_ACTIVE, self._active.counts)
        self._observe(meter, semconv.RUN_OLDEST_START, self._active.oldest)
        self._observe(meter, semconv.TASK_ACTIVE, self._tasks.counts)
        self._observe(meter, semconv.TASK_PENDING, self._pending.counts)
        self._observe(meter, semconv.TELEMETRY_ERRORS, _observe_errors)

    def run_started(self, run: RunExecution) -> None:
        """Count the start, and the run among those in progress."""
        attributes = _run_attributes(run)
        self._run_starts.add(1, attributes, context=run.context)
        self._active.add(run, run.id, run.started_at / 1e9)

    def run_finished(self, run: RunExecution) -> None:
        """Measure the duration, and count a failure by its error."""
        attributes = _run_attributes(run)
        self._active.remove(run, run.id)
        self._pending.forget(run)
        self._run_durations.record(run.seconds, {**attributes, semconv.OUTCOME: run.outcome}, context=run.context)
        for node_name, stores in run.stores.items():
            self._cache_stores.add(stores, {**attributes, semconv.NODE_NAME: node_name}, context=run.context)
        if run.outcome == "failure" and run.error is not None:
            self._run_failures.add(1, {**attributes, **_error_attributes(run.error)}, context=run.context)

    def run_resumed(self, run: RunExecution) -> None:
        """Count the run that resumes another."""
        self._run_resumes.add(1, _run_attributes(run), context=run.context)

    def task_submitted(self, run: RunExecution, task_id: str) -> None:
        """Count the task among those that wait."""
        self._pending.add(run, task_id, run.started_at / 1e9)

    def task_started(self, task: TaskExecution) -> None:
        """Count the task among those in progress, and measure its wait."""
        self._pending.remove(task.run, task.id)
        self._tasks.add(task.run, task.id, task.started_at / 1e9)
        if task.wait is not None:
            self._task_waits.record(task.wait / 1e9, _task_attributes(task), context=task.context)

    def task_finished(self, task: TaskExecution) -> None:
        """Measure the task's duration."""
        self._tasks.remove(task.run, task.id)
        attributes = {**_task_attributes(task), semconv.OUTCOME: task.outcome}
        self._task_durations.record(task.seconds, attributes, context=task.context)

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Count the task no longer among those that wait."""
        self._pending.remove(run, task_id)

    def expanded(self, run: RunExecution, node_name: str, size: int) -> None:
        """Measure the size of a parallel block."""
        attributes = {**_run_attributes(run), semconv.NODE_NAME: node_name}
        self._fanout_sizes.record(size, attributes, context=run.context)

    def node_finished(self, node: NodeExecution) -> None:
        """Measure the duration, and count a failure by its error."""
        attributes = self._prepared(node)
        self._node_durations.record(node.seconds, attributes, context=node.context)
        if node.cache_result is not None:
            named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
            self._cache_lookups.add(1, {**named, semconv.CACHE_RESULT: node.cache_result}, context=node.context)
        if node.outcome == "failure" and node.error is not None:
            named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
            self._node_failures.add(1, {**named, **_error_attributes(node.error)}, context=node.context)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Count the retry."""
        attributes = {
            **_run_attributes(node.run),
            semconv.NODE_NAME: node.info.name,
            semconv.ERROR_TYPE: errors.error_type(error),
        }
        self._node_retries.add(1, attributes, context=node.context)

    def _prepared(self, node: NodeExecution) -> Attributes:
        key = (node.run.dag.name, node.run.team, node.info.name, node.outcome)
        attributes = self._node_attributes.get(key)
        if attributes is None:
            if len(self._node_attributes) >= MAX_PREPARED:
                self._node_attributes.clear()
            attributes = {
                **_run_attributes(node.run),
                semconv.NODE_NAME: node.info.name,
                semconv.OUTCOME: node.outcome,
            }
            self._node_attributes[key] = attributes
        return attributes

    def _observe(self, meter: Meter, metric: Metric, observe: Callable[[], Iterable[Observation]]) -> None:
        def callback(options: CallbackOptions) -> Iterable[Observation]:
            return observe()

        create = {
            "observable_counter": meter.create_observable_counter,
            "observable_up_down_counter": meter.create_observable_up_down_counter,
            "observable_gauge": meter.create_observable_gauge,
        }[metric.kind]
        create(metric.name, [callback], metric.unit, metric.meaning)


def _observe_errors() -> Iterable[Observation]:
    return [Observation(guard.errors)] if guard.errors else []


def _counter(meter: Meter, metric: Metric) -> Counter:
    return meter.create_counter(metric.name, metric.unit, metric.meaning)


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=metric.boundaries
    )


def _task_attributes(task: TaskExecution) -> Attributes:
    return {**_run_attributes(task.run), semconv.TASK_NAME: task.name}


def _run_attributes(run: RunExecution) -> Attributes:
    team = run.team
    if team is None:
        return {semconv.DAG_NAME: run.dag.name}
    return {semconv.DAG_NAME: run.dag.name, semconv.TEAM: team}


def _error_attributes(error: BaseException) -> Attributes:
    return {semconv.ERROR_TYPE: errors.error_type(error), semconv.ERROR_KIND: errors.error_kind(error)}
