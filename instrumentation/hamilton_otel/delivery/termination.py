"""Brings out what is waiting when the process is told to terminate (SIGTERM), which runs no exit handler of Python's.

Only where the application has no handler of its own for it. The process ends by the signal as it would have, a bounded
moment later. Not for the usual end of a process (``exit.py``).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_installed: Termination | None = None
_held = threading.local()


class Termination:
    """Calls *settle* in a thread of its own when SIGTERM comes, and then lets the signal end the process.

    A thread, because the main thread may hold any lock when the signal comes, or be busy in code that is not Python: it
    goes on meanwhile. Code that is not Python and does not let go of the interpreter's lock delays the end.
    """

    def __init__(self, settle: Callable[[], object], limit: Callable[[], float]) -> None:
        self._settle = settle
        self._limit = limit
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
        settling = threading.Thread(target=self._settle, daemon=True)
        settling.start()
        settling.join(self._limit())  # whatever it waits for, such as a lock that the main thread holds
        if not self._handled:  # the main thread is in other code, and Python lets no other restore the action
            ctypes.pythonapi.PyOS_setsig(signal.SIGTERM, None)
        os.kill(self._pid, signal.SIGTERM)


def install(settle: Callable[[], object], limit: Callable[[], float]) -> None:
    """Have *settle* called at SIGTERM, where nobody else handles it and this is the main thread.

    The process ends when it returns, or after *limit()* seconds.
    """
    global _installed
    if _installed is not None or threading.current_thread() is not threading.main_thread():
        return
    if not hasattr(os, "register_at_fork") or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    _installed = Termination(settle, limit)
    _installed.install()
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_leave)


def _hold() -> None:
    """Hold the signal back while a child is made: in its first moments it would tell the parent's thread."""
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _leave() -> None:
    global _installed
    try:
        if _installed is not None:
            _installed.leave()
            _installed = None
    finally:
        _release()
