"""Builds the way out of the process for each exporter that the settings name: exporter, outlet, spool, queue.

Standard variables of the exporters are obeyed by the exporters themselves. Not for providers (``providers.py``) nor for
what happens on the way (``delivery/``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from . import local_store, span_json
from .delivery import lines
from .delivery.answers import Watch
from .delivery.endpoint import Endpoint, endpoint_of
from .delivery.fast_exporters import fast_exporter
from .delivery.notice import DeliveryNotice
from .delivery.outlet import Outlet, Shelf
from .delivery.per_process import PerProcess
from .delivery.processors import points_in
from .delivery.queue import Queue
from .delivery.reader import HeartbeatReader
from .delivery.replay import Replay
from .delivery.spool import Spool
from .settings import LOCAL, SIGNALS, Settings, SettingsError, environment

_Encode = Callable[[Sequence[Any]], bytes]


class Pipelines:
    """Makes the ways out for *settings*, and knows them: ``queues``, ``readers``, ``spool`` and its ``replay``."""

    def __init__(self, settings: Settings) -> None:
        self.queues: list[Queue[Any]] = []
        self.readers: list[HeartbeatReader] = []
        self.spool: Spool | None = None
        self.replay: Replay | None = None
        self._settings = settings
        self._endpoints = {
            signal: endpoint_of(signal, settings.endpoint)
            for signal in SIGNALS
            if any(name.startswith("otlp") for name in settings.exporters[signal])
        }
        if self._endpoints:
            if settings.spool is not None:
                self.spool = Spool(settings.spool, settings.spool_max_bytes)
                self.replay = Replay(self.spool, self._endpoints)
            self._notice = DeliveryNotice(
                next(_base(endpoint) for endpoint in self._endpoints.values()),
                str(settings.spool) if settings.spool else None,
            )
            self._notice.install()

    def of_spans(self, name: str) -> Queue[ReadableSpan]:
        """Return a new queue of spans to the exporter *name*; raises SettingsError where it is not installed."""
        return self._queue("traces", name, span_json.encode, "BSP")

    def of_logs(self, name: str) -> Queue[ReadableLogRecord]:
        """Return a new queue of log records to the exporter *name*; raises SettingsError where it is not installed."""
        return self._queue("logs", name, lines.of_logs, "BLRP")

    def of_metrics(self, name: str) -> MetricReader:
        """Return a new reader for the exporter *name*; raises SettingsError where it is not installed."""
        temporality = preferred_temporality()
        watch = Watch()
        if name == LOCAL:
            made: Any = local_store.metric_exporter(self._settings.local_store, preferred_temporality=temporality)
        else:
            made = self._exporter("metrics", name, watch, preferred_temporality=temporality)
        if isinstance(made, MetricReader):
            return made
        outlet = Outlet(
            "metrics",
            lambda batch: all(made.export(data).name == "SUCCESS" for data in batch),
            count=lambda batch: sum(map(points_in, batch)),
            **self._way("metrics", name, lines.of_metrics, watch, made),
        )
        queue: Queue[MetricsData] = Queue(
            outlet, max_bytes=self._settings.queue_max_bytes, max_batch=1, interval=self._settings.heartbeat
        )
        reader = HeartbeatReader(made, queue, self._settings.heartbeat)
        self.readers.append(reader)
        return reader

    def finish(self, until: float) -> bool:
        """Before the process ends: replay, where a receiver answers, until ``time.monotonic()`` is *until*.

        Return whether there is something to tell of it.
        """
        answers = any(outlet.spools and not outlet.unavailable for outlet in self._outlets())
        replayed = self.replay is not None and answers and self.replay.finish(until)
        if self.spool is not None:
            self.spool.close()
        return replayed

    def _outlets(self) -> list[Outlet[Any]]:
        return [queue.outlet for queue in (*self.queues, *(reader.queue for reader in self.readers))]

    def _delivered(self) -> None:
        """One signal has come through: the others need not wait for their next attempt, nor what is spooled."""
        for outlet in self._outlets():
            if outlet.failing:
                outlet.try_again()
        if self.replay is not None:
            self.replay.poke()

    def _queue(self, signal: str, name: str, encode: _Encode, processor: str) -> Queue[Any]:
        watch = Watch()
        made: Any
        if name == LOCAL:
            make = local_store.span_exporter if signal == "traces" else local_store.log_exporter
            made = make(self._settings.local_store)
        else:
            made = self._exporter(signal, name, watch)
        outlet = Outlet(
            signal, lambda batch: made.export(batch).name == "SUCCESS", **self._way(signal, name, encode, watch, made)
        )
        queue: Queue[Any] = Queue(
            outlet,
            max_bytes=self._settings.queue_max_bytes,
            max_batch=int(environment(f"OTEL_{processor}_MAX_EXPORT_BATCH_SIZE") or 512),
            interval=int(environment(f"OTEL_{processor}_SCHEDULE_DELAY") or 1_000) / 1_000,
        )
        self.queues.append(queue)
        return queue

    def _way(self, signal: str, name: str, encode: _Encode, watch: Watch, made: Any) -> dict[str, Any]:
        """Return what an outlet needs besides its exporter: only what goes to a receiver is spooled and replayed."""
        if not name.startswith("otlp"):
            return {"watch": watch}
        way: dict[str, Any] = {"watch": watch, "failed": self._notice.say, "abandon": made.renew}
        if self.spool is not None and self.replay is not None:
            way["shelf"] = Shelf(self.spool, self._endpoints[signal].slug, encode, self.replay.expect)
            way["delivered"] = self._delivered
        return way

    def _exporter(self, signal: str, name: str, watch: Watch, **preferences: Any) -> Any:
        """Return the exporter registered under *name*, as OTEL_<SIGNAL>_EXPORTER names it."""
        grpc = name == "otlp_proto_grpc" or (name == "otlp" and self._endpoints[signal].grpc)
        registered = name if name != "otlp" else "otlp_proto_grpc" if grpc else "otlp_proto_http"
        found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=registered))
        if not found:
            raise SettingsError(
                f"OTEL_{signal.upper()}_EXPORTER names {name!r}, which is not installed; "
                "use otlp, console or none, or install the package that provides it."
            )
        kind = fast_exporter(found[0].load())
        if isinstance(kind, type) and issubclass(kind, MetricReader):
            return kind()
        if not name.startswith("otlp"):
            return PerProcess(kind)
        options = {**preferences, **self._endpoint_option(signal, grpc)}
        if grpc or _brings_its_own_session(signal):
            return PerProcess(partial(kind, **options))
        from .delivery.session import WatchedSession  # loads an HTTP client

        return PerProcess(lambda: kind(**options, session=WatchedSession(watch)))

    def _endpoint_option(self, signal: str, grpc: bool) -> dict[str, str]:
        """Return the exporter's endpoint where it was given to ``configure()``; the environment is the SDK's matter."""
        given = self._settings.endpoint
        if given is None:
            return {}
        return {"endpoint": given if grpc else f"{given.rstrip('/')}/v1/{signal}"}


def preferred_temporality() -> dict[type, AggregationTemporality] | None:
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


def _brings_its_own_session(signal: str) -> bool:
    variable = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"
    return any(environment(variable.format(infix)) for infix in ("", f"{signal.upper()}_"))


def _base(endpoint: Endpoint) -> str:
    return endpoint.url.removesuffix(f"/v1/{endpoint.signal}")
