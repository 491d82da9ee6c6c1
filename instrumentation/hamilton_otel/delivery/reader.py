"""Collects metrics at every heartbeat and on demand, and survives a fork without counting twice.

The SDK's periodic reader would export what the parent had counted from the child as well: deltas that are not exported
yet are part of the memory that a fork copies. Not for what is measured (``metrics.py``) nor for delivery.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, MetricsData

from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard

from .processors import weight_of_metrics
from .queue import Queue


class HeartbeatReader(MetricReader):
    """Puts what there is to measure into *queue* every *interval* seconds, in the form that *exporter* wants.

    Calls ``when_long_lived``, where it is set, in each process once that has lived for one interval.
    """

    when_long_lived: Callable[[], object] | None = None
    _wanted: int
    _done: int
    _started: bool
    _stopped: bool
    _long_lived_from: float

    def __init__(self, exporter: MetricExporter, queue: Queue[MetricsData], interval: float) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self.queue = queue
        self._interval = interval
        self._begin()
        in_children(self._after_fork_in_child)
        self.ensure_process()

    def ensure_process(self) -> None:
        """Start the heartbeat of this process, where it has none: at first, and in a forked process."""
        if self._started:
            return
        with self._changed:
            if not self._started:
                self._started = True
                threading.Thread(target=self._work, name="hamilton-otel-heartbeat", daemon=True).start()

    def ask(self) -> int:
        """Have the heartbeat collect now; return what ``wait`` wants to be given."""
        if not self._started:  # a forked process without a run
            with guard("collection of metrics"):
                self.collect()
            return self._done
        with self._changed:
            self._wanted += 1
            self._changed.notify_all()
            return self._wanted

    def wait(self, goal: int, until: float) -> None:
        """Wait for that collection until ``time.monotonic()`` is *until*: callbacks of others, in it, may hang."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= goal, max(0.0, until - monotonic()))

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and deliver; return whether everything was accepted in time."""
        self.collect(timeout_millis)
        return self.queue.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect and deliver once more, and stop."""
        self.force_flush(timeout_millis)
        self.queue.close()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self.queue.put(metrics_data, weight_of_metrics(metrics_data))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted > self._done or self._stopped, self._interval)
                if self._stopped:
                    return
                goal = self._wanted
            if self.when_long_lived is not None and monotonic() >= self._long_lived_from:
                with guard("start of what long-lived processes measure"):
                    self.when_long_lived()
                self._long_lived_from = inf
            with guard("collection of metrics"):
                self.collect()
            with self._changed:
                self._done = goal
                self._changed.notify_all()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._wanted = 0
        self._done = 0
        self._started = False
        self._stopped = False
        self._long_lived_from = monotonic() + self._interval

    def _after_fork_in_child(self) -> None:
        """Begin anew: other threads may have held any lock, and what the parent has counted is the parent's."""
        self._begin()
        consumer = getattr(self._collect, "__self__", None)
        if consumer is not None:
            consumer._lock = threading.Lock()
            consumer.add_metric_reader(self)  # which gives this reader an empty storage
