"""The contract between Hamilton's side and the sinks: what a run, a task and a node carry, and who hears of it.

One object per run, task and node, handed to every sink when it starts and again when it ends. Not for deciding what
becomes of it: that is for the sinks.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

from .capture import DEFAULT, Attributes, Capture, Value
from .guard import guard
from .rows import RunRows

if TYPE_CHECKING:  # so that configure() need not load Hamilton
    from .artifacts import Artifact
    from .caching import CacheResult
    from .dag import Dag, NodeInfo
    from .data_quality import Check
    from .errors import Outcome
    from .fast_spans import NodeSpans
    from .links import Targets

EXECUTION: Final = otel_context.create_key("hamilton_otel.execution")
"""Where an OpenTelemetry context holds the run, task or node that it belongs to."""

_NOTHING: Final[Mapping[str, Any]] = {}
_SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))


@dataclass(eq=False)
class Execution:
    """What runs, tasks and nodes have in common.

    ``around`` is the OpenTelemetry context in which it begins, ``context`` the one in which its work runs: with itself
    and with ``span``, which the tracing sink sets before anybody asks for it.
    ``started_at`` is Unix time in nanoseconds, ``duration`` nanoseconds of a monotonic clock (0 until the end).
    ``outcome`` and ``error`` are set before a sink's ``*_finished`` is called.
    What is not set at the start is not among the parameters: for a node that would take longer than all the rest of it.
    """

    around: Context
    started_at: int
    clock: int
    duration: int = field(init=False, default=0)
    outcome: Outcome = field(init=False, default="success")
    error: BaseException | None = field(init=False, default=None)
    span: Span = field(init=False, default=INVALID_SPAN)

    @property
    def context(self) -> Context:
        """Return the context in which its work runs."""
        values = self.around.copy()
        values[EXECUTION] = self
        if self.span is not INVALID_SPAN:
            values[_SPAN] = self.span
        return Context(values)

    @property
    def ended_at(self) -> int:
        """Return the end in Unix nanoseconds, from the start and the monotonic duration."""
        return self.started_at + self.duration

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return self.duration / 1e9


@dataclass(eq=False)
class RunExecution(Execution):
    """One execution of a DAG.

    ``sinks`` are those of its start, whatever is configured meanwhile.
    ``targets`` are the spans of its nodes that have ended, for links; ``node_spans`` makes those of its nodes, where
    the fast path does. ``span_numbers`` counts the tasks and nodes that were to have a span in this process; it
    ``lacks_spans`` where some have none.
    ``ended`` and ``failed`` count its nodes; ``next()`` adds one, from any thread.
    ``open_nodes`` are those in progress. ``durations`` holds the metric attributes of its nodes that succeed, by
    name.
    ``capture`` says what of it may leave the process; ``input_values`` are those of its inputs that may.
    ``rows`` counts those of its nodes' tabular results.
    ``resumed`` says that results of a run that failed were found in the cache; ``stores`` counts the results stored
    there, by node, once the run has ended.
    """

    id: str
    sinks: Sinks
    dag: Dag
    tags: Mapping[str, Value]
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    capture: Capture = DEFAULT
    input_values: Attributes = field(default_factory=dict)
    ended: count[int] = field(default_factory=count)
    failed: count[int] = field(default_factory=count)
    targets: Targets = field(default_factory=dict)
    node_spans: NodeSpans | None = None
    span_numbers: Iterator[int] = field(default_factory=count)
    lacks_spans: bool = False
    open_nodes: Mapping[Any, NodeExecution] = field(default_factory=dict)
    durations: dict[str, Attributes] = field(default_factory=dict)
    rows: RunRows = field(default_factory=RunRows)
    resumed: bool = False
    stores: Mapping[str, int] = field(default_factory=dict)

    @property
    def node_count(self) -> int:
        """Return how many nodes have ended."""
        return next(copy(self.ended))

    @property
    def failed_node_count(self) -> int:
        """Return how many nodes have failed."""
        return next(copy(self.failed))

    @cached_property
    def series(self) -> tuple[str, Value | None]:
        """Return what tells the run's metrics from those of others: the DAG, and the tag ``team``."""
        return self.dag.name, self.tags.get("team")


@dataclass(eq=False)
class TaskExecution(Execution):
    """One execution of a task, the unit that Hamilton's executors distribute.

    ``name`` is the same for all tasks of a parallel block, ``id`` is not. ``wait`` is the time from its submission to
    its start in nanoseconds, None where the submission is not known.
    """

    run: RunExecution
    id: str
    name: str
    wait: int | None = None
    node_spans: NodeSpans | None = None


@dataclass(eq=False)
class NodeExecution(Execution):
    """One execution of a node. ``inputs`` are the values that it reads: for types and shapes only.

    ``result`` is what a node that succeeded returned, for :meth:`summary`; ``cache_result`` whether it came from the
    cache, None where it was not looked for there; ``caught`` an exception that another adapter has swallowed. ``node``
    is Hamilton's own. ``thread`` and ``attachment`` say where it was made current; under the async driver
    ``attachment`` is None and ``future`` the node's own task. ``rows`` are those of tabular values, by direction;
    ``findings`` span attributes that its result has because of the node's role: both None for most nodes.
    """

    run: RunExecution
    node: Any
    info: NodeInfo
    inputs: Mapping[str, Any]
    thread: int
    task: TaskExecution | None
    result: Any = field(init=False, default=None)
    rows: Mapping[str, int] | None = field(init=False, default=None)
    findings: Attributes | None = field(init=False, default=None)
    cache_result: CacheResult | None = field(init=False, default=None)
    caught: BaseException | None = field(init=False, default=None)
    attachment: Any = field(init=False, default=None)
    future: Future[Any] | None = field(init=False, default=None)

    def summary(self) -> Mapping[str, Value]:
        """Return the ``hamilton.result.*`` attributes of a node that has just succeeded, and its findings."""
        try:
            summary = self.run.capture.summarize(self.info.name, self.result)
        except Exception as error:
            guard.swallow("result summary", error)
            summary = _NOTHING
        return {**summary, **self.findings} if self.findings else summary


class Sink:
    """Receives every event of the runs in this process; may be called from several threads at once.

    A sink derives from this class and has methods for what it wants to know. It may raise: the caller swallows, counts
    and logs it, and goes on with the next sink.
    """

    def run_started(self, run: RunExecution) -> None:
        """Take note that a run begins; the tracing sink, called first, sets ``run.span``."""

    def run_finished(self, run: RunExecution) -> None:
        """Take note that a run has ended; outcome, error and duration are set."""

    def run_resumed(self, run: RunExecution) -> None:
        """Take note that a run has found the first result that a failed run had stored."""

    def limit_reached(self, run: RunExecution, limit: str) -> None:
        """Take note that something of the run is left out from here on; told once for each *limit*."""

    def task_submitted(self, run: RunExecution, task_id: str) -> None:
        """Take note that a task was given to an executor, which may start it later, elsewhere."""

    def task_started(self, task: TaskExecution) -> None:
        """Take note that a task begins in this process; the tracing sink sets ``task.span``."""

    def task_finished(self, task: TaskExecution) -> None:
        """Take note that a task has ended in this process; outcome, error and duration are set."""

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Take note that a task which another process executed has returned, with these nodes."""

    def expanded(self, run: RunExecution, node_name: str, size: int) -> None:
        """Take note that the node *node_name* has opened a parallel block of *size* tasks."""

    def node_started(self, node: NodeExecution) -> None:
        """Take note that a node begins; the tracing sink sets ``node.span``."""

    def node_finished(self, node: NodeExecution) -> None:
        """Take note that a node has ended; outcome, error and duration are set."""

    def node_failed(self, node: NodeExecution) -> None:
        """Take note, before its end is told, that a node has ended with a failure."""

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Take note that user code inside *node* is about to retry after *error*."""

    def result_checked(self, node: NodeExecution, check: Check, findings: Attributes) -> None:
        """Take note, before the end of *node* is told, of what it has found as a *check* of another's result."""

    def artifact_handled(self, node: NodeExecution, artifact: Artifact, findings: Attributes) -> None:
        """Take note, before the end of *node* is told, that it has saved or loaded an *artifact*, or failed to."""


_ENDINGS: Final = frozenset(("run_finished", "task_finished", "node_failed", "node_finished"))


class Sinks:
    """Those who hear of a run, the tracing sink first; each hears only of what it has a method for.

    What has ended is told in the opposite order, so that a span ends last. Those who hear of nodes are at hand.
    """

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self._without: dict[Sink, Sinks] = {}
        self._hear: dict[str, tuple[Callable[..., object], ...]] = {
            event: tuple(
                getattr(sink, event)
                for sink in (reversed(self._sinks) if event in _ENDINGS else self._sinks)
                if getattr(type(sink), event) is not unheard
            )
            for event, unheard in vars(Sink).items()
            if not event.startswith("_")
        }
        self.node_started, self.node_finished = self._hear["node_started"], self._hear["node_finished"]

    def without(self, sink: Sink) -> Sinks:
        """Return the others."""
        if sink not in self._without:
            self._without[sink] = Sinks([other for other in self._sinks if other is not sink])
        return self._without[sink]

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def __iter__(self) -> Iterator[Sink]:
        return iter(self._sinks)

    def tell(self, event: str, *arguments: Any) -> None:
        """Call the method *event* of those who have it; one that raises does not keep it from the next."""
        for hear in self._hear[event]:
            try:
                hear(*arguments)
            except Exception as error:
                guard.swallow(event, error)
