"""Builds the SDK's providers from the settings and makes them the process's own, once.

Providers that the application has set are never replaced. ``configure()`` opens no connection. Not for choosing
settings (``settings.py``) nor for what is recorded (the sinks).
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader
from opentelemetry.sdk.resources import DEPLOYMENT_ENVIRONMENT, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from . import local_store, log_bridges
from . import settings as settings_module
from .delivery.exit import Parked, run_within
from .delivery.notice import DeliveryNotice
from .delivery.per_process import PerProcess
from .delivery.reader import HeartbeatReader
from .delivery.worker import WorkerFlush
from .guard import guard
from .json_lines import JsonLinesExporter
from .settings import LOCAL, Settings, SettingsError, environment
from .span_ids import DerivedIds

_logger = logging.getLogger("hamilton_otel")
ENVIRONMENT_NAME = "deployment.environment.name"


@dataclass(slots=True)
class _Installed:
    """What ``configure()`` has made in this process; a provider is None where the application has its own."""

    settings: Settings
    arguments: dict[str, Any]
    readers: list[HeartbeatReader] = field(default_factory=list)
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    at_exit: Parked | None = None

    def writes_locally(self) -> bool:
        return any(LOCAL in names for names in self.settings.exporters.values())

    def shutdowns(self) -> list[Callable[[], object]]:
        present = (self.tracer_provider, self.meter_provider, self.logger_provider)
        return [provider.shutdown for provider in present if provider is not None]


_installed: _Installed | None = None
_before_exit: list[Callable[[], object]] = []


def configure(
    *,
    profile: str | None = None,
    service_name: str | None = None,
    endpoint: str | None = None,
    local_store: str | os.PathLike[str] | None = None,
    log_format: str | None = None,
    log_level: str | None = None,
    exit_timeout: float | None = None,
    strict: bool | None = None,
) -> None:
    """Set up telemetry for this process; call it once, at the start. A second call does nothing.

    Each argument wins over the environment, which wins over the profile's default; the standard ``OTEL_*`` variables
    are obeyed. Without an endpoint telemetry goes to the local store. No connection is opened here.

    :param profile: ``dev``, ``ci`` or ``prod`` (``HAMILTON_OTEL_PROFILE``; default ``dev``); the default of
        ``deployment.environment.name``.
    :param service_name: ``OTEL_SERVICE_NAME``; Prometheus' ``job``; default ``hamilton``.
    :param endpoint: base URL of an OTLP receiver (``OTEL_EXPORTER_OTLP_ENDPOINT``).
    :param local_store: directory for OTLP JSON lines (``HAMILTON_OTEL_LOCAL_STORE``); default ``.hamilton-otel`` where
        there is no endpoint; given by name, it is written besides the endpoint.
    :param log_format: ``json`` writes log records to standard error (``HAMILTON_OTEL_LOG_FORMAT``); default ``none``.
    :param log_level: lowest level of our own events, ``DEBUG`` to ``ERROR`` (``HAMILTON_OTEL_LOG_LEVEL``).
    :param exit_timeout: seconds that the process may take longer to end (``HAMILTON_OTEL_EXIT_TIMEOUT``; default 2).
    :param strict: raise on a wrong setting; default: in ``dev`` and ``ci``, not in ``prod``, where one sentence is
        logged.
    :raises SettingsError: for the first wrong setting, naming it and the mend.
    """
    global _installed
    if _installed is not None:
        return
    arguments: dict[str, Any] = {
        "profile": profile,
        "service_name": service_name,
        "endpoint": endpoint,
        "local_store": local_store,
        "log_format": log_format,
        "log_level": log_level,
        "exit_timeout": exit_timeout,
    }
    chosen = settings_module.load(**arguments, strict=strict)
    for problem in chosen.problems:
        _logger.warning("%s The default is used.", problem)
    raises = strict if strict is not None else chosen.profile != "prod"
    with settings_module.without(chosen.ignored):
        _installed = _install(chosen, arguments, raises)
    _installed.at_exit = Parked(_installed.shutdowns())
    atexit.register(_shutdown)


def settings_in_force() -> Settings:
    """Return what ``configure()`` was given, else what the environment says."""
    return _installed.settings if _installed is not None else settings_module.load(strict=False)


def owns(meter_provider: object) -> bool:
    """Tell whether ``configure()`` made *meter_provider*, so that its export may be hastened."""
    return _installed is not None and meter_provider is not None and meter_provider is _installed.meter_provider


def flush(timeout: float = 2.0) -> bool:
    """Export what is waiting and return whether all of it was handed over within *timeout* seconds.

    Serves providers that the application has set as well as our own.
    """
    candidates: tuple[Any, ...] = (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider())
    flushes = [provider.force_flush for provider in candidates if callable(getattr(provider, "force_flush", None))]
    delivered = run_within(timeout, flushes)
    return delivered and not any(reader.undelivered for reader in (_installed.readers if _installed else ()))


def portable_configuration() -> dict[str, Any] | None:
    """Return what a worker process needs to send where this one sends, None where ``configure()`` was not called."""
    if _installed is None:
        return None
    arguments = {name: value for name, value in _installed.arguments.items() if value is not None}
    if _installed.writes_locally():
        arguments["local_store"] = str(_installed.settings.local_store)
    variables = {name: value for name, value in os.environ.items() if name.startswith(("OTEL_", "HAMILTON_OTEL_"))}
    return {"arguments": arguments, "variables": variables}


def configure_worker(configuration: dict[str, Any] | None) -> None:
    """Set up a worker process as the process of the run was, unless it is set up already."""
    if _installed is None and configuration is not None:
        for name, value in configuration["variables"].items():
            os.environ.setdefault(name, value)
        configure(**configuration["arguments"], strict=False)


def ensure_process() -> None:
    """In a forked process: begin to count anew."""
    if _installed is not None:
        for reader in _installed.readers:
            reader.ensure_process()


flush_worker = WorkerFlush(lambda: flush(30.0), lambda: settings_in_force().exit_timeout)
"""Export at the end of a worker's part of a run."""


def flush_starts() -> None:
    """Export the metrics and log records that are waiting: a run's start is among them."""
    if _installed is not None:
        if _installed.meter_provider is not None:
            _installed.meter_provider.force_flush()
        if _installed.logger_provider is not None:
            _installed.logger_provider.force_flush()


def before_exit(action: Callable[[], object]) -> None:
    """Have *action* called at the end of the process, before what is waiting is exported."""
    if action not in _before_exit:
        _before_exit.append(action)


def _shutdown() -> None:
    if _installed is not None:
        for action in _before_exit:
            with guard("end of the process"):
                action()
        if _installed.at_exit is not None:
            _installed.at_exit.run(_installed.settings.exit_timeout)


def _install(settings: Settings, arguments: dict[str, Any], raises: bool) -> _Installed:
    installed = _Installed(settings, arguments)
    if settings.disabled:
        return installed
    if any(LOCAL in names for names in settings.exporters.values()):
        try:
            local_store.check_writable(settings.local_store)
        except SettingsError as error:
            if raises:
                raise
            _logger.warning("%s Without it nothing is kept.", error)
            kept = {signal: tuple(n for n in names if n != LOCAL) for signal, names in settings.exporters.items()}
            settings = replace(settings, exporters=kept)
    if any("otlp" in names for names in settings.exporters.values()):
        DeliveryNotice(settings.endpoint or _endpoint_variable() or "http://localhost:4318").install()
    resource = _resource(settings)
    if settings.exporters["traces"] and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        installed.tracer_provider = _tracer_provider(settings, resource)
        trace.set_tracer_provider(installed.tracer_provider)
    if settings.exporters["metrics"] and isinstance(metrics.get_meter_provider(), _ProxyMeterProvider):
        installed.meter_provider = _meter_provider(settings, resource, installed.readers)
        metrics.set_meter_provider(installed.meter_provider)
    wants_logs = settings.exporters["logs"] or settings.log_format == "json"
    if wants_logs and isinstance(get_logger_provider(), ProxyLoggerProvider):
        installed.logger_provider = _logger_provider(settings, resource)
        set_logger_provider(installed.logger_provider)
        log_bridges.install(installed.logger_provider)
    return installed


def _resource(settings: Settings) -> Resource:
    """Name service and environment, the environment variables winning over what we would say."""
    named = Resource.create().attributes
    ours = {SERVICE_NAME: settings.service_name}
    if ENVIRONMENT_NAME not in named and DEPLOYMENT_ENVIRONMENT not in named:
        ours[ENVIRONMENT_NAME] = settings.profile
    if "service.name" in (environment("OTEL_RESOURCE_ATTRIBUTES") or "") and not environment("OTEL_SERVICE_NAME"):
        ours.pop(SERVICE_NAME)
    return Resource.create(ours)


def _tracer_provider(settings: Settings, resource: Resource) -> TracerProvider:
    provider = TracerProvider(resource=resource, id_generator=DerivedIds(), shutdown_on_exit=False)
    for name in settings.exporters["traces"]:
        exporter = (
            local_store.span_exporter(settings.local_store)
            if name == LOCAL
            else _exporter("traces", name, settings, _otlp_options(settings, "traces"))
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _meter_provider(settings: Settings, resource: Resource, heartbeats: list[HeartbeatReader]) -> MeterProvider:
    readers: list[MetricReader] = []
    for name in settings.exporters["metrics"]:
        temporality = _temporality()
        made = (
            local_store.metric_exporter(settings.local_store, preferred_temporality=temporality)
            if name == LOCAL
            else _exporter("metrics", name, settings, {**_otlp_options(settings, "metrics"), **_preferred(name)})
        )
        if isinstance(made, MetricReader):
            readers.append(made)
        else:
            heartbeats.append(HeartbeatReader(made, settings.heartbeat))
    readers += heartbeats
    return MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)


def _logger_provider(settings: Settings, resource: Resource) -> LoggerProvider:
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(log_bridges.RunContextProcessor())
    if settings.log_format == "json":
        provider.add_log_record_processor(SimpleLogRecordProcessor(JsonLinesExporter()))
    for name in settings.exporters["logs"]:
        exporter = (
            local_store.log_exporter(settings.local_store)
            if name == LOCAL
            else _exporter("logs", name, settings, _otlp_options(settings, "logs"))
        )
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider


def _temporality() -> dict[type, AggregationTemporality] | None:
    """Return deltas for what is counted, unless the standard variable says otherwise.

    Deltas let the Collector sum the counts of processes that live for seconds.
    """
    if environment("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"):
        return None
    delta = (sdk_metrics.Counter, sdk_metrics.ObservableCounter, sdk_metrics.Histogram)
    kept = (sdk_metrics.UpDownCounter, sdk_metrics.ObservableUpDownCounter, sdk_metrics.ObservableGauge)
    return {
        **dict.fromkeys(delta, AggregationTemporality.DELTA),
        **dict.fromkeys(kept, AggregationTemporality.CUMULATIVE),
    }


def _preferred(name: str) -> dict[str, Any]:
    return {"preferred_temporality": _temporality()} if name.startswith("otlp") else {}


def _otlp_options(settings: Settings, signal: str) -> dict[str, Any]:
    """Return the exporter's endpoint where it was given to ``configure()``; the environment is the SDK's matter."""
    if settings.endpoint is None:
        return {}
    if _protocol(signal) == "grpc":
        return {"endpoint": settings.endpoint}
    return {"endpoint": f"{settings.endpoint.rstrip('/')}/v1/{signal}"}


def _protocol(signal: str) -> str:
    own = environment(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
    return own or environment("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"


def _endpoint_variable() -> str | None:
    names = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        *(f"OTEL_EXPORTER_OTLP_{s.upper()}_ENDPOINT" for s in settings_module.SIGNALS),
    )
    return next((value for value in map(environment, names) if value), None)


def _exporter(signal: str, name: str, settings: Settings, options: dict[str, Any]) -> Any:
    """Return the exporter registered under *name*, as OTEL_<SIGNAL>_EXPORTER names it.

    Raises :class:`SettingsError` where there is none.
    """
    if name == "otlp":
        name = "otlp_proto_grpc" if _protocol(signal) == "grpc" else "otlp_proto_http"
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        raise SettingsError(
            f"OTEL_{signal.upper()}_EXPORTER names {name!r}, which is not installed; "
            "use otlp, console or none, or install the package that provides it."
        )
    kind = found[0].load()
    if isinstance(kind, type) and issubclass(kind, MetricReader):
        return kind()
    return PerProcess(lambda: kind(**(options if name.startswith("otlp") else {})))
