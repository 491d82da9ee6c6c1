"""Exports at the end of a worker's part of a run, without making many short tasks wait for a Collector that is down.

Pools end their processes without a word, so what a task has recorded must leave with it. Not for the process of the
run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard

IMPATIENT: Final = 0.1
"""Seconds that a task waits once an export has failed, until one succeeds again."""


class WorkerFlush:
    """Calls *flush* in one thread at a time; it returns whether everything was delivered.

    A call waits until what was recorded before it is exported, *patience* seconds at the most.
    """

    def __init__(self, flush: Callable[[], bool], patience: Callable[[], float]) -> None:
        self._flush = flush
        self._patience = patience
        self._begin()
        in_children(self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._wanted = self._done = 0
        self._running: bool = False
        self._delivers: bool = True

    def __call__(self) -> None:
        """Export, and wait for it within reason."""
        with self._changed:
            self._wanted += 1
            mine = self._wanted
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="hamilton-otel-worker", daemon=True).start()
            self._changed.wait_for(lambda: self._done >= mine, self._patience() if self._delivers else IMPATIENT)
            if self._done < mine:
                self._delivers = False

    def _work(self) -> None:
        while True:
            with self._changed:
                goal = self._wanted
            delivered = False
            with guard("export of a worker"):
                delivered = self._flush()
            with self._changed:
                self._done, self._delivers = goal, delivered
                self._changed.notify_all()
                if self._wanted == goal:
                    self._running = False
                    return
