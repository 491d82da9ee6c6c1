"""Brings out what is waiting within a bounded time, whatever the receiver does; at the end of the process as well.

The SDK's own exit handlers wait up to half a minute for a Collector that is down. Here export gets a part of the exit
budget, and the spool what is left of it. Not for other ends of a process than the usual one (``termination.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hamilton_otel.guard import guard

if TYPE_CHECKING:
    from .queue import Queue
    from .reader import HeartbeatReader

Action = Callable[[], object]
EXIT_SHARE: Final = 0.5
"""Part of the time that export has at the end of a process; the rest is for the spool."""
FLUSH_SHARE: Final = 0.9
"""Part of the time that export has before that. What is still under way then may be counted twice."""
REPLAY_SHARE: Final = 0.25
"""Part of the time that a process may spend on what others have spooled before it ends."""


def settle(
    timeout: float, export_share: float, readers: Sequence[HeartbeatReader], queues: Sequence[Queue[Any]]
) -> bool:
    """Deliver what *readers* measure and *queues* hold within *timeout* seconds, or write it to the spool.

    Export has the part *export_share* of the time. Return whether the receivers have accepted everything.
    """
    export_until = monotonic() + timeout * export_share
    spool_until = monotonic() + timeout
    goals = [(queue, queue.ask()) for queue in queues]
    for reader, collection in [(reader, reader.ask()) for reader in readers]:
        reader.wait(collection, export_until)
        goals.append((reader.queue, reader.queue.ask()))
    accepted = 0
    for queue, goal in goals:
        with guard(f"end of {queue.outlet.signal}"):
            accepted += queue.settle(goal, export_until, spool_until)
    return accepted == len(goals)


def run_within(timeout: float, actions: Sequence[Action]) -> bool:
    """Run *actions* side by side; return whether all had ended well within *timeout* seconds.

    Those that have not ended are left to their daemon threads. An action fails by raising or by returning False.
    """
    failed = []

    def run(action: Action) -> None:
        succeeded: object = False
        with guard("delivery"):
            succeeded = action()
        if succeeded is False:
            failed.append(action)

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    deadline = monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return not failed and not any(thread.is_alive() for thread in threads)
