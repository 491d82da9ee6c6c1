"""Turns the start and end of runs and nodes into events for the sinks; keeps what is open until it ends.

The one implementation under every adapter. Not for Hamilton's hook signatures (``adapter.py``) nor for what becomes
of an event (the sinks).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass, field
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from . import capture, current, errors
from .dag import Dag, describe, describe_node
from .events import NodeExecution, RunExecution, Sink
from .guard import guard

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node

_NodeKey = tuple[str | None, str]


@dataclass(slots=True, eq=False)
class _OpenNode:
    node: NodeExecution
    token: Token[Context]


@dataclass(slots=True, eq=False)
class _OpenRun:
    run: RunExecution
    token: Token[Context]
    handled: BaseException | None
    nodes: dict[_NodeKey, _OpenNode] = field(default_factory=dict)


class Recorder:
    """Records the runs of one DAG.

    :param dag_name: name under which the DAG is known in every signal.
    :param tags: tags of every run; ``run_tags()`` adds to them and wins.
    """

    def __init__(self, dag_name: str, tags: Mapping[str, capture.Value]) -> None:
        self.dag_name = dag_name
        self.tags = dict(tags)
        self._runs: dict[str, _OpenRun] = {}
        self._dags: WeakKeyDictionary[FunctionGraph, Dag] = WeakKeyDictionary()

    def run_started(
        self,
        run_id: str,
        graph: FunctionGraph,
        sinks: Sequence[Sink],
        *,
        outputs: Iterable[str] = (),
        inputs: Iterable[str] = (),
        overrides: Iterable[str] = (),
    ) -> None:
        """Open a run in the current context; its parent is whatever span is current."""
        parent = otel_context.get_current()
        run = RunExecution(
            context=parent,
            id=run_id,
            sinks=sinks,
            dag=self._describe(graph),
            tags={**self.tags, **current.tags_in_force()},
            outputs=tuple(outputs),
            inputs=tuple(inputs),
            overrides=tuple(overrides),
            started_at=time_ns(),
            clock=perf_counter_ns(),
        )
        run.context = current.bind(run, parent)
        notify(sinks, "run_started", run)
        self._runs[run_id] = _OpenRun(run, otel_context.attach(run.context), sys.exc_info()[1])

    def run_finished(self, run_id: str, error: BaseException | None) -> None:
        """Close a run, and with it every node whose end was never told."""
        clock = perf_counter_ns()
        open_run = self._runs.pop(run_id, None)
        if open_run is None:
            return
        run = open_run.run
        error = error or _interruption(open_run.handled)
        for key in list(open_run.nodes):
            self._close_node(open_run, key, clock, error, None)
        otel_context.detach(open_run.token)
        run.duration = clock - run.clock
        run.error = error
        run.outcome = errors.outcome_of(error)
        notify(reversed(run.sinks), "run_finished", run)

    def node_started(self, run_id: str, hamilton_node: Node, inputs: Mapping[str, Any], task_id: str | None) -> None:
        """Open a node in the context of its run and make it current in this thread."""
        open_run = self._runs.get(run_id)
        if open_run is None:
            return
        run = open_run.run
        name = hamilton_node.name
        node = NodeExecution(
            context=run.context,
            run=run,
            info=run.dag.nodes.get(name) or describe_node(hamilton_node),
            task_id=task_id,
            inputs=inputs,
            started_at=time_ns(),
            clock=perf_counter_ns(),
        )
        node.context = current.bind(node, run.context)
        notify(run.sinks, "node_started", node)
        open_run.nodes[task_id, name] = _OpenNode(node, otel_context.attach(node.context))

    def node_finished(
        self, run_id: str, hamilton_node: Node, error: BaseException | None, result: Any, task_id: str | None
    ) -> None:
        """Close a node."""
        clock = perf_counter_ns()
        open_run = self._runs.get(run_id)
        if open_run is not None:
            error = error or _interruption(open_run.handled)
            self._close_node(open_run, (task_id, hamilton_node.name), clock, error, result)

    def _close_node(
        self, open_run: _OpenRun, key: _NodeKey, clock: int, error: BaseException | None, result: Any
    ) -> None:
        open_node = open_run.nodes.pop(key, None)
        if open_node is None:
            return
        node = open_node.node
        otel_context.detach(open_node.token)
        node.duration = clock - node.clock
        node.error = error
        node.outcome = errors.outcome_of(error)
        node.run.node_count += 1
        if node.outcome == "failure":
            node.run.failed_node_count += 1
        elif error is None:
            with guard("result summary"):
                node.summary = capture.summarize(result)
        notify(reversed(node.run.sinks), "node_finished", node)

    def _describe(self, graph: FunctionGraph) -> Dag:
        dag = self._dags.get(graph)
        if dag is None:
            dag = self._dags[graph] = describe(self.dag_name, graph)
        return dag


def notify(sinks: Iterable[Sink], event: str, *arguments: Any) -> None:
    """Call the method *event* of each sink; one that raises does not keep it from the next."""
    for sink in sinks:
        try:
            getattr(sink, event)(*arguments)
        except Exception as error:
            guard.swallow(event, error)


def _interruption(handled: BaseException | None) -> BaseException | None:
    """Return the KeyboardInterrupt or SystemExit that is passing through, which Hamilton reports as success.

    *handled* is the exception that the caller of the run was already handling, which is not ours.
    """
    passing = sys.exc_info()[1]
    if passing is None or passing is handled or isinstance(passing, Exception):
        return None
    return passing
