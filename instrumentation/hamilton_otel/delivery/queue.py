"""The way out of the process for spans and log records: a queue bounded in bytes, and one thread that empties it.

The thread that puts something in never waits for the network. Not for what delivery means (``outlet.py``) nor for the
end of the process (``exit.py``).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from math import inf
from time import monotonic, sleep
from typing import Final, Generic, TypeVar

from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard

from .outlet import Outlet

T = TypeVar("T")
FIRST_DELAY: Final = 0.2
"""Seconds from the first item to its export, after a rest."""
PATIENCE: Final = 0.1
"""Seconds without progress after which a full queue is written to the spool."""
BREATH: Final = 0.001
"""Seconds that a thread which outruns the export leaves to it with each item."""


class Queue(Generic[T]):
    """Holds items of at most about *max_bytes* and delivers them with *outlet*, up to *max_batch* at a time.

    Export begins ``FIRST_DELAY`` seconds after the first item, or with a full batch, and then every *interval* seconds.
    A queue that is full because the receiver hangs spills into the spool; only where that fails too, the oldest go.
    """

    _started: bool
    _closed: bool
    _spilling: bool

    def __init__(self, outlet: Outlet[T], *, max_bytes: int, max_batch: int, interval: float) -> None:
        self.outlet = outlet
        self._max_bytes = max_bytes
        self._max_batch = max_batch
        self._rest = max(0.0, interval - FIRST_DELAY)
        outlet.watch.changed = self._receiver_fails
        self._begin()
        in_children(self._begin)

    def put(self, item: T, weight: int) -> None:
        """Add *item*, which takes about *weight* bytes of memory."""
        with self._lock:
            if self._closed:
                return
            self._items.append((item, weight))
            self._bytes += weight
            waiting = len(self._items)
            if waiting == 1 or waiting == self._max_batch:
                self._changed.notify_all()
            full = self._bytes > self._max_bytes
            if not full:
                self._full_since = inf
        if not self._started:
            self._start()
        if full:
            self._make_room()

    def flush(self, timeout: float) -> bool:
        """Have everything exported; return whether the receiver has accepted it within *timeout* seconds."""
        goal = self.ask()
        with self._changed:
            return self._changed.wait_for(lambda: self._done >= goal, timeout) and not self.outlet.failing

    def ask(self) -> int:
        """Have everything exported without waiting for it; return what ``settle`` wants to be given."""
        with self._changed:
            if not self._items and not self._in_flight:
                return self._done
            self._wanted += 1
            self._changed.notify_all()
            return self._wanted

    def settle(self, goal: int, export_until: float, spool_until: float) -> bool:
        """Wait for the export that ``ask`` has begun; write to the spool what it does not bring in time.

        Times are those of ``time.monotonic``. What the spool does not take stays queued. Return whether the receiver
        has accepted everything.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._done >= goal or self.outlet.unavailable, max(0.0, export_until - monotonic())
            )
            if self._done >= goal:
                return not self.outlet.failing
        self.outlet.give_up()
        if self._keeping.acquire(timeout=max(0.0, spool_until - monotonic())):
            try:
                self._keep_all(spool_until)
            finally:
                self._keeping.release()
        return False

    def _keep_all(self, until: float) -> None:
        self.outlet.abandon()
        with self._changed:
            batches = [*self._in_flight, *self._batches()]
            self._in_flight.clear()
        for batch in batches:
            if monotonic() > until or not self.outlet.spool([item for item, _ in batch]):
                self._put_back(batch)

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _begin(self) -> None:
        """Begin empty, as a forked process must: what is queued is the parent's, and locks may have been held."""
        self._lock = threading.RLock()  # a signal handler may flush
        self._changed = threading.Condition(self._lock)
        self._keeping = threading.Lock()  # held by whoever writes to the spool, so that no batch is written twice
        self._items: deque[tuple[T, int]] = deque()
        self._in_flight: list[Sequence[tuple[T, int]]] = []
        self._bytes = 0
        self._wanted = self._done = 0
        self._progress = 0.0
        self._full_since = inf
        self._spill_failed = False
        self._started = False
        self._closed = False
        self._spilling = False

    def _start(self) -> None:
        with self._changed:
            if self._started:
                return
            self._started = True
        try:
            threading.Thread(target=self._work, name=f"hamilton-otel-{self.outlet.signal}", daemon=True).start()
        except RuntimeError:  # the interpreter ends; what is queued goes to the spool
            self._started = False

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._is_asked())
                if self._closed and not self._items:
                    return
                self._changed.wait_for(self._is_urgent, FIRST_DELAY)
                goal = self._wanted
            drained = False
            with guard(f"delivery of {self.outlet.signal}"):
                drained = self._drain()
            with self._changed:
                self._done = goal
                self._changed.notify_all()
                if not drained and self._closed:
                    return
                if drained:
                    self._changed.wait_for(self._is_urgent, self._rest)
                else:
                    self._changed.wait_for(self._is_asked, max(self._rest, FIRST_DELAY))

    def _is_asked(self) -> bool:
        return self._wanted > self._done or self._closed

    def _is_urgent(self) -> bool:
        return self._is_asked() or len(self._items) >= self._max_batch

    def _drain(self) -> bool:
        """Deliver what is queued; return False where that is not possible now."""
        while (batch := self._take()) is not None:
            delivered = False
            with guard(f"delivery of {self.outlet.signal}"):
                delivered = self.outlet.deliver([item for item, _ in batch])
            if delivered:
                self._finish(batch, taken=True)
                continue
            with self._keeping:
                if self._is_in_flight(batch) and not self._keep(batch):
                    return False
        return True

    def _spill(self) -> None:
        """Write the oldest items to the spool until the queue is half empty."""
        with guard(f"spilling of {self.outlet.signal}"):
            kept = True
            while kept and self._bytes > self._max_bytes // 2:
                with self._keeping:
                    batch = self._take()
                    if batch is None:
                        break
                    kept = self._keep(batch)
            self._spill_failed = not kept
        self._spilling = False

    def _keep(self, batch: Sequence[tuple[T, int]]) -> bool:
        """Write a batch that was taken to the spool; return whether it is safe there. Needs ``_keeping``."""
        kept = self.outlet.spool([item for item, _ in batch])
        self._finish(batch, taken=kept)
        return kept

    def _take(self) -> Sequence[tuple[T, int]] | None:
        with self._changed:
            batch = self._next_batch()
            if not batch:
                return None
            self._in_flight.append(batch)
            return batch

    def _is_in_flight(self, batch: Sequence[tuple[T, int]]) -> bool:
        """Tell whether *batch* is still the worker's: another thread may have settled it meanwhile."""
        with self._changed:
            return any(batch is other for other in self._in_flight)

    def _finish(self, batch: Sequence[tuple[T, int]], taken: bool) -> None:
        with self._changed:
            if self._is_in_flight(batch):
                self._in_flight = [other for other in self._in_flight if other is not batch]
                if taken:
                    self._progress = monotonic()
                    self._spill_failed = False
                else:
                    self._put_back(batch)

    def _put_back(self, batch: Sequence[tuple[T, int]]) -> None:
        with self._changed:
            self._items.extendleft(reversed(batch))
            self._bytes += sum(weight for _, weight in batch)

    def _next_batch(self) -> list[tuple[T, int]]:
        batch = [self._items.popleft() for _ in range(min(self._max_batch, len(self._items)))]
        self._bytes -= sum(weight for _, weight in batch)
        return batch

    def _batches(self) -> list[list[tuple[T, int]]]:
        batches = []
        while self._items:
            batches.append(self._next_batch())
        return batches

    def _make_room(self) -> None:
        """Slow a thread down that outruns the export; where the export hangs, spill; where that fails, drop."""
        now = monotonic()
        self._full_since = min(self._full_since, now)
        hangs = now - max(self._progress, self._full_since) > PATIENCE
        spills = self.outlet.spools and not self._spill_failed
        if self._bytes > 2 * self._max_bytes or (not spills and (hangs or self.outlet.failing)):
            with self._changed:
                batch = self._next_batch()
            self.outlet.drop([item for item, _ in batch], "queue_full")
        elif hangs and not self._spilling:
            self._spilling, self._full_since = True, now
            try:
                threading.Thread(target=self._spill, name="hamilton-otel-spill", daemon=True).start()
            except RuntimeError:
                self._spilling = False
        else:
            sleep(BREATH)

    def _receiver_fails(self) -> None:
        with self._changed:
            self._changed.notify_all()
