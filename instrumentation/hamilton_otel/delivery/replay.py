"""Delivers what was spooled: by the next process that reaches the receiver, or by ``hamilton-otel replay``.

A line leaves the spool only once it is acknowledged. Where an answer is lost, that line is sent twice: Jaeger and Loki
know spans and log lines by their ids and time stamps, counts have no such thing. Not for spooling (``outlet.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.utils import suppress_instrumentation

from hamilton_otel import semconv
from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard
from hamilton_otel.health import health

from .answers import Verdict
from .endpoint import Endpoint
from .lines import items_in
from .spool import Spool

if TYPE_CHECKING:
    from .transport import Transport

INTERNAL_ERROR: Final = 500
PAUSE: Final = 15.0
"""Seconds between two looks into the spool."""


@dataclass(slots=True)
class Replayed:
    """What a replay did: items delivered, items set aside, lines that were not OTLP JSON, and why it stopped early."""

    delivered: int = 0
    rejected: int = 0
    damaged: int = 0
    stopped: str = ""


class Replay:
    """Delivers what *spool* holds for *endpoints* (by signal)."""

    _started: bool
    _stopped: bool
    _expected: bool
    _next_look: float

    def __init__(self, spool: Spool, endpoints: Mapping[str, Endpoint]) -> None:
        self._spool = spool
        self._endpoints = endpoints
        self._begin()
        self._start()
        in_children(self._begin)

    def poke(self) -> None:
        """Deliver in the thread of its own, unless one has looked a moment ago; for the way of live export."""
        if monotonic() >= self._next_look and not self._stopped:
            self._start()
            self._idle.clear()
            self._wanted.set()

    def expect(self) -> None:
        """Look into the spool at the next opportunity: something was put there."""
        self._expected, self._next_look = True, 0.0

    def finish(self, until: float) -> bool:
        """Before the process ends, deliver some of what others have spooled, unless that was done while it lived.

        *until* is a time of ``time.monotonic()``. Return whether something may have been delivered.
        """
        due = self._started and (self._next_look == 0.0 or self._wanted.is_set())
        if due:
            self.poke()
            self._idle.wait(max(0.0, until - monotonic()))
        self._stopped = True
        return due

    def run(
        self,
        until: float = float("inf"),
        receiver: str | None = None,
        advanced: Callable[[int], object] = lambda size: None,
    ) -> Replayed:
        """Deliver until nothing is left, a receiver does not answer, or ``time.monotonic()`` is *until*.

        *receiver* names another folder of the spool than the endpoints' own. *advanced* is given the size in bytes of
        each line that is done with.
        """
        return self._deliver(lambda: until - monotonic(), receiver, advanced)

    def _deliver(
        self, remaining: Callable[[], float], receiver: str | None, advanced: Callable[[int], object]
    ) -> Replayed:
        done = Replayed()
        for signal, endpoint in self._endpoints.items():
            name = receiver or endpoint.slug
            from .transport import transport_to  # loads an HTTP client, which a process without a spool has no use for

            with closing(transport_to(endpoint)) as transport:
                delivery = _Delivery(self._spool, name, endpoint, transport, remaining, advanced, done)
                for segment in self._spool.claim(name, signal):
                    if not segment.consume(delivery.take) and delivery.stops:
                        break
        return done

    def _begin(self) -> None:
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._starting = threading.Lock()
        self._started = False
        self._stopped = self._expected = False
        self._next_look = 0.0

    def _start(self) -> None:
        """Start the thread; it is there before it is needed, since a process that ends cannot start one."""
        with self._starting:
            if not self._started:
                with suppress(RuntimeError):  # the interpreter ends
                    threading.Thread(target=self._work, name="hamilton-otel-replay", daemon=True).start()
                    self._started = True

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._expected = False
            with guard("replay"), suppress_instrumentation():
                self._deliver(lambda: 0.0 if self._stopped else float("inf"), None, lambda size: None)
            self._next_look = 0.0 if self._expected else monotonic() + PAUSE
            self._wanted.clear()
            self._idle.set()


@dataclass(slots=True)
class _Delivery:
    """Delivers lines for one endpoint, as long as time remains.

    ``stops`` says whether a line that has to stay holds up all others: not where the receiver fails at that line alone.
    """

    spool: Spool
    receiver: str
    endpoint: Endpoint
    transport: Transport
    remaining: Callable[[], float]
    advanced: Callable[[int], object]
    done: Replayed
    stops: bool = False

    def take(self, line: bytes) -> bool:
        """Deliver *line* or set it aside; return False where it has to stay."""
        signal = {semconv.SIGNAL: self.endpoint.signal}
        remaining = self.remaining()
        if remaining <= 0:
            self.done.stopped = self.done.stopped or "time is up"
            self.stops = True
            return False
        try:
            items = items_in(self.endpoint.signal, line)
        except ValueError:
            self.done.damaged += 1
            health.count(semconv.TELEMETRY_DROPPED, 1, {**signal, semconv.REASON: "damaged"})
            self.advanced(len(line))
            return True
        answer = self.transport.send(line, min(remaining, self.endpoint.timeout))
        if answer.verdict is Verdict.UNAVAILABLE:
            self.done.stopped = answer.reason
            self.stops = answer.status != INTERNAL_ERROR
            return False
        if answer.verdict is Verdict.REJECTED:
            self.done.rejected += items
            health.count(semconv.TELEMETRY_REJECTED, items, signal)
            self.spool.set_aside(self.receiver, self.endpoint.signal, line, answer.reason)
        else:
            self.done.delivered += items
            health.count(semconv.TELEMETRY_REPLAYED, items, signal)
        self.advanced(len(line))
        return True
