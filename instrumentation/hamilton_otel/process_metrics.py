"""Measures what this process takes of its host: CPU, memory, disks, files, threads; with OpenTelemetry's own library.

Imported only where a process has lived for a heartbeat, for all others end without a need of it. Not for runs
(``metrics.py``) nor for the host, which the Collector measures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from time import monotonic
from typing import Any, Final

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from . import semconv
from .guard import guard
from .version import VERSION

SCOPE: Final = f"{semconv.SCOPE}.process"
"""Not the scope whose counts the Collector adds up over all processes."""
CONFIG: Final[dict[str, list[str] | None]] = {
    **dict.fromkeys(semconv.PROCESS_METRICS),
    "process.cpu.time": ["user", "system"],
    "process.context_switches": ["involuntary", "voluntary"],
    "process.disk.io": ["read", "write"],
}
_FRESH: Final = 1.0
"""Seconds for which an answer holds: readers may ask one right after the other, and a part of so little is noise."""

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


def measure(provider: MeterProvider) -> None:
    """Have *provider* measure this process from now on; a process that is forked off is silent until it says so too."""
    _of(provider).begin()


@cache
def _of(provider: MeterProvider) -> _ThisProcess:
    return _ThisProcess(provider)


class _Instrumentor(SystemMetricsInstrumentor):
    def __new__(cls, **_: Any) -> _Instrumentor:
        return object.__new__(cls)  # the one that all would share may be the application's


class _ThisProcess:
    """Stands before the provider, whose instruments outlive a fork and would go on telling of the parent."""

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = provider
        self._pid = 0

    def begin(self) -> None:
        self._callbacks: dict[str, _Callback] = {}
        self._latest: dict[str, tuple[float, list[Observation]]] = {}
        self._pid = os.getpid()
        _Instrumentor(config=CONFIG).instrument(meter_provider=self, skip_dep_check=True)
        if sys.platform != "win32":
            faults = semconv.PROCESS_PAGE_FAULTS
            self.get_meter(SCOPE, VERSION).create_observable_counter(
                faults.name, [_page_faults], faults.unit, faults.meaning
            )

    def get_meter(self, *arguments: Any, **options: Any) -> _GatedMeter:
        return _GatedMeter(self._provider.get_meter(*arguments, **options), self._gated)

    def _gated(self, name: str, callbacks: Sequence[_Callback]) -> list[_Callback]:
        (self._callbacks[name],) = callbacks
        return [partial(self._observe, name)]

    def _observe(self, name: str, options: CallbackOptions) -> Iterable[Observation]:
        if self._pid != os.getpid():
            return []
        first = name not in self._latest
        asked, observations = self._latest.get(name, (0.0, []))
        if first or monotonic() - asked > _FRESH:
            with guard("metrics of the process"):
                observations = list(self._callbacks[name](options))
                if first and name == semconv.PROCESS_CPU_UTILIZATION.name:
                    observations = []  # nothing has been measured yet, which psutil calls 0
            self._latest[name] = monotonic(), observations
        return observations


class _GatedMeter:
    def __init__(self, meter: Meter, gated: Callable[[str, Sequence[_Callback]], list[_Callback]]) -> None:
        self._meter = meter
        self._gated = gated

    def create_observable_counter(self, name: str, callbacks: Sequence[_Callback], *rest: str, **options: str) -> Any:
        return self._meter.create_observable_counter(name, self._gated(name, callbacks), *rest, **options)

    def create_observable_up_down_counter(self, name: str, callbacks: Sequence[_Callback], **options: str) -> Any:
        return self._meter.create_observable_up_down_counter(name, self._gated(name, callbacks), **options)

    def create_observable_gauge(self, name: str, callbacks: Sequence[_Callback], **options: str) -> Any:
        return self._meter.create_observable_gauge(name, self._gated(name, callbacks), **options)


def _page_faults(options: CallbackOptions) -> Iterable[Observation]:
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    (kind,) = semconv.PROCESS_PAGE_FAULTS.attributes
    return [Observation(used.ru_minflt, {kind: "minor"}), Observation(used.ru_majflt, {kind: "major"})]
