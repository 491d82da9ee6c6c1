"""The adapter for Hamilton's synchronous driver, with any executor: translates its hooks for the recorder.

Here (and in ``async_adapter.py``) Hamilton's hook signatures are known, and nowhere else. Nothing that happens here
reaches the user's run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hamilton.lifecycle import base
from hamilton.node import NodeType

from . import abandoned, limits, providers, stand_ins
from .capture import Capture, Value, shorten, tag
from .dag import NodeInfo, describe_node
from .events import Sinks
from .guard import guard
from .open_runs import OpenRun
from .recorder import Recorder
from .settings import CapturePolicy, SettingsError
from .sinks import sinks_for

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


providers.before_exit(abandoned.end_all)


class RunHooks(base.BasePreGraphExecute, base.BasePostGraphExecute):
    """Opens and closes runs: the hooks that both drivers call alike."""

    recorder: Recorder

    def pre_graph_execute(
        self,
        *,
        run_id: str,
        graph: FunctionGraph,
        final_vars: list[str],
        inputs: dict[str, Any] | None,
        overrides: dict[str, Any] | None,
    ) -> None:
        """Open the run, if there is anything to tell it to."""
        with guard("pre_graph_execute"):
            self.recorder.run_started(run_id, graph, outputs=final_vars, inputs=inputs or (), overrides=overrides or ())

    def post_graph_execute(
        self, *, run_id: str, graph: FunctionGraph, success: bool, error: Exception | None, results: Any
    ) -> None:
        """Close the run."""
        with guard("post_graph_execute"):
            self.recorder.run_finished(run_id, success, error)


class TelemetryAdapter(
    RunHooks,
    base.BasePreTaskSubmission,
    base.BasePreTaskExecute,
    base.BasePostTaskExecute,
    base.BasePostTaskReturn,
    base.BasePostTaskExpand,
    base.BasePreNodeExecute,
    base.BasePostNodeExecute,
):
    """Records every run of a driver as spans, metrics and log events.

    .. code-block:: python

        import hamilton_otel
        from hamilton import driver

        hamilton_otel.configure()
        dr = (
            driver.Builder()
            .with_modules(flights)
            .with_adapters(hamilton_otel.TelemetryAdapter("flight_delays", tags={"team": "ops"}))
            .build()
        )

    :param dag_name: name of the DAG in every signal; few distinct values, so no time or commit in it.
    :param tags: tags of every run of this driver; metrics carry the one named ``team``.
    :param tracer_provider: provider to use instead of the global one; likewise the other two. Providers that the
        application has set are used as they are; where there are none, the adapter does nothing.
    :param capture: what of these runs may leave the process, in place of what ``configure()`` or the environment say.
    :raises SettingsError: where *dag_name* is empty.
    """

    def __init__(
        self,
        dag_name: str,
        *,
        tags: Mapping[str, Any] | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        capture: CapturePolicy | None = None,
    ) -> None:
        self.capture = capture
        self.dag_name, self.tags = checked(dag_name, tags)
        self._configuration: dict[str, Any] | None = None
        self.recorder = Recorder(
            self.dag_name,
            self.tags,
            partial(sinks_for, tracer_provider, meter_provider, logger_provider),
            providers.flush_worker,
            self._policy,
        )
        self._open = self.recorder.runs.open

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what a worker process needs: names, the runs in progress, and how telemetry is configured."""
        return {
            "dag_name": self.dag_name,
            "tags": limits.tags(self.tags),
            "capture": self.capture,
            "runs": self.recorder.carry(),
            "configuration": providers.portable_configuration() or self._configuration,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore an adapter in a worker process, where it uses that process's providers."""
        self.dag_name, self.tags = state["dag_name"], state["tags"]
        self.capture, self._configuration = state["capture"], state["configuration"]

        def sinks() -> Sinks:
            providers.configure_worker(self._configuration)
            return sinks_for()

        self.recorder = Recorder(self.dag_name, self.tags, sinks, providers.flush_worker, self._policy)
        self.recorder.carried = {run.id: run for run in state["runs"]}
        self._open = self.recorder.runs.open

    def _policy(self) -> Capture:
        return policy_of(self.capture)

    def _stands_in(self, open_run: OpenRun, node: Node) -> bool:
        """Stand in for the function of *node*, whose fate another adapter hides; return whether it is recorded so."""
        if open_run.delegates:
            stand_ins.delegate(node, self, open_run.run.id, describe_node(node, open_run.run.capture))
            return True
        if node.node_role is not NodeType.EXPAND:
            stand_ins.watch(node)
        return False

    def execute(self, run_id: str, info: NodeInfo, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        """Call a node's function inside its span, for an adapter that has it called after the hooks."""
        return self.recorder.execute(run_id, info, function, inputs)

    def pre_task_submission(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: list[Node],
        inputs: dict[str, Any],
        overrides: dict[str, Any],
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Note the submission of a task."""
        with guard("pre_task_submission"):
            self.recorder.task_submitted(run_id, task_id, nodes)

    def pre_task_execute(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: list[Node],
        inputs: dict[str, Any],
        overrides: dict[str, Any],
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Open the task."""
        with guard("pre_task_execute"):
            self.recorder.task_started(run_id, task_id, spawning_task_id, nodes)

    def post_task_execute(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: list[Node],
        results: dict[str, Any] | None,
        success: bool,
        error: Exception | None,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Close the task."""
        with guard("post_task_execute"):
            self.recorder.task_finished(run_id, task_id, error)

    def post_task_return(
        self,
        *,
        run_id: str,
        task_id: str,
        nodes: list[Node],
        result: Any,
        success: bool,
        error: Exception | None,
        spawning_task_id: str | None,
        purpose: Any,
    ) -> None:
        """Note that the task's result is known."""
        with guard("post_task_return"):
            self.recorder.task_returned(run_id, task_id, nodes, success, result)

    def post_task_expand(self, *, run_id: str, task_id: str, parameters: dict[str, Any]) -> None:
        """Note the size of a parallel block."""
        with guard("post_task_expand"):
            self.recorder.task_expanded(run_id, task_id, len(parameters))

    def pre_node_execute(self, *, run_id: str, node_: Node, kwargs: dict[str, Any], task_id: str | None = None) -> None:
        """Open the node, or have it opened where its function is called."""
        try:
            open_run = self._open.get(run_id) or self.recorder.find(run_id)
            if open_run is None:
                return
            if open_run.hides and self._stands_in(open_run, node_):
                return
            self.recorder.node_started(open_run, node_, kwargs, task_id)
        except Exception as error:
            guard.swallow("pre_node_execute", error)

    def post_node_execute(
        self,
        *,
        run_id: str,
        node_: Node,
        kwargs: dict[str, Any],
        success: bool,
        error: BaseException | None,
        result: Any,
        task_id: str | None = None,
    ) -> None:
        """Close the node, where it was opened here."""
        try:
            open_run = self._open.get(run_id) or self.recorder.find(run_id)
            if open_run is None:
                return
            if open_run.delegates:
                stand_ins.take_back(node_)
                return
            self.recorder.node_finished(open_run, node_, error, result, task_id)
        except Exception as broken:
            guard.swallow("post_node_execute", broken)


def policy_of(own: CapturePolicy | None) -> Capture:
    """Return what may leave the process under an adapter's *own* policy, or without one."""
    return providers.capture_in_force() if own is None else Capture.of(own)


def checked(dag_name: str, tags: Mapping[str, Any] | None) -> tuple[str, dict[str, Value]]:
    """Return name and tags as every signal carries them; raise :class:`SettingsError` where the name is empty."""
    if not isinstance(dag_name, str) or not dag_name.strip():
        raise SettingsError(f"dag_name={dag_name!r} is not a name; give the DAG a short, constant one.")
    return shorten(dag_name.strip(), 200), {limits.tag_name(key): tag(value) for key, value in (tags or {}).items()}
