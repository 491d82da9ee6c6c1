"""Builds the SDK's providers from the settings and makes them the process's own, once.

Providers that the application has set are never replaced. ``configure()`` opens no connection. Not for choosing
settings (``settings.py``) nor for what is recorded (the sinks). What ``configure()`` alone needs (exporters, structlog,
locks) is imported when it is called.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from socket import gethostname
from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import DEPLOYMENT_ENVIRONMENT, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider

from . import limits
from . import settings as settings_module
from .capture import Capture
from .delivery import termination
from .delivery.exit import EXIT_SHARE, FLUSH_SHARE, REPLAY_SHARE, run_within, settle
from .delivery.worker import WorkerFlush
from .guard import guard
from .semconv import HOST_NAME, PROCESS_PID
from .settings import LOCAL, CapturePolicy, Settings, SettingsError, environment
from .span_ids import DerivedIds

if TYPE_CHECKING:
    from .pipelines import Pipelines

_logger = logging.getLogger("hamilton_otel")
ENVIRONMENT_NAME = "deployment.environment.name"


@dataclass(slots=True)
class _Installed:
    """What ``configure()`` has made in this process; a provider is None where the application has its own."""

    settings: Settings
    arguments: dict[str, Any]
    ways: Pipelines | None = None
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None

    def writes_locally(self) -> bool:
        return any(LOCAL in names for names in self.settings.exporters.values())

    def providers(self) -> tuple[object, ...]:
        return self.tracer_provider, self.meter_provider, self.logger_provider

    def settle(self, timeout: float, export_share: float = EXIT_SHARE) -> bool:
        """Deliver or spool what is waiting within *timeout* seconds; return whether it was all accepted."""
        if self.ways is None:
            return True
        return settle(timeout, export_share, self.ways.readers, self.ways.queues)


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
    spool: str | os.PathLike[str] | None = None,
    capture: CapturePolicy | None = None,
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
    :param spool: directory for what cannot be delivered in time (``HAMILTON_OTEL_SPOOL``; ``none``: keep nothing);
        default ``~/.local/state/hamilton-otel/spool``, which the user's processes share.
    :param capture: what may leave the process, and what counts as a secret; it replaces as a whole what
        ``HAMILTON_OTEL_CAPTURE_VALUES``, ``HAMILTON_OTEL_REDACT_KEYS``, ``HAMILTON_OTEL_REDACT_PATTERNS`` and
        ``HAMILTON_OTEL_SAFE_KEYS`` say.
    :param strict: raise on a wrong setting; default: in ``dev`` and ``ci``, not in ``prod``, where one sentence is
        logged.
    :raises SettingsError: for the first wrong setting, naming it and the mend.
    """
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
        "spool": spool,
        "capture": capture,
    }
    _configure(arguments, strict)
    if _installed is not None and _installed.ways is not None:
        termination.install(_shutdown, lambda: settings_in_force().exit_timeout + 0.5)


def _configure(arguments: dict[str, Any], strict: bool | None) -> None:
    global _installed
    chosen = settings_module.load(**arguments, strict=strict)
    for problem in chosen.problems:
        _logger.warning("%s The default is used.", problem)
    raises = strict if strict is not None else chosen.profile != "prod"
    with settings_module.without(chosen.ignored):
        _installed = _install(chosen, arguments, raises)
    atexit.register(_shutdown)


def settings_in_force() -> Settings:
    """Return what ``configure()`` was given, else what the environment says."""
    return _installed.settings if _installed is not None else settings_module.load(strict=False)


def capture_in_force() -> Capture:
    """Return what may leave the process: as ``configure()`` was told, else as the environment says."""
    return Capture.of(_installed.settings.capture if _installed is not None else settings_module.capture_policy())


def owns(meter_provider: object) -> bool:
    """Tell whether ``configure()`` made *meter_provider*, so that its export may be hastened."""
    return _installed is not None and meter_provider is not None and meter_provider is _installed.meter_provider


def flush(timeout: float = 2.0) -> bool:
    """Export what is waiting and return whether all of it was handed over within *timeout* seconds.

    What was not is kept in the spool. Serves providers that the application has set as well as our own.
    """
    ours = () if _installed is None else _installed.providers()
    theirs: tuple[Any, ...] = (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider())
    flushes = [
        provider.force_flush
        for provider in theirs
        if provider not in ours and callable(getattr(provider, "force_flush", None))
    ]
    deadline = monotonic() + timeout
    accepted = _installed is None or _installed.settle(timeout, FLUSH_SHARE)
    return (not flushes or run_within(max(0.0, deadline - monotonic()), flushes)) and accepted


def portable_configuration() -> dict[str, Any] | None:
    """Return what a worker process needs to send where this one sends, None where ``configure()`` was not called."""
    if _installed is None:
        return None
    arguments = {name: value for name, value in _installed.arguments.items() if value is not None}
    if _installed.writes_locally():
        arguments["local_store"] = str(_installed.settings.local_store)
    if arguments.get("spool") is not None and _installed.settings.spool is not None:
        arguments["spool"] = str(_installed.settings.spool)
    variables = {name: value for name, value in os.environ.items() if name.startswith(("OTEL_", "HAMILTON_OTEL_"))}
    return {"arguments": arguments, "variables": variables}


def configure_worker(configuration: dict[str, Any] | None) -> None:
    """Set up a worker process as the process of the run was, unless it is set up already."""
    if _installed is None and configuration is not None:
        for name, value in configuration["variables"].items():
            os.environ.setdefault(name, value)
        _configure(configuration["arguments"], strict=False)


def ensure_process() -> None:
    """In a forked process: begin to count anew."""
    if _installed is not None:
        for reader in _installed.ways.readers if _installed.ways else ():
            reader.ensure_process()


flush_worker = WorkerFlush(lambda: flush(settings_in_force().exit_timeout), lambda: settings_in_force().exit_timeout)
"""Deliver at the end of a worker's part of a run."""


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
        budget = _installed.settings.exit_timeout
        began = monotonic()
        with guard("end of the process"):
            _installed.settle(budget)
            if _installed.ways is not None and _installed.ways.finish(began + budget * REPLAY_SHARE):
                _installed.settle(began + budget - monotonic())


def _install(settings: Settings, arguments: dict[str, Any], raises: bool) -> _Installed:
    installed = _Installed(settings, arguments)
    if settings.disabled:
        return installed
    from . import local_store
    from .pipelines import Pipelines

    if any(LOCAL in names for names in settings.exporters.values()):
        try:
            local_store.check_writable(settings.local_store)
        except SettingsError as error:
            if raises:
                raise
            _logger.warning("%s Without it nothing is kept.", error)
            kept = {signal: tuple(n for n in names if n != LOCAL) for signal, names in settings.exporters.items()}
            settings = replace(settings, exporters=kept)
    installed.settings = settings
    installed.ways = ways = Pipelines(settings)
    resource = _resource(settings)
    if settings.exporters["traces"] and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        installed.tracer_provider = _tracer_provider(settings, resource, ways)
        trace.set_tracer_provider(installed.tracer_provider)
    if settings.exporters["metrics"] and isinstance(metrics.get_meter_provider(), _ProxyMeterProvider):
        installed.meter_provider = _meter_provider(settings, resource, ways)
        metrics.set_meter_provider(installed.meter_provider)
    wants_logs = settings.exporters["logs"] or settings.log_format == "json"
    if wants_logs and isinstance(get_logger_provider(), ProxyLoggerProvider):
        from . import log_bridges

        installed.logger_provider = _logger_provider(settings, resource, ways)
        set_logger_provider(installed.logger_provider)
        log_bridges.install(installed.logger_provider)
    if hasattr(os, "register_at_fork"):
        # After the providers' own functions, which free their locks and give the child its service.instance.id.
        os.register_at_fork(after_in_child=lambda: _renew_resource(installed))
    return installed


def _renew_resource(installed: _Installed) -> None:
    """In a forked process: name that one."""
    own = Resource({PROCESS_PID: os.getpid()})
    for provider in (installed.tracer_provider, installed.meter_provider, installed.logger_provider):
        if provider is not None:
            with guard("resource of a forked process"):
                provider._update_resource(own)


def _resource(settings: Settings) -> Resource:
    """Name service, environment, host and process, the environment variables winning over what we would say."""
    named = Resource.create().attributes
    ours: dict[str, str | int] = {SERVICE_NAME: settings.service_name, PROCESS_PID: os.getpid()}
    if HOST_NAME not in named:
        ours[HOST_NAME] = gethostname()
    if ENVIRONMENT_NAME not in named and DEPLOYMENT_ENVIRONMENT not in named:
        ours[ENVIRONMENT_NAME] = settings.profile
    if "service.name" in (environment("OTEL_RESOURCE_ATTRIBUTES") or "") and not environment("OTEL_SERVICE_NAME"):
        ours.pop(SERVICE_NAME)
    return Resource.create(ours)


def _tracer_provider(settings: Settings, resource: Resource, ways: Pipelines) -> TracerProvider:
    from .delivery.processors import SpanQueue

    provider = TracerProvider(
        resource=resource, id_generator=DerivedIds(), shutdown_on_exit=False, span_limits=limits.span_limits()
    )
    for name in settings.exporters["traces"]:
        provider.add_span_processor(SpanQueue(ways.of_spans(name)))
    return provider


def _meter_provider(settings: Settings, resource: Resource, ways: Pipelines) -> MeterProvider:
    readers = [ways.of_metrics(name) for name in settings.exporters["metrics"]]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    if settings.process_metrics and set(settings.exporters["metrics"]) - {LOCAL} and ways.readers:
        ways.readers[0].when_long_lived = lambda: _measure_process(provider)
    return provider


def _measure_process(provider: MeterProvider) -> None:
    from .process_metrics import measure  # what most processes end before they need

    measure(provider)


def _logger_provider(settings: Settings, resource: Resource, ways: Pipelines) -> LoggerProvider:
    from .delivery.processors import LogQueue
    from .log_bridges import RunContextProcessor

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False, log_record_limits=limits.log_record_limits())
    provider.add_log_record_processor(RunContextProcessor(Capture.of(settings.capture)))
    if settings.log_format == "json":
        from .json_lines import JsonLinesExporter

        provider.add_log_record_processor(SimpleLogRecordProcessor(JsonLinesExporter()))
    for name in settings.exporters["logs"]:
        provider.add_log_record_processor(LogQueue(ways.of_logs(name)))
    return provider
