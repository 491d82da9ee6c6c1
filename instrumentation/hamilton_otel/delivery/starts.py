"""Exports the start of a run at once, so that a process that dies early leaves a trace.

Starts within 200 ms go out together; a run that has ended by then needs no early word, since its end will carry it.
Not for any other export: the providers' own schedules do those.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from hamilton_otel.events import RunExecution, Sink
from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard

DELAY: Final = 0.2
"""Seconds from a run's start to its export."""


class StartSink(Sink):
    """Calls *flush* in a thread of its own when a run has been going on for ``DELAY`` seconds."""

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._begin()
        in_children(self._begin)

    def run_started(self, run: RunExecution) -> None:
        """Remember the run until its start is exported."""
        self._unannounced.add(run.id)
        self._ensure_thread()
        self._wake.set()

    def run_finished(self, run: RunExecution) -> None:
        """Forget a run that ended before its start was exported."""
        self._unannounced.discard(run.id)

    def _begin(self) -> None:
        """Begin with nothing, as a forked process must: locks may have been held, and threads are gone."""
        self._unannounced: set[str] = set()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._started = False

    def _ensure_thread(self) -> None:
        if self._started:
            return
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._work, name="hamilton-otel-starts", daemon=True).start()

    def _work(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(DELAY)
            self._wake.clear()
            if self._unannounced:
                self._unannounced.clear()
                with guard("export of a run's start"):
                    self._flush()
