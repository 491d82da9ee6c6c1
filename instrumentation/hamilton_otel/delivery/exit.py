"""Runs exports side by side within a bounded time, whatever the Collector does; at the end of the process as well.

The SDK's own exit handlers wait up to half a minute for a Collector that is down; here the shutdowns run in daemon
threads and are waited for no longer than the exit budget. Not for what becomes of undelivered telemetry.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from hamilton_otel.guard import guard

Action = Callable[[], object]


class Parked:
    """Threads that wait, one for each of *actions*, until they are told to run.

    Python 3.12 starts no thread while the interpreter ends, so those for the exit must be there before.
    """

    def __init__(self, actions: Sequence[Action]) -> None:
        self._go = threading.Event()
        self._failed = False
        self._pid = os.getpid()
        self._actions = actions
        self._threads = [threading.Thread(target=self._run, args=(action,), daemon=True) for action in actions]
        for thread in self._threads:
            thread.start()

    def run(self, timeout: float) -> bool:
        """Run the actions; return whether all had ended well within *timeout* seconds.

        Those that have not ended are left to their daemon threads. An action fails by raising or by returning False.
        """
        if self._pid != os.getpid():  # forked: the threads are the parent's
            return Parked(self._actions).run(timeout)
        deadline = monotonic() + timeout
        self._go.set()
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return not self._failed and not any(thread.is_alive() for thread in self._threads)

    def _run(self, action: Action) -> None:
        self._go.wait()
        succeeded: object = False
        with guard("delivery"):
            succeeded = action()
        if succeeded is False:
            self._failed = True


def run_within(timeout: float, actions: Sequence[Action]) -> bool:
    """Run *actions* now; see :meth:`Parked.run`."""
    return Parked(actions).run(timeout)
