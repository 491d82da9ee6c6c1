"""Brings out what is waiting when the process is told to terminate (SIGTERM), which runs no exit handler of Python's.

Only where the application has no handler of its own for it. The process ends by the signal as it would have, a bounded
moment later. Not for the usual end of a process (``exit.py``).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

TERMINATED: Final = 128 + signal.SIGTERM
"""How a shell reports a process that SIGTERM has ended."""

_installed: Termination | None = None
_held = threading.local()


class Termination:
    """Calls *settle* in a thread of its own when SIGTERM comes, and then lets the signal end the process.

    A thread, because the main thread may hold any lock when the signal comes, or be busy in code that is not Python: it
    goes on meanwhile.
    """

    def __init__(self, settle: Callable[[], object]) -> None:
        self._settle = settle
        self._handled = False
        self._pid = os.getpid()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def install(self) -> None:
        """Take the place of the default action."""
        previous = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        if previous != -1:  # an event loop's, which runs handlers without delay anyhow
            signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._handle)
        threading.Thread(target=self._wait, name="hamilton-otel-termination", daemon=True).start()

    def leave(self) -> None:
        """Give a forked child the default action: pools end their workers with this signal, and wait for them."""
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        previous = signal.set_wakeup_fd(-1)
        if previous not in (-1, self._writing):
            signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
        os.close(self._reading)
        os.close(self._writing)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._handled = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        os.write(self._writing, bytes([signal.SIGTERM]))

    def _wait(self) -> None:
        while True:
            received = os.read(self._reading, 1)
            if received == bytes([signal.SIGTERM]) and (
                self._handled or signal.getsignal(signal.SIGTERM) == self._handle
            ):
                break
        try:
            self._settle()
        finally:
            if self._handled:
                os.kill(self._pid, signal.SIGTERM)
            else:  # the main thread is still in other code, and only it may restore the default action
                os._exit(TERMINATED)


def install(settle: Callable[[], object]) -> None:
    """Have *settle* called at SIGTERM, where nobody else handles it and this is the main thread."""
    global _installed
    if _installed is not None or threading.current_thread() is not threading.main_thread():
        return
    if not hasattr(os, "register_at_fork") or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    _installed = Termination(settle)
    _installed.install()
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_leave)


def _hold() -> None:
    """Hold the signal back while a child is made: in its first moments it would tell the parent's thread."""
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _leave() -> None:
    global _installed
    if _installed is not None:
        _installed.leave()
        _installed = None
    _release()
