"""Zero-code use: every Hamilton driver that is built gets a ``TelemetryAdapter``, unless it has one.

Entry point ``opentelemetry_instrumentor``. Not for setting up providers: ``hamilton-otel run`` or OpenTelemetry's own
distribution does that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hamilton import driver
from hamilton.async_driver import AsyncDriver
from hamilton.lifecycle.base import LifecycleAdapterSet
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from .adapter import TelemetryAdapter
from .guard import guard
from .settings import environment


class HamiltonInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Observes drivers that never heard of us.

    A DAG is named by ``HAMILTON_OTEL_DAG_NAME``, else by the modules of its driver. The keywords ``tracer_provider``,
    ``meter_provider`` and ``logger_provider`` of ``instrument()`` replace the global providers.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of Hamilton that this works with."""
        return ("apache-hamilton >= 1.89, < 2",)

    def _instrument(self, **kwargs: Any) -> None:
        providers = {f"{kind}_provider": kwargs.get(f"{kind}_provider") for kind in ("tracer", "meter", "logger")}

        def build(init: Any, instance: Any, args: Any, arguments: Any) -> None:
            with guard("instrumentation of a driver"):
                if not isinstance(instance, AsyncDriver):
                    arguments = _with_adapter(args[1:], arguments, providers)
            init(*args, **arguments)

        wrap_function_wrapper(driver.Driver, "__init__", build)

    def _uninstrument(self, **kwargs: Any) -> None:
        unwrap(driver.Driver, "__init__")


def _with_adapter(modules: Any, arguments: dict[str, Any], providers: dict[str, Any]) -> dict[str, Any]:
    """Return the driver's keyword arguments with our adapter among the adapters."""
    given = arguments.get("adapter")
    is_set = isinstance(given, LifecycleAdapterSet)
    adapters = _as_list(given)
    if any(isinstance(adapter, TelemetryAdapter) for adapter in adapters):
        return arguments
    adapters.append(TelemetryAdapter(_dag_name(modules), **providers))
    return {**arguments, "adapter": LifecycleAdapterSet(*adapters) if is_set else adapters}


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
