"""Collects metrics at every heartbeat and on demand, exports them in order, and survives a fork without counting twice.

The SDK's periodic reader would export what the parent had counted from the child as well: deltas that are not exported
yet are part of the memory that a fork copies. Not for what is measured (``metrics.py``).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Any, Final

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricReader, MetricsData

from hamilton_otel.guard import guard

MAX_PENDING: Final = 100
"""Collections that are kept while they cannot be exported."""


class HeartbeatReader(MetricReader):
    """Exports with *exporter* every *interval* seconds.

    What could not be exported is kept, up to ``MAX_PENDING`` collections, and tried again at the next export: a delta
    that is dropped is a count that is wrong for ever.
    """

    def __init__(self, exporter: MetricExporter, interval: float) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self._exporter = exporter
        self._interval = interval
        self._pending: deque[MetricsData] = deque(maxlen=MAX_PENDING)
        self._stop = threading.Event()
        self._exporting = threading.Lock()
        self._started = False
        _register_at_fork(self)
        self.ensure_process()

    def ensure_process(self) -> None:
        """Start the heartbeat of this process, where it has none: at first, and in a forked process."""
        if self._started:
            return
        with self._exporting:
            if not self._started:
                self._started = True
                threading.Thread(target=self._work, name="hamilton-otel-heartbeat", daemon=True).start()

    @property
    def undelivered(self) -> bool:
        """Tell whether something collected waits for an export that succeeds."""
        return bool(self._pending)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export; return whether everything was accepted."""
        self.collect(timeout_millis)
        return self._export(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Export once more and stop."""
        if self._stop.is_set():
            return
        self._stop.set()
        self.force_flush(timeout_millis)
        self._exporter.shutdown(timeout_millis)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self._pending.append(metrics_data)

    def _export(self, timeout_millis: float) -> bool:
        with self._exporting, suppress_instrumentation():
            while self._pending:
                data = self._pending.popleft()
                if self._exporter.export(data, timeout_millis) is not MetricExportResult.SUCCESS:
                    self._pending.append(data)  # at the end, so that one that is always refused holds up no other
                    return False
        return True

    def _work(self) -> None:
        while not self._stop.wait(self._interval):
            with guard("export of metrics"):
                self.force_flush()

    def _after_fork_in_child(self) -> None:
        """Begin anew: other threads may have held any lock, and what the parent has counted is the parent's."""
        self._exporting = threading.Lock()
        self._pending.clear()
        self._started = False
        consumer = getattr(self._collect, "__self__", None)
        if consumer is not None:
            consumer._lock = threading.Lock()
            consumer.add_metric_reader(self)  # which gives this reader an empty storage


def _register_at_fork(reader: HeartbeatReader) -> None:
    known = weakref.ref(reader)

    def begin_anew() -> None:
        found = known()
        if found is not None:
            found._after_fork_in_child()

    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=begin_anew)
