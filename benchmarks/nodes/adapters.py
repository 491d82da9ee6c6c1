# mypy: disable-error-code="misc"
"""The adapters that ours is compared with and that nobody else provides: empty hooks, and one span a node by hand.

Not for how they are configured (``variants.py``).
"""

from __future__ import annotations

from typing import Any, Final

from hamilton.lifecycle import base
from opentelemetry.trace import Span, Tracer

DAG: Final = "benchmark"


class Floor(base.BasePreNodeExecute, base.BasePostNodeExecute):
    """One span with four attributes for each node: the least that tells anything of a node with the SDK."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[tuple[str, str], Span] = {}

    def pre_node_execute(self, *, run_id: str, node_: Any, kwargs: dict[str, Any], task_id: str | None = None) -> None:
        """Start the span."""
        attributes = {"dag.name": DAG, "dag.version": "1", "run.id": run_id, "node.name": node_.name}
        self._spans[run_id, node_.name] = self._tracer.start_span(node_.name, attributes=attributes)

    def post_node_execute(
        self,
        *,
        run_id: str,
        node_: Any,
        kwargs: dict[str, Any],
        success: bool,
        error: Exception | None,
        result: Any,
        task_id: str | None = None,
    ) -> None:
        """End the span."""
        self._spans.pop((run_id, node_.name)).end()


class NoOp(
    base.BasePreGraphExecute,
    base.BasePostGraphExecute,
    base.BasePreTaskSubmission,
    base.BasePreTaskExecute,
    base.BasePostTaskExecute,
    base.BasePostTaskReturn,
    base.BasePostTaskExpand,
    base.BasePreNodeExecute,
    base.BasePostNodeExecute,
):
    """The hooks of our adapter, with nothing in them."""

    def pre_graph_execute(self, *, run_id: str, graph: Any, final_vars: Any, inputs: Any, overrides: Any) -> None:
        """Do nothing."""

    def post_graph_execute(self, *, run_id: str, graph: Any, success: bool, error: Any, results: Any) -> None:
        """Do nothing."""

    def pre_task_submission(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: Any,
        inputs: Any,
        overrides: Any,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Do nothing."""

    def pre_task_execute(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: Any,
        inputs: Any,
        overrides: Any,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Do nothing."""

    def post_task_execute(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: Any,
        results: Any,
        success: bool,
        error: Any,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Do nothing."""

    def post_task_return(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: Any,
        result: Any,
        success: bool,
        error: Any,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Do nothing."""

    def post_task_expand(self, *, run_id: str, task_id: str, parameters: Any) -> None:
        """Do nothing."""

    def pre_node_execute(self, *, run_id: str, node_: Any, kwargs: dict[str, Any], task_id: str | None = None) -> None:
        """Do nothing."""

    def post_node_execute(
        self,
        *,
        run_id: str,
        node_: Any,
        kwargs: dict[str, Any],
        success: bool,
        error: Any,
        result: Any,
        task_id: str | None = None,
    ) -> None:
        """Do nothing."""
