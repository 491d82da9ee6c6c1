"""For users' tests: captures in memory what runs emit, so that it can be asserted on without a server.

The fixture ``hamilton_telemetry`` gives one to each test (``pytest_plugin.py``). Not for production use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from .adapter import TelemetryAdapter, policy_of
from .async_adapter import async_adapters
from .log_bridges import RunContextProcessor
from .settings import CapturePolicy
from .sinks import forget


class CapturedTelemetry:
    """Providers that keep everything in memory, and what they have kept.

    .. code-block:: python

        telemetry = CapturedTelemetry()
        dr = driver.Builder().with_modules(flights).with_adapters(telemetry.adapter("flights")).build()
        dr.execute(["delay_model"])
        assert telemetry.span("run flights").attributes["hamilton.outcome"] == "success"

    :param capture: what is captured; default: what ``configure()`` or the environment say.
    """

    def __init__(self, capture: CapturePolicy | None = None) -> None:
        self._capture = capture
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(RunContextProcessor(policy_of(capture)))
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))

    def adapter(self, dag_name: str, tags: Mapping[str, Any] | None = None) -> TelemetryAdapter:
        """Return an adapter that emits into this object."""
        return TelemetryAdapter(
            dag_name,
            tags=tags,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            capture=self._capture,
        )

    def async_adapters(self, dag_name: str, tags: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Return the adapters for an async driver that emits into this object."""
        return async_adapters(
            dag_name,
            tags=tags,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            capture=self._capture,
        )

    def clear(self) -> None:
        """Forget spans and log records; metrics go on counting."""
        self._spans.clear()
        self._logs.clear()

    def shutdown(self) -> None:
        """Shut the providers down."""
        for provider in (self.tracer_provider, self.meter_provider, self.logger_provider):
            provider.shutdown()
        forget(self.tracer_provider, self.meter_provider, self.logger_provider)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order of their end."""
        return list(self._spans.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """Return the only span called *name*; raises LookupError where there is none or more than one."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(
                f"{len(found)} spans are called {name!r}; there are {[span.name for span in self.spans]}."
            )
        return found[0]

    @property
    def logs(self) -> list[LogRecord]:
        """Return the log records, in the order of their emission."""
        return [data.log_record for data in self._logs.get_finished_logs()]

    def events(self, name: str) -> list[LogRecord]:
        """Return the log events called *name*, such as ``hamilton.run.failed``."""
        return [record for record in self.logs if record.event_name == name]

    def points(self, metric: str) -> dict[frozenset[tuple[str, Any]], float]:
        """Return the points of *metric* by their attributes: the value of a sum or gauge, the count of a histogram."""
        data = self._reader.get_metrics_data()
        return {
            frozenset((point.attributes or {}).items()): _size(point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        }


def _size(point: Any) -> float:
    return float(point.count if hasattr(point, "count") else point.value)
