"""The adapters for Hamilton's async driver: two, because Hamilton allows a class one variant of a hook.

The synchronous one makes a node's context current while its coroutine is made, which inherits it; the asynchronous one
times the node's real body. Both speak to one recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hamilton.lifecycle import base

from . import providers
from .adapter import RunHooks, checked, policy_of
from .guard import guard
from .recorder import Recorder
from .settings import CapturePolicy
from .sinks import sinks_for

if TYPE_CHECKING:
    from hamilton.node import Node
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


def async_adapters(
    dag_name: str,
    *,
    tags: Mapping[str, Any] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    capture: CapturePolicy | None = None,
) -> tuple[SchedulingAdapter, BodyAdapter]:
    """Return the adapters that record every run of an async driver; give all of them to it.

    .. code-block:: python

        dr = await (
            async_driver.Builder()
            .with_modules(flights)
            .with_adapters(*hamilton_otel.async_adapters("flight_delays"))
            .build()
        )

    The parameters are those of :class:`TelemetryAdapter`; raises :class:`SettingsError` where *dag_name* is empty.
    """
    recorder = Recorder(
        *checked(dag_name, tags),
        partial(sinks_for, tracer_provider, meter_provider, logger_provider),
        providers.flush_worker,
        partial(policy_of, capture),
    )
    return SchedulingAdapter(recorder), BodyAdapter(recorder)


class SchedulingAdapter(RunHooks, base.BasePreNodeExecute, base.BasePostNodeExecute):
    """Opens and closes runs, and makes each node's context the one that its coroutine inherits."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def pre_node_execute(self, *, run_id: str, node_: Node, kwargs: dict[str, Any], task_id: str | None = None) -> None:
        """Make the node's context current: its coroutine is made next."""
        with guard("pre_node_execute"):
            self.recorder.node_scheduled(run_id, node_)

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
        """Restore the context: *result* is the node's coroutine, as a task."""
        with guard("post_node_execute"):
            self.recorder.node_made(run_id, node_, result)


class BodyAdapter(base.BasePreNodeExecuteAsync, base.BasePostNodeExecuteAsync):
    """Opens and closes each node around its body."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    async def pre_node_execute(
        self, *, run_id: str, node_: Node, kwargs: dict[str, Any], task_id: str | None = None
    ) -> None:
        """Open the node: its inputs are there."""
        with guard("pre_node_execute"):
            self.recorder.node_awaited(run_id, node_, kwargs)

    async def post_node_execute(
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
        with guard("post_node_execute"):
            open_run = self.recorder.find(run_id)
            if open_run is not None:
                self.recorder.node_finished(open_run, node_, error, result, None)
