"""Takes batches of one signal to their receiver, and to the spool where that does not answer.

Not for when this happens or in which thread (``queue.py``), nor for what comes of the spool (``replay.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

from hamilton_otel import semconv
from hamilton_otel.guard import guard
from hamilton_otel.health import health

from .answers import Verdict, Watch, verdict_of
from .spool import Spool

T = TypeVar("T")
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds from a failure to the next attempt; each pause is twice the one before."""


@dataclass(frozen=True, slots=True)
class Shelf(Generic[T]):
    """Where an outlet puts what it cannot deliver: the spool, the receiver's name in it, and how to write a batch.

    ``kept`` is called after each batch that was written.
    """

    spool: Spool
    receiver: str
    encode: Callable[[Sequence[T]], bytes]
    kept: Callable[[], object] = lambda: None


class Outlet(Generic[T]):
    """Delivers the batches of *signal* with *send*, which returns whether the receiver has accepted one.

    *watch* knows what the receiver answered. *delivered* is called after each batch that was accepted, *failed* with
    the reason after each that was not. *abandon* ends an attempt that is under way.
    """

    def __init__(
        self,
        signal: str,
        send: Callable[[Sequence[T]], bool],
        count: Callable[[Sequence[T]], int] = len,
        shelf: Shelf[T] | None = None,
        watch: Watch | None = None,
        delivered: Callable[[], object] = lambda: None,
        failed: Callable[[str], object] = lambda reason: None,
        abandon: Callable[[], object] = lambda: None,
    ) -> None:
        self.signal = signal
        self.watch = watch or Watch()
        self._send = send
        self._count = count
        self._shelf = shelf
        self._delivered = delivered
        self._failed = failed
        self._abandon = abandon
        self._pause = FIRST_PAUSE
        self._next_attempt = 0.0
        self._attempting = False

    @property
    def failing(self) -> bool:
        """Whether the last attempt has failed."""
        return self.watch.failing

    @property
    def unavailable(self) -> bool:
        """Whether to wait is in vain: no attempt is due, or the one under way has failed before and tries again."""
        return monotonic() < self._next_attempt or (self._attempting and self.failing and not self._rejects())

    @property
    def spools(self) -> bool:
        """Whether there is a spool for what cannot be delivered."""
        return self._shelf is not None

    def deliver(self, batch: Sequence[T]) -> bool:
        """Deliver *batch*, or set it aside if it is refused for good; return False where it has to be kept."""
        if monotonic() < self._next_attempt:
            return False
        if self._export(batch):
            self.try_again()
            self._delivered()
            return True
        self._failed(self.watch.reason)
        if self._rejects():
            return self._set_aside(batch)
        self._retreat()
        return False

    def give_up(self) -> None:
        """Take the receiver for one that fails: it has refused, or not answered in the time that there was."""
        if monotonic() < self._next_attempt:
            return
        if not self.failing:
            self.watch.note(True, None, "no answer in time")
        self._failed(self.watch.reason)
        self._retreat()

    def abandon(self) -> None:
        """End the attempt that is under way: what it would deliver is taken care of otherwise."""
        with guard(f"end of an export of {self.signal}"):
            self._abandon()

    def try_again(self) -> None:
        """Make the next attempt at once: the receiver is known to answer again."""
        self._pause, self._next_attempt = FIRST_PAUSE, 0.0

    def spool(self, batch: Sequence[T]) -> bool:
        """Write *batch* to the spool; return whether it is safe there."""
        if self._shelf is None:
            return False
        line = self._encoded(self._shelf, batch)
        if not line:
            return True
        if not self._shelf.spool.write(self._shelf.receiver, self.signal, line):
            return False
        self._shelf.kept()
        health.count(semconv.TELEMETRY_SPOOLED, self._count(batch), {semconv.SIGNAL: self.signal})
        return True

    def drop(self, batch: Sequence[T], reason: str) -> None:
        """Count *batch* as lost; *reason* is a word such as ``queue_full``."""
        attributes = {semconv.SIGNAL: self.signal, semconv.REASON: reason}
        health.count(semconv.TELEMETRY_DROPPED, self._count(batch), attributes)

    def _rejects(self) -> bool:
        status = self.watch.status
        return status is not None and verdict_of(status) is Verdict.REJECTED

    def _retreat(self) -> None:
        self._next_attempt = monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _export(self, batch: Sequence[T]) -> bool:
        started = monotonic()
        self.watch.begin()
        self._attempting = True
        accepted = False
        with guard(f"export of {self.signal}"), suppress_instrumentation():
            accepted = self._send(batch)
        self._attempting = False
        if accepted == self.watch.failing:  # exporters whose connection is not watched
            self.watch.note(not accepted)
        signal = {semconv.SIGNAL: self.signal}
        outcome = "success" if accepted else "failure"
        health.count(semconv.TELEMETRY_EXPORTS, 1, {**signal, semconv.OUTCOME: outcome})
        health.count(semconv.TELEMETRY_EXPORT_TIME, monotonic() - started, signal)
        return accepted

    def _set_aside(self, batch: Sequence[T]) -> bool:
        health.count(semconv.TELEMETRY_REJECTED, self._count(batch), {semconv.SIGNAL: self.signal})
        if self._shelf is not None:
            line = self._encoded(self._shelf, batch)
            self._shelf.spool.set_aside(self._shelf.receiver, self.signal, line, self.watch.reason)
        return True

    def _encoded(self, shelf: Shelf[T], batch: Sequence[T]) -> bytes:
        """Return *batch* as a line, empty (and counted) where it cannot be one."""
        try:
            return shelf.encode(batch)
        except Exception as error:
            self.drop(batch, "encoding")
            guard.swallow(f"encoding of {self.signal}", error)
            return b""
