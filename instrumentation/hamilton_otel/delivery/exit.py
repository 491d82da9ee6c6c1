"""Ends delivery within a bounded time when the process ends, whatever the Collector does.

The SDK's own exit handlers wait up to half a minute for a Collector that is down; here the shutdowns run side by side
in daemon threads and are waited for no longer than the exit budget. Not for what becomes of undelivered telemetry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic

from hamilton_otel.guard import guard


def run_within(timeout: float, actions: Sequence[Callable[[], object]]) -> bool:
    """Run *actions* side by side and return whether all had ended within *timeout* seconds.

    Those that have not are left to their daemon threads.
    """
    deadline = monotonic() + timeout
    threads = [threading.Thread(target=_guarded, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _guarded(action: Callable[[], object]) -> None:
    with guard("delivery"):
        action()
