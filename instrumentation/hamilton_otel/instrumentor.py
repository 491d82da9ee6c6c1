"""Zero-code use: every Hamilton driver that is built gets our adapter, unless it has one.

Entry point ``opentelemetry_instrumentor``. Not for setting up providers: ``hamilton-otel run`` or OpenTelemetry's own
distribution does that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hamilton import async_driver, driver
from hamilton.lifecycle.base import LifecycleAdapterSet
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from .adapter import TelemetryAdapter
from .async_adapter import BodyAdapter, async_adapters
from .guard import guard
from .settings import environment

_OURS = (TelemetryAdapter, BodyAdapter)


class HamiltonInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Observes drivers that never heard of us, synchronous and asynchronous.

    A DAG is named by ``HAMILTON_OTEL_DAG_NAME``, else by the modules of its driver. The keywords ``tracer_provider``,
    ``meter_provider`` and ``logger_provider`` of ``instrument()`` replace the global providers.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of Hamilton that this works with."""
        return ("apache-hamilton >= 1.89, < 2",)

    def _instrument(self, **kwargs: Any) -> None:
        providers = {f"{kind}_provider": kwargs.get(f"{kind}_provider") for kind in ("tracer", "meter", "logger")}

        def build(init: Callable[..., None], instance: Any, args: Any, arguments: dict[str, Any]) -> None:
            with guard("instrumentation of a driver"):
                if not isinstance(instance, async_driver.AsyncDriver):
                    arguments = _observed(args[1:], arguments, providers)
            init(*args, **arguments)

        def build_async(init: Callable[..., None], instance: Any, args: Any, arguments: dict[str, Any]) -> None:
            with guard("instrumentation of an async driver"):
                adapters = _as_list(arguments.get("adapters"))
                if not _has_ours(adapters):
                    ours = async_adapters(_dag_name(args[1:]), **providers)
                    arguments = {**arguments, "adapters": [*adapters, *ours]}
            init(*args, **arguments)

        wrap_function_wrapper(driver.Driver, "__init__", build)
        wrap_function_wrapper(async_driver.AsyncDriver, "__init__", build_async)

    def _uninstrument(self, **kwargs: Any) -> None:
        unwrap(driver.Driver, "__init__")
        unwrap(async_driver.AsyncDriver, "__init__")


def _observed(modules: Any, arguments: dict[str, Any], providers: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a driver with our adapter in them; its executor of tasks gets it as well."""
    given = arguments.get("adapter")
    if _has_ours(_as_list(given)):
        return arguments
    ours = TelemetryAdapter(_dag_name(modules), **providers)
    executor = arguments.get("_graph_executor")
    if executor is not None:
        executor.adapter = LifecycleAdapterSet(*_as_list(executor.adapter), ours)
    adapters = [*_as_list(given), ours]
    return {
        **arguments,
        "adapter": LifecycleAdapterSet(*adapters) if isinstance(given, LifecycleAdapterSet) else adapters,
    }


def _has_ours(adapters: list[Any]) -> bool:
    return any(isinstance(adapter, _OURS) for adapter in adapters)


def _as_list(adapter: Any) -> list[Any]:
    """Return as a list what a driver accepts as its adapter: None, one, a list, or a set of Hamilton's own."""
    if adapter is None:
        return []
    if isinstance(adapter, LifecycleAdapterSet):
        return list(adapter.adapters)
    return list(adapter) if isinstance(adapter, list) else [adapter]


def _dag_name(modules: Any) -> str:
    names = [module.__name__.rpartition(".")[2] for module in modules]
    return environment("HAMILTON_OTEL_DAG_NAME") or "+".join(names) or "hamilton"
