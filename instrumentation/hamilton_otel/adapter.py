"""The adapter for Hamilton's synchronous driver: translates its hooks for the recorder.

Here (and in no other module) Hamilton's hook signatures are known. Nothing that happens here reaches the user's run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hamilton.lifecycle import base

from . import capture
from .guard import guard
from .recorder import Recorder
from .settings import SettingsError
from .sinks import sinks_for

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


class TelemetryAdapter(
    base.BasePreGraphExecute,
    base.BasePostGraphExecute,
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
    ) -> None:
        if not isinstance(dag_name, str) or not dag_name.strip():
            raise SettingsError(
                f"TelemetryAdapter(dag_name={dag_name!r}) is not a name; give the DAG a short, constant one."
            )
        self.dag_name = capture.shorten(dag_name.strip(), 200)
        self.tags = {key: capture.tag(value) for key, value in (tags or {}).items()}
        self._providers = (tracer_provider, meter_provider, logger_provider)
        self._recorder = Recorder(self.dag_name, self.tags)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle name and tags only: providers and open runs belong to this process."""
        return {"dag_name": self.dag_name, "tags": self.tags}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore an adapter in another process, where it uses that process's providers."""
        self.__init__(**state)  # type: ignore[misc]

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
        try:
            sinks = sinks_for(*self._providers)
            if sinks:
                self._recorder.run_started(
                    run_id, graph, sinks, outputs=final_vars, inputs=inputs or (), overrides=overrides or ()
                )
        except Exception as error:
            guard.swallow("pre_graph_execute", error)

    def post_graph_execute(
        self, *, run_id: str, graph: FunctionGraph, success: bool, error: Exception | None, results: Any
    ) -> None:
        """Close the run."""
        try:
            self._recorder.run_finished(run_id, error)
        except Exception as broken:
            guard.swallow("post_graph_execute", broken)

    def pre_node_execute(self, *, run_id: str, node_: Node, kwargs: dict[str, Any], task_id: str | None = None) -> None:
        """Open the node."""
        try:
            self._recorder.node_started(run_id, node_, kwargs, task_id)
        except Exception as error:
            guard.swallow("pre_node_execute", error)

    def post_node_execute(
        self,
        *,
        run_id: str,
        node_: Node,
        kwargs: dict[str, Any],
        success: bool,
        error: Exception | None,
        result: Any,
        task_id: str | None = None,
    ) -> None:
        """Close the node."""
        try:
            self._recorder.node_finished(run_id, node_, error, result, task_id)
        except Exception as broken:
            guard.swallow("post_node_execute", broken)
