"""Puts together the sinks for a set of providers: those given, else the application's, else those of ``configure()``.

Sinks are shared by all adapters that use the same providers, so that instruments exist once. Not for building
providers.
"""

from __future__ import annotations

import threading
from typing import TypeVar

from opentelemetry import metrics, trace
from opentelemetry._logs import LoggerProvider, get_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, TracerProvider

from . import providers
from .delivery.starts import StartSink
from .events import Sink, Sinks
from .logs import log_sink
from .metrics import MetricsSink
from .tracing import TracingSink

_Providers = tuple[TracerProvider, MeterProvider, LoggerProvider]
_ABSENT = (ProxyTracerProvider, NoOpTracerProvider, _ProxyMeterProvider, NoOpMeterProvider, ProxyLoggerProvider)

_P = TypeVar("_P")

_known: dict[_Providers, Sinks] = {}
_lock = threading.Lock()


def sinks_for(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> Sinks:
    """Return the sinks for these providers, tracing first; empty where nobody has configured anything.

    A provider that is None is taken from OpenTelemetry's globals.
    """
    providers.ensure_process()
    chosen = (
        tracer_provider or trace.get_tracer_provider(),
        meter_provider or metrics.get_meter_provider(),
        logger_provider or get_logger_provider(),
    )
    sinks = _known.get(chosen)
    if sinks is None:
        with _lock:
            sinks = _known.get(chosen)
            if sinks is None:
                sinks = _known[chosen] = _build(chosen)
    return sinks


def forget(*unused: object) -> None:
    """Let go of the sinks of providers that are no longer used."""
    with _lock:
        for chosen in [chosen for chosen in _known if any(provider in unused for provider in chosen if provider)]:
            del _known[chosen]


def _build(chosen: _Providers) -> Sinks:
    tracer_provider, meter_provider, logger_provider = _present(chosen[0]), _present(chosen[1]), _present(chosen[2])
    settings = providers.settings_in_force()
    sinks: list[Sink] = []
    if tracer_provider is not None:
        sinks.append(TracingSink(tracer_provider, settings.max_spans_per_run, settings.fast_spans))
    if meter_provider is not None:
        sinks.append(MetricsSink(meter_provider, settings.heartbeat, settings.cardinality_limit))
    if logger_provider is not None:
        sinks.append(log_sink(logger_provider, settings.log_level))
    if providers.owns(meter_provider):
        sinks.append(StartSink(providers.flush_starts))
    return Sinks(sinks)


def _present(provider: _P) -> _P | None:
    return None if isinstance(provider, _ABSENT) else provider
