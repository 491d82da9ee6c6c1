"""Turns the start and end of runs, tasks and nodes into events for the sinks.

The one implementation under every adapter. Not for Hamilton's hook signatures (``adapter.py``, ``async_adapter.py``)
nor for what becomes of an event (the sinks).
"""

from __future__ import annotations

import sys
import threading
from asyncio import Future, Task
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Token
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from hamilton.node import NodeType
from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, get_current_span
from structlog.contextvars import get_contextvars

from . import abandoned, capture, current, errors, limits, propagation, rows, stand_ins
from .caching import RunCache
from .carried import CarriedRun, adopt, carry
from .dag import Dag, NodeInfo, describe, describe_node
from .deferred import DeferredSpan
from .events import Execution, NodeExecution, RunExecution, Sinks, TaskExecution
from .guard import guard
from .open_runs import NodeKey, OpenRun, OpenRuns, OpenTask

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node

MAX_CARRIED = 20
_NOTHING: Final[Mapping[str, Any]] = {}


class Recorder:
    """Records the runs of one DAG.

    :param dag_name: name under which the DAG is known in every signal.
    :param tags: tags of every run; ``run_tags()`` adds to them and wins.
    :param sinks: returns who hears of a run, asked at its start; empty: nothing is recorded.
    :param policy: returns what may leave the process, asked at the start of a run.
    :param finish_adopted: called when a worker process has done its part of another process's run.
    """

    def __init__(
        self,
        dag_name: str,
        tags: Mapping[str, capture.Value],
        sinks: Callable[[], Sinks],
        finish_adopted: Callable[[], object],
        policy: Callable[[], capture.Capture],
    ) -> None:
        self.dag_name = dag_name
        self.tags = dict(tags)
        self.runs = OpenRuns()
        self.carried: dict[str, CarriedRun] = {}
        self._sinks = sinks
        self._finish_adopted = finish_adopted
        self._policy = policy
        self._dags: WeakKeyDictionary[FunctionGraph, Dag] = WeakKeyDictionary()

    def run_started(
        self,
        run_id: str,
        graph: FunctionGraph,
        *,
        outputs: Iterable[str] = (),
        inputs: Iterable[str] = (),
        overrides: Iterable[str] = (),
    ) -> None:
        """Open a run in the current context; its parent is the span that is current, or named by the environment."""
        sinks = self._sinks()
        if not sinks:
            return
        abandoned.end_current()
        tags = {**self.tags, **current.tags_in_force()}
        policy = self._policy()
        run = RunExecution(
            around=propagation.from_environment(otel_context.get_current()),
            id=run_id,
            sinks=sinks,
            dag=self._describe(graph, policy),
            tags=policy.attributes(limits.tags(tags)),
            outputs=limits.names(outputs),
            inputs=limits.names(inputs),
            overrides=limits.names(overrides),
            capture=policy,
            input_values=policy.run_inputs(inputs),
            started_at=time_ns(),
            clock=perf_counter_ns(),
        )
        sinks.tell("run_started", run)
        if len(tags) > limits.MAX_TAGS:
            sinks.tell("limit_reached", run, "tags")
        abandoned.watch(run_id, self)
        self.runs.add(
            OpenRun(
                run,
                current.attach(run),
                _interruption(None),
                log_variables=get_contextvars(),
                cache=_cache_of(graph, run_id, self.dag_name),
                delegates=stand_ins.delegates(graph.adapter.adapters),
                swallows=stand_ins.swallows(graph.adapter.adapters),
            )
        )

    def run_finished(self, run_id: str, success: bool, error: BaseException | None) -> None:
        """Close a run, and with it what this thread has opened and will not close any more."""
        clock = perf_counter_ns()
        open_run = self.runs.end(run_id)
        if open_run is None:
            return
        abandoned.unwatch(run_id)
        run = open_run.run
        error = error or _interruption(open_run.handled)
        self._close_abandoned(open_run, clock, error)
        if open_run.attachment is not None and open_run.thread == threading.get_ident():
            current.detach(open_run.attachment)
            abandoned.leave_ended_runs()
        _end(run, clock, error)
        if error is None and not success:
            run.outcome = "cancelled"
        if open_run.cache is not None:
            with guard("cache of a run"):
                run.stores = open_run.cache.stores()
                open_run.cache.end(success=run.outcome == "success")
        run.sinks.tell("run_finished", run)
        run.error = open_run.handled = None  # their tracebacks hold the user's data
        forgotten = self.runs.remember(open_run)
        if forgotten is not None:
            for key in list(forgotten.nodes):
                self._close(forgotten, key, clock, None, outcome="cancelled")

    def run_cancelled(self, run_id: str) -> None:
        """Close a run, and all that is open in it in any thread, because the process ends."""
        open_run = self.runs.open.get(run_id)
        if open_run is not None:
            for key in list(open_run.nodes):
                self._close(open_run, key, perf_counter_ns(), None, outcome="cancelled")
            self.run_finished(run_id, False, None)

    def task_submitted(self, run_id: str, task_id: str, nodes: Sequence[Node]) -> None:
        """Note when a task was given to its executor, and whether it opens a parallel block."""
        open_run = self.find(run_id)
        if open_run is None or _only_inputs(nodes):
            return
        open_run.submitted[task_id] = time_ns()
        for node in nodes:
            if node.node_role is NodeType.EXPAND:
                open_run.expanding[task_id] = limits.name(node.name)
        open_run.run.sinks.tell("task_submitted", open_run.run, limits.name(task_id))

    def task_started(self, run_id: str, task_id: str, spawned_by: str | None, nodes: Sequence[Node]) -> None:
        """Open a task in the context of its run and make it current in this thread."""
        open_run = self.find(run_id)
        if open_run is None or _only_inputs(nodes):
            return
        run = open_run.run
        started_at = time_ns()
        submitted_at = open_run.submitted.pop(task_id, None)
        task = TaskExecution(
            around=open_run.context,
            run=run,
            id=limits.name(task_id),
            name=limits.name(_task_name(task_id, spawned_by)),
            wait=None if submitted_at is None else max(0, started_at - submitted_at),
            started_at=started_at,
            clock=perf_counter_ns(),
        )
        run.sinks.tell("task_started", task)
        thread = threading.get_ident()
        attachment = current.attach(task, None if thread == open_run.thread else open_run.log_variables)
        open_run.tasks[task_id] = OpenTask(task, attachment, thread)

    def task_finished(self, run_id: str, task_id: str, error: BaseException | None) -> None:
        """Close a task and the nodes of it that are still open."""
        clock = perf_counter_ns()
        open_run = self.find(run_id)
        open_task = open_run.tasks.pop(task_id, None) if open_run else None
        if open_run is None or open_task is None:
            return
        error = error or _interruption(open_run.handled)
        try:
            for key in [key for key in list(open_run.nodes) if key[0] == task_id]:
                self._close(open_run, key, clock, error)
        finally:
            self._close_task(open_run, open_task, clock, error)

    def task_returned(self, run_id: str, task_id: str, nodes: Sequence[Node], success: bool, result: Any) -> None:
        """Note that a task which another process executed has returned; *result* are its nodes' results by name."""
        open_run = self.find(run_id)
        if open_run is None or open_run.submitted.pop(task_id, None) is None:
            return
        returned = {node.name: limits.name(node.name) for node in nodes if not node.user_defined}
        for _ in returned:
            next(open_run.run.ended)
        if isinstance(result, dict):
            for name, short in returned.items():
                open_run.run.rows.add(short, capture.rows(result.get(name)))
        if not success:
            next(open_run.run.failed)
        open_run.run.sinks.tell("task_returned", open_run.run, limits.name(task_id), [*returned.values()])

    def task_expanded(self, run_id: str, task_id: str, size: int) -> None:
        """Note how many tasks a parallel block has."""
        open_run = self.find(run_id)
        if open_run is not None and task_id in open_run.expanding:
            open_run.run.sinks.tell("expanded", open_run.run, open_run.expanding.pop(task_id), size)

    def node_started(
        self,
        open_run: OpenRun,
        node: Node | NodeInfo,
        inputs: Mapping[str, Any],
        task_id: str | None,
        placeholder: DeferredSpan | None = None,
    ) -> None:
        """Open a node in the context of its task or run and make it current in this thread.

        With a *placeholder* for its span it is not told yet that the node starts: it waits for its inputs.
        """
        run = open_run.run
        open_task = open_run.tasks.get(task_id) if task_id is not None else None
        execution = NodeExecution(
            open_task.context if open_task else open_run.context,
            time_ns(),
            perf_counter_ns(),
            run,
            node,
            run.dag.known.get(id(node)) or _info(run, node),
            inputs,
            threading.get_ident(),
            open_task.task if open_task else None,
        )
        if placeholder is None:
            for hear in run.sinks.node_started:
                try:
                    hear(execution)
                except Exception as broken:
                    guard.swallow("node_started", broken)
        else:
            execution.span = placeholder
        if execution.thread != open_run.thread:
            execution.attachment = current.attach(execution, open_run.log_variables)
        elif execution.span is INVALID_SPAN:
            execution.attachment = current.enter_node(execution)
        else:
            execution.attachment = current.attach(execution)
        open_run.nodes[task_id, id(node)] = execution

    def node_finished(
        self, open_run: OpenRun, node: Node | NodeInfo, error: BaseException | None, result: Any, task_id: str | None
    ) -> None:
        """Close a node."""
        clock = perf_counter_ns()
        execution = open_run.nodes.pop((task_id, id(node)), None)
        if execution is not None:
            if error is None and sys.exception() is not None:
                error = _interruption(open_run.handled)
            self._close_node(open_run, execution, clock, error, result)
        if open_run.adopted and task_id is None:
            self._finish_adopted()

    def execute(self, run_id: str, info: NodeInfo, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        """Call the function of a node inside its span, for an adapter that calls it after the hooks."""
        open_run = None
        with guard("start of a delegated node"):
            open_run = self.find(run_id)
            if open_run is not None:
                self.node_started(open_run, info, inputs, None)
        error: BaseException | None = None
        result = None
        try:
            result = function(**inputs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if open_run is not None:
                with guard("end of a delegated node"):
                    self.node_finished(open_run, info, error, result, None)
        return result

    def node_scheduled(self, run_id: str, node: Node) -> None:
        """Make a node of the async driver current while its coroutine is made, which inherits the context.

        Its span begins when its body does (:meth:`node_awaited`); until then a placeholder stands for it.
        """
        open_run = self.find(run_id)
        if open_run is None:
            return
        self.node_started(open_run, node, {}, None, DeferredSpan())

    def node_made(self, run_id: str, node: Node, future: Future[Any] | None) -> None:
        """Take back what :meth:`node_scheduled` has made current; *future* is the node's coroutine as a task."""
        open_run = self.find(run_id)
        execution = open_run.nodes.get((None, id(node))) if open_run else None
        if execution is not None and execution.attachment is not None:
            current.detach(execution.attachment)
            execution.attachment = None
            execution.future = future

    def node_awaited(self, run_id: str, node: Node, inputs: Mapping[str, Any]) -> None:
        """Open the span of a node of the async driver: its inputs are there and its body begins."""
        open_run = self.find(run_id)
        execution = open_run.nodes.get((None, id(node))) if open_run else None
        if open_run is None or execution is None:
            return
        placeholder, execution.span = execution.span, INVALID_SPAN
        execution.inputs = inputs
        execution.started_at, execution.clock = time_ns(), perf_counter_ns()
        open_run.run.sinks.tell("node_started", execution)
        if isinstance(placeholder, DeferredSpan):
            own = execution.span is not INVALID_SPAN
            placeholder.resolve(execution.span if own else get_current_span(execution.around))

    def carry(self) -> list[CarriedRun]:
        """Return the runs as another process needs them: those in progress, and those that came from elsewhere."""
        return [*self.carried.values(), *map(carry, self.runs.in_progress()[-MAX_CARRIED:])]

    def find(self, run_id: str) -> OpenRun | None:
        """Return the run, in progress or ended a while ago, started here or in another process; else None."""
        open_run = self.runs.open.get(run_id)
        if open_run is None and (self.runs.ended or self.carried):
            open_run = self.runs.ended.get(run_id)
            if open_run is None and run_id in self.carried:
                open_run = self._adopted(run_id)
        return open_run

    def _adopted(self, run_id: str) -> OpenRun | None:
        sinks = self._sinks()
        if not sinks:
            return None
        open_run = adopt(self.carried.pop(run_id), sinks, self._policy())
        self.runs.add(open_run)
        return open_run

    def _close_abandoned(self, open_run: OpenRun, clock: int, error: BaseException | None) -> None:
        """Close what this thread has left open; what runs in other threads or coroutines ends in its own time."""
        here = threading.get_ident()
        for key, node in list(open_run.nodes.items()):
            if node.thread == here and node.attachment is not None:
                self._close(open_run, key, clock, error)
            elif node.future is not None and node.future.done():
                self._close(open_run, key, clock, None, outcome="cancelled")
        for task_id, open_task in list(open_run.tasks.items()):
            if not any(key[0] == task_id for key in list(open_run.nodes)):
                del open_run.tasks[task_id]
                self._close_task(open_run, open_task, clock, error)

    def _close_task(self, open_run: OpenRun, open_task: OpenTask, clock: int, error: BaseException | None) -> None:
        task = open_task.task
        if open_task.thread == threading.get_ident():
            current.detach(open_task.attachment)
        _end(task, clock, error)
        task.run.sinks.tell("task_finished", task)
        task.error = None
        if open_run.adopted:
            self._finish_adopted()

    def _close(
        self,
        open_run: OpenRun,
        key: NodeKey,
        clock: int,
        error: BaseException | None,
        outcome: errors.Outcome | None = None,
    ) -> None:
        """Close a node whose end is not told, unless that happens meanwhile."""
        node = open_run.nodes.pop(key, None)
        if node is not None:
            self._close_node(open_run, node, clock, error, None, outcome)

    def _close_node(
        self,
        open_run: OpenRun,
        node: NodeExecution,
        clock: int,
        error: BaseException | None,
        result: Any,
        outcome: errors.Outcome | None = None,
    ) -> None:
        attachment = node.attachment
        if attachment is not None and node.thread == threading.get_ident():
            if type(attachment) is Token:
                current.leave_node(attachment)
            else:
                current.detach(attachment)
        if type(node.span) is DeferredSpan:
            return  # the async driver never came to its body
        run = open_run.run
        node.duration = clock - node.clock
        error = error or node.caught
        if error is not None:
            node.error = error
            node.outcome = outcome or errors.outcome_of(error)
        elif outcome is not None:
            node.outcome = outcome
        elif node.future is not None and _is_cancelling(node.future):
            node.outcome = "cancelled"
        next(run.ended)
        if node.outcome == "success":
            node.result = result
            for value in (result, *node.inputs.values()):
                if type(value) not in rows.PLAIN:
                    _count_rows(node)
                    break
            if open_run.cache is not None:
                self._look_up(open_run.cache, node)
        elif node.outcome == "failure":
            next(run.failed)
            run.sinks.tell("node_failed", node)
        if node.info.role is not None:
            with guard("role of a node"):
                node.info.role.ended(node)
        for hear in run.sinks.node_finished:
            try:
                hear(node)
            except Exception as broken:
                guard.swallow("node_finished", broken)
        node.inputs, node.result = _NOTHING, None
        if error is not None:
            node.error = node.caught = None

    def _look_up(self, cache: RunCache, node: NodeExecution) -> None:
        run, name, task_id = node.run, node.node.name, node.task.id if node.task else None
        with guard("cache of a node"):
            node.cache_result = cache.lookup(name, task_id)
            if node.cache_result == "hit" and not run.resumed and cache.resumes(name, task_id):
                run.resumed = True
                run.sinks.tell("run_resumed", run)

    def _describe(self, graph: FunctionGraph, policy: capture.Capture) -> Dag:
        dag = self._dags.get(graph)
        if dag is None:
            dag = self._dags[graph] = describe(self.dag_name, graph, policy)
        return dag


def _info(run: RunExecution, node: Node | NodeInfo) -> NodeInfo:
    """Return what is known of a node that is not of this process's graph, or a copy."""
    if isinstance(node, NodeInfo):
        return node
    return run.dag.nodes.get(node.name) or describe_node(node, run.capture)


def _count_rows(node: NodeExecution) -> None:
    with guard("rows of a node"):
        node.rows = rows.count(node.inputs, node.result)
        node.run.rows.add(node.info.name, node.rows.get("out"))


def _cache_of(graph: FunctionGraph, run_id: str, dag_name: str) -> RunCache | None:
    with guard("cache of a run"):
        return RunCache.of(graph, run_id, dag_name)
    return None


def _end(execution: Execution, clock: int, error: BaseException | None) -> None:
    execution.duration = clock - execution.clock
    execution.error = error
    execution.outcome = errors.outcome_of(error)


def _interruption(handled: BaseException | None) -> BaseException | None:
    """Return the KeyboardInterrupt or SystemExit that is passing through, which Hamilton reports as success.

    *handled* is the exception that the caller of the run was already handling, which is not ours.
    """
    passing = sys.exception()
    if passing is None or passing is handled or isinstance(passing, Exception):
        return None
    return passing


def _is_cancelling(future: Future[Any]) -> bool:
    return isinstance(future, Task) and (future.cancelled() or future.cancelling() > 0)


def _only_inputs(nodes: Sequence[Node]) -> bool:
    """Tell whether a task has nothing to execute: Hamilton makes tasks of inputs too."""
    return all(node.user_defined for node in nodes)


def _task_name(task_id: str, spawned_by: str | None) -> str:
    """Return the name that all tasks of a block share: ``<spawner>.<index>.<name>`` without spawner and index."""
    if spawned_by is None or not task_id.startswith(f"{spawned_by}."):
        return task_id
    return task_id.removeprefix(f"{spawned_by}.").partition(".")[2] or task_id
