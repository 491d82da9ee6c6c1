"""The sink that counts and measures: every instrument that we have is created here.

Counts are exact for processes that live for seconds because they are exported as deltas and summed by the Collector;
this module only records. Attributes never hold a run id, a path or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from . import errors, limits, semconv
from .artifacts import Artifact
from .capture import Attributes, Value
from .data_quality import Check
from .durations import Durations
from .events import NodeExecution, RunExecution, Sink, TaskExecution
from .health import health
from .in_progress import InProgress
from .limits import Cardinality
from .semconv import Metric
from .version import VERSION

_OVERFLOW: Final[Attributes] = {semconv.OVERFLOW: True}


class MetricsSink(Sink):
    """Records runs and nodes with a meter of *provider*.

    The gauges of runs in progress stay silent until the process has lived for *heartbeat* seconds, so that short
    processes add no series. Each instrument has up to *cardinality_limit* sets of attributes: what is beyond is counted
    in the set ``otel.metric.overflow``, so that sums stay exact.
    """

    def __init__(self, provider: MeterProvider, heartbeat: float, cardinality_limit: int) -> None:
        meter = provider.get_meter(semconv.SCOPE, VERSION)
        instrument = partial(_Instrument, meter, cardinality_limit)
        self._limit = cardinality_limit
        self._run_starts = instrument(semconv.RUN_STARTS)
        self._run_durations = instrument(semconv.RUN_DURATIONS)
        self._run_failures = instrument(semconv.RUN_FAILURES)
        self._node_durations = instrument(semconv.NODE_DURATIONS)
        self._durations = Durations(self._node_durations.record, semconv.NODE_DURATIONS.boundaries or ())
        self._node_failures = instrument(semconv.NODE_FAILURES)
        self._node_retries = instrument(semconv.NODE_RETRIES)
        self._run_resumes = instrument(semconv.RUN_RESUMES)
        self._cache_lookups = instrument(semconv.CACHE_LOOKUPS)
        self._cache_stores = instrument(semconv.CACHE_STORES)
        self._task_durations = instrument(semconv.TASK_DURATIONS)
        self._task_waits = instrument(semconv.TASK_WAITS)
        self._fanout_sizes = instrument(semconv.FANOUT_SIZES)
        self._rows = instrument(semconv.ROWS)
        self._waiting_rows = Durations(self._rows.record, ())
        self._rows_of: dict[tuple[str, Value | None, str, str], Attributes] = {}
        self._checks = instrument(semconv.CHECKS)
        self._artifact_sizes = instrument(semconv.ARTIFACT_SIZES)
        self._artifact_durations = instrument(semconv.ARTIFACT_DURATIONS)
        self._active, self._tasks, self._pending = (
            InProgress(heartbeat, Cardinality(metric, cardinality_limit))
            for metric in (semconv.RUN_ACTIVE, semconv.TASK_ACTIVE, semconv.TASK_PENDING)
        )
        self._prepared: dict[tuple[str, Value | None], dict[str, Attributes]] = {}
        self._observe(meter, semconv.RUN_ACTIVE, self._active.counts)
        self._observe(meter, semconv.RUN_OLDEST_START, self._active.oldest)
        self._observe(meter, semconv.TASK_ACTIVE, self._tasks.counts)
        self._observe(meter, semconv.TASK_PENDING, self._pending.counts)
        for metric in semconv.TELEMETRY_METRICS:
            self._observe(meter, metric, partial(health.observations, metric))

    def run_started(self, run: RunExecution) -> None:
        """Count the start, and the run among those in progress."""
        if run.series in self._prepared or len(self._prepared) < self._limit:
            run.durations = self._prepared.setdefault(run.series, run.durations)
        attributes = _run_attributes(run)
        self._run_starts.measure(1, attributes, run.context)
        self._active.add(run, run.id, run.started_at / 1e9)

    def run_finished(self, run: RunExecution) -> None:
        """Measure the duration, and count a failure by its error."""
        attributes = _run_attributes(run)
        self._active.remove(run, run.id)
        self._pending.forget(run)
        self._run_durations.measure(run.seconds, {**attributes, semconv.OUTCOME: run.outcome}, run.context)
        for node_name, stores in run.stores.items():
            named = {**attributes, semconv.NODE_NAME: limits.name(node_name)}
            self._cache_stores.measure(stores, named, run.context)
        if run.outcome == "failure" and run.error is not None:
            self._run_failures.measure(1, {**attributes, **_error_attributes(run.error)}, run.context)

    def run_resumed(self, run: RunExecution) -> None:
        """Count the run that resumes another."""
        self._run_resumes.measure(1, _run_attributes(run), run.context)

    def task_submitted(self, run: RunExecution, task_id: str) -> None:
        """Count the task among those that wait."""
        self._pending.add(run, task_id, run.started_at / 1e9)

    def task_started(self, task: TaskExecution) -> None:
        """Count the task among those in progress, and measure its wait."""
        self._pending.remove(task.run, task.id)
        self._tasks.add(task.run, task.id, task.started_at / 1e9)
        if task.wait is not None:
            self._task_waits.measure(task.wait / 1e9, _task_attributes(task), task.context)

    def task_finished(self, task: TaskExecution) -> None:
        """Measure the task's duration."""
        self._tasks.remove(task.run, task.id)
        attributes = {**_task_attributes(task), semconv.OUTCOME: task.outcome}
        self._task_durations.measure(task.seconds, attributes, task.context)

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Count the task no longer among those that wait."""
        self._pending.remove(run, task_id)

    def expanded(self, run: RunExecution, node_name: str, size: int) -> None:
        """Measure the size of a parallel block."""
        attributes = {**_run_attributes(run), semconv.NODE_NAME: node_name}
        self._fanout_sizes.measure(size, attributes, run.context)

    def node_finished(self, node: NodeExecution) -> None:
        """Note duration and rows, and count what the cache did."""
        prepared = node.run.durations.get(node.info.name) if node.outcome == "success" else None
        self._durations.add(node.duration / 1e9, prepared or self._prepare(node), node.span)
        if node.rows is not None:
            for direction, rows in node.rows.items():
                self._waiting_rows.add(rows, self._prepare_rows(node, direction), node.span)
        if node.cache_result is not None:
            named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
            self._cache_lookups.measure(1, {**named, semconv.CACHE_RESULT: node.cache_result}, node.context)

    def node_failed(self, node: NodeExecution) -> None:
        """Count the failure by its error."""
        if node.error is not None:
            named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
            self._node_failures.measure(1, {**named, **_error_attributes(node.error)}, node.context)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Count the retry."""
        attributes = {
            **_run_attributes(node.run),
            semconv.NODE_NAME: node.info.name,
            semconv.ERROR_TYPE: errors.error_type(error),
        }
        self._node_retries.measure(1, attributes, node.context)

    def result_checked(self, node: NodeExecution, check: Check, findings: Attributes) -> None:
        """Count the check by its result."""
        attributes = {
            **_run_attributes(node.run),
            semconv.NODE_NAME: check.node,
            semconv.CHECK: check.name,
            semconv.CHECK_RESULT: findings[semconv.CHECK_RESULT],
        }
        self._checks.measure(1, attributes, node.context)

    def artifact_handled(self, node: NodeExecution, artifact: Artifact, findings: Attributes) -> None:
        """Measure how long that took, and the artifact's size where it is known."""
        named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
        operation = {semconv.ARTIFACT_OPERATION: artifact.operation, semconv.OUTCOME: node.outcome}
        self._artifact_durations.measure(node.seconds, {**named, **operation}, node.context)
        size = findings.get(semconv.ARTIFACT_SIZE)
        if isinstance(size, int):
            self._artifact_sizes.measure(size, {**named, semconv.ARTIFACT_FORMAT: artifact.format}, node.context)

    def _prepare(self, node: NodeExecution) -> Attributes:
        attributes = self._node_durations.admitted(
            {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name, semconv.OUTCOME: node.outcome}
        )
        if attributes is not _OVERFLOW and node.outcome == "success":
            node.run.durations[node.info.name] = attributes
        return attributes

    def _prepare_rows(self, node: NodeExecution, direction: str) -> Attributes:
        key = (*node.run.series, node.info.name, direction)
        prepared = self._rows_of.get(key)
        if prepared is None:
            named = {**_run_attributes(node.run), semconv.NODE_NAME: node.info.name}
            prepared = self._rows.admitted({**named, semconv.ROWS_DIRECTION: direction})
            if prepared is not _OVERFLOW:
                self._rows_of[key] = prepared
        return prepared

    def _observe(self, meter: Meter, metric: Metric, observe: Callable[[], Iterable[Observation]]) -> None:
        def callback(options: CallbackOptions) -> Iterable[Observation]:
            self._durations.record()  # what is collected next is to be complete
            self._waiting_rows.record()
            return observe()

        create = {
            "observable_counter": meter.create_observable_counter,
            "observable_up_down_counter": meter.create_observable_up_down_counter,
            "observable_gauge": meter.create_observable_gauge,
        }[metric.kind]
        create(metric.name, [callback], metric.unit, metric.meaning)


class _Instrument:
    """A counter or histogram whose sets of attributes are bounded."""

    def __init__(self, meter: Meter, limit: int, metric: Metric) -> None:
        self._cardinality = Cardinality(metric, limit)
        self.record = _recorder(meter, metric)

    def measure(self, amount: float, attributes: Attributes, context: Context) -> None:
        self.record(amount, self.admitted(attributes), context)

    def admitted(self, attributes: Attributes) -> Attributes:
        return attributes if self._cardinality.admits(frozenset(attributes.items())) else _OVERFLOW


def _recorder(meter: Meter, metric: Metric) -> Callable[[float, Mapping[str, Value], Context], None]:
    if metric.kind == "counter":
        return meter.create_counter(metric.name, metric.unit, metric.meaning).add
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=metric.boundaries
    ).record


def _task_attributes(task: TaskExecution) -> Attributes:
    return {**_run_attributes(task.run), semconv.TASK_NAME: task.name}


def _run_attributes(run: RunExecution) -> Attributes:
    dag, team = run.series
    return {semconv.DAG_NAME: dag} if team is None else {semconv.DAG_NAME: dag, semconv.TEAM: team}


def _error_attributes(error: BaseException) -> Attributes:
    return {semconv.ERROR_TYPE: errors.error_type(error), semconv.ERROR_KIND: errors.error_kind(error)}
