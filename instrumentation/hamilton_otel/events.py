"""The contract between Hamilton's side and the sinks: what a run, a task and a node carry, and who hears of it.

One object per run, task and node, handed to every sink when it starts and again when it ends. Not for deciding what
becomes of it: that is for the sinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext

from .caching import CacheResult
from .capture import DEFAULT, Attributes, Capture, Value
from .dag import Dag, NodeInfo
from .errors import Outcome
from .guard import guard


@dataclass(slots=True, eq=False, kw_only=True)
class Execution:
    """What runs, tasks and nodes have in common.

    ``started_at`` is Unix time in nanoseconds, ``duration`` nanoseconds of a monotonic clock (0 until the end).
    ``context`` is the OpenTelemetry context in which its work runs; the tracing sink puts ``span`` into it.
    ``outcome`` and ``error`` are set before a sink's ``*_finished`` is called.
    """

    context: Context
    started_at: int
    clock: int
    duration: int = 0
    outcome: Outcome = "success"
    error: BaseException | None = None
    span: Span = INVALID_SPAN

    @property
    def ended_at(self) -> int:
        """Return the end in Unix nanoseconds, from the start and the monotonic duration."""
        return self.started_at + self.duration

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return self.duration / 1e9


@dataclass(slots=True, eq=False, kw_only=True)
class RunExecution(Execution):
    """One execution of a DAG.

    ``parent`` is the context of its caller. ``sinks`` are those of its start, whatever is configured meanwhile.
    ``node_spans`` maps finished nodes to their span contexts, for links: by name, then by task (None outside tasks).
    ``span_numbers`` counts the tasks and nodes that were to have a span in this process.
    ``capture`` says what of it may leave the process; ``input_values`` are those of its inputs that may.
    ``resumed`` says that results of a run that failed were found in the cache; ``stores`` counts the results stored
    there, by node, once the run has ended.
    """

    id: str
    parent: Context
    sinks: Sequence[Sink]
    dag: Dag
    tags: Mapping[str, Value]
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    capture: Capture = DEFAULT
    input_values: Attributes = field(default_factory=dict)
    node_count: int = 0
    failed_node_count: int = 0
    node_spans: dict[str, dict[str | None, SpanContext]] = field(default_factory=dict)
    span_numbers: Iterator[int] = field(default_factory=count)
    resumed: bool = False
    stores: Mapping[str, int] = field(default_factory=dict)

    @property
    def team(self) -> Value | None:
        """Return the ``team`` tag, the only one that metrics carry."""
        return self.tags.get("team")


@dataclass(slots=True, eq=False, kw_only=True)
class TaskExecution(Execution):
    """One execution of a task, the unit that Hamilton's executors distribute.

    ``name`` is the same for all tasks of a parallel block, ``id`` is not. ``wait`` is the time from its submission to
    its start in nanoseconds, None where the submission is not known.
    """

    run: RunExecution
    id: str
    name: str
    wait: int | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class NodeExecution(Execution):
    """One execution of a node. ``inputs`` are the values that it reads: for types and shapes only.

    ``summary`` holds the ``hamilton.result.*`` attributes of a node that succeeded; ``cache_result`` whether its result
    came from the cache, None where it was not looked for there; ``caught`` an exception that another adapter has
    swallowed.
    """

    run: RunExecution
    info: NodeInfo
    task: TaskExecution | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    summary: Attributes = field(default_factory=dict)
    cache_result: CacheResult | None = None
    caught: BaseException | None = None


class Sink:
    """Receives every event of the runs in this process; may be called from several threads at once.

    A sink derives from this class and has methods for what it wants to know. It may raise: the caller swallows, counts
    and logs it, and goes on with the next sink.
    """

    def run_started(self, run: RunExecution) -> None:
        """Take note that a run begins; the tracing sink, called first, sets ``run.span`` and ``run.context``."""

    def run_finished(self, run: RunExecution) -> None:
        """Take note that a run has ended; outcome, error and duration are set."""

    def run_resumed(self, run: RunExecution) -> None:
        """Take note that a run has found the first result that a failed run had stored."""

    def limit_reached(self, run: RunExecution, limit: str) -> None:
        """Take note that something of the run is left out from here on; told once for each *limit*."""

    def task_submitted(self, run: RunExecution, task_id: str) -> None:
        """Take note that a task was given to an executor, which may start it later, elsewhere."""

    def task_started(self, task: TaskExecution) -> None:
        """Take note that a task begins in this process; the tracing sink sets ``task.span`` and ``task.context``."""

    def task_finished(self, task: TaskExecution) -> None:
        """Take note that a task has ended in this process; outcome, error and duration are set."""

    def task_returned(self, run: RunExecution, task_id: str, nodes: Sequence[str]) -> None:
        """Take note that a task which another process executed has returned, with these nodes."""

    def expanded(self, run: RunExecution, node_name: str, size: int) -> None:
        """Take note that the node *node_name* has opened a parallel block of *size* tasks."""

    def node_started(self, node: NodeExecution) -> None:
        """Take note that a node begins; the tracing sink sets ``node.span`` and ``node.context``."""

    def node_finished(self, node: NodeExecution) -> None:
        """Take note that a node has ended; outcome, error, duration and summary are set."""

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Take note that user code inside *node* is about to retry after *error*."""


def notify(sinks: Iterable[Sink], event: str, *arguments: Any) -> None:
    """Call the method *event* of each sink; one that raises does not keep it from the next."""
    for sink in sinks:
        try:
            getattr(sink, event)(*arguments)
        except Exception as error:
            guard.swallow(event, error)
