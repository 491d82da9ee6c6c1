"""The sink that writes log events, each with the trace of its run or node.

Records of the user's own code come through ``log_bridges.py``. Not for rendering (``json_lines.py``) nor for export.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from time import time_ns
from typing import Any, Final

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context

from . import capture, errors, semconv
from .artifacts import Artifact
from .dag import NodeInfo
from .data_quality import Check
from .events import Execution, NodeExecution, RunExecution, Sink
from .semconv import Event
from .version import VERSION

MAX_DEFINITION: Final = 48_000
"""Characters for the nodes and for the edges of ``hamilton.dag.defined``; Loki refuses lines that are much larger."""

MAX_DEFINED: Final = 1_000
"""DAG versions that are remembered as written; then they are written again."""

MAX_OUTPUTS: Final = 8_000
"""Characters for the names of a run's outputs."""

_SEVERITY: Final = {
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARN": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
}
_RUN_ENDED: Final = {
    "success": semconv.RUN_COMPLETED,
    "failure": semconv.RUN_FAILED,
    "cancelled": semconv.RUN_CANCELLED,
}


class LogSink(Sink):
    """Writes events of *level* (DEBUG, INFO, WARN, ERROR) and above with a logger of *provider*."""

    def __init__(self, provider: LoggerProvider, level: str) -> None:
        self._logger = provider.get_logger(semconv.SCOPE, VERSION)
        self._level = _SEVERITY[level].value
        self._defined: set[tuple[str, str]] = set()

    def run_started(self, run: RunExecution) -> None:
        """Write that the run starts, and its DAG's definition where this process has not done so."""
        self._define(run)
        self._emit(semconv.RUN_STARTED, run.context, run.started_at, _run_attributes(run))

    def run_finished(self, run: RunExecution) -> None:
        """Write how the run ended: all that a list of runs needs."""
        attributes = {
            **_run_attributes(run),
            semconv.RUN_DURATION: run.seconds,
            semconv.RUN_NODE_COUNT: run.node_count,
            semconv.RUN_FAILED_NODE_COUNT: run.failed_node_count,
            **run.rows.attributes(),
            **_ending(run, run.capture),
        }
        self._emit(_RUN_ENDED[run.outcome], run.context, run.ended_at, attributes)

    def run_resumed(self, run: RunExecution) -> None:
        """Write that the run resumes one that failed."""
        self._emit(semconv.RUN_RESUMED_EVENT, run.context, time_ns(), _run_attributes(run))

    def limit_reached(self, run: RunExecution, limit: str) -> None:
        """Write which limit the run has reached."""
        attributes = {semconv.DAG_NAME: run.dag.name, semconv.RUN_ID: run.id, semconv.LIMIT: limit}
        self._emit(semconv.LIMIT_REACHED, run.context, time_ns(), attributes)

    def node_failed(self, node: NodeExecution) -> None:
        """Write that the node failed, with the shapes of its inputs."""
        inputs = {semconv.NODE_INPUTS: node.run.capture.node_inputs(node.inputs)}
        self._emit_end(semconv.NODE_FAILED, node, inputs)

    def node_retried(self, node: NodeExecution, error: BaseException) -> None:
        """Write that the node retries, and after what."""
        attributes = {
            **_node_attributes(node),
            semconv.ERROR_TYPE: errors.error_type(error),
            semconv.EXCEPTION_MESSAGE: node.run.capture.exception_message(error),
        }
        self._emit(semconv.NODE_RETRIED, node.context, time_ns(), attributes)

    def result_checked(self, node: NodeExecution, check: Check, findings: capture.Attributes) -> None:
        """Write that the check failed, if it did."""
        if findings[semconv.CHECK_RESULT] == "fail":
            attributes = {**_node_attributes(node), **check.attributes, **findings, semconv.NODE_NAME: check.node}
            self._emit(semconv.CHECK_FAILED, node.context, node.ended_at, attributes)

    def artifact_handled(self, node: NodeExecution, artifact: Artifact, findings: capture.Attributes) -> None:
        """Write what was saved or loaded; a failure is that of the node."""
        if node.outcome == "success":
            event = semconv.ARTIFACT_SAVED if artifact.operation == "save" else semconv.ARTIFACT_LOADED
            attributes = {**_node_attributes(node), **artifact.attributes, **findings}
            self._emit(event, node.context, node.ended_at, attributes)

    def _emit_end(self, event: Event, node: NodeExecution, more: Mapping[str, capture.Value]) -> None:
        attributes = {
            **_node_attributes(node),
            semconv.NODE_DURATION: node.seconds,
            **_ending(node, node.run.capture),
            **more,
        }
        self._emit(event, node.context, node.ended_at, attributes)

    def _define(self, run: RunExecution) -> None:
        dag = run.dag
        if (dag.name, dag.version) in self._defined:
            return
        if len(self._defined) >= MAX_DEFINED:
            self._defined.clear()
        self._defined.add((dag.name, dag.version))
        nodes, nodes_cut = capture.bounded_json(
            map(_definition, dag.nodes.values()),
            MAX_DEFINITION,
        )
        drawn = dag.edges()
        if nodes_cut:
            # Grafana's graph fails as a whole on an edge to a node that is not there.
            kept = {node["name"] for node in json.loads(nodes)}
            drawn = [edge for edge in drawn if kept.issuperset(edge)]
        edges, edges_cut = capture.bounded_json(drawn, MAX_DEFINITION)
        attributes: capture.Attributes = {
            semconv.DAG_NAME: dag.name,
            semconv.DAG_VERSION: dag.version,
            semconv.DAG_NODE_COUNT: len(dag.nodes),
            semconv.DAG_NODES: nodes,
            semconv.DAG_EDGES: edges,
            semconv.DAG_TRUNCATED: nodes_cut or edges_cut,
        }
        self._emit(semconv.DAG_DEFINED, run.context, run.started_at, attributes)

    def _enabled(self, event: Event) -> bool:
        return _SEVERITY[event.level].value >= self._level

    def _emit(self, event: Event, context: Context, timestamp: int, attributes: Mapping[str, capture.Value]) -> None:
        if not self._enabled(event):
            return
        self._logger.emit(
            LogRecord(
                timestamp=timestamp,
                observed_timestamp=time_ns(),
                context=context,
                severity_text=event.level,
                severity_number=_SEVERITY[event.level],
                body=event.body,
                attributes=attributes,
                event_name=event.name,
            )
        )


class DetailedLogSink(LogSink):
    """Writes of nodes that succeed as well (DEBUG)."""

    def node_started(self, node: NodeExecution) -> None:
        """Write that the node starts."""
        self._emit(semconv.NODE_STARTED, node.context, node.started_at, _node_attributes(node))

    def node_finished(self, node: NodeExecution) -> None:
        """Write that the node completed, and whether its result came from the cache."""
        if node.outcome == "success":
            self._emit_end(semconv.NODE_COMPLETED, node, node.summary())
            if node.cache_result == "hit":
                self._emit_end(semconv.CACHE_HIT, node, {})


def log_sink(provider: LoggerProvider, level: str) -> LogSink:
    """Return the sink that writes what *level* asks for: the detailed one costs each node something."""
    return (DetailedLogSink if level == "DEBUG" else LogSink)(provider, level)


def _definition(node: NodeInfo) -> dict[str, Any]:
    return {
        "name": node.name,
        "type": node.type,
        "version": node.version,
        "tags": node.tags,
        "input": node.is_input,
    }


@lru_cache(100)
def _as_json(outputs: tuple[str, ...]) -> str:
    return capture.bounded_json(outputs, MAX_OUTPUTS)[0]


def _run_attributes(run: RunExecution) -> capture.Attributes:
    return {
        semconv.DAG_NAME: run.dag.name,
        semconv.DAG_VERSION: run.dag.version,
        semconv.RUN_ID: run.id,
        semconv.RUN_OUTPUTS: _as_json(run.outputs),
        **{f"{semconv.RUN_TAGS}.{key}": value for key, value in run.tags.items()},
    }


def _node_attributes(node: NodeExecution) -> capture.Attributes:
    return {
        semconv.DAG_NAME: node.run.dag.name,
        semconv.RUN_ID: node.run.id,
        semconv.NODE_NAME: node.info.name,
    }


def _ending(execution: Execution, policy: capture.Capture) -> capture.Attributes:
    attributes: capture.Attributes = {semconv.OUTCOME: execution.outcome}
    if execution.error is not None:
        attributes[semconv.ERROR_TYPE] = errors.error_type(execution.error)
        if execution.outcome == "failure":
            attributes[semconv.ERROR_KIND] = errors.error_kind(execution.error)
            attributes |= policy.describe_exception(execution.error)
    return attributes
