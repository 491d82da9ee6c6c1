"""Ends runs whose end Hamilton does not tell, because another adapter raised in a graph hook.

The next run in the same thread ends them, or the end of the process. Not for runs that go on.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Final, Protocol
from weakref import WeakValueDictionary

from opentelemetry import context as otel_context

from . import current
from .errors import AbandonedRun
from .events import RunExecution
from .open_runs import OpenRuns


class EndsRuns(Protocol):
    """What a recorder is here."""

    runs: OpenRuns

    def run_finished(self, run_id: str, success: bool, error: BaseException | None) -> None:
        """End a run."""

    def run_cancelled(self, run_id: str) -> None:
        """End a run with all that is open in it."""


_DRIVERS: Final = ("hamilton.driver", "hamilton.async_driver")
_UNKNOWN: Final = AbandonedRun("another adapter raised, so that the end of this run was never told")
_recorders: WeakValueDictionary[str, EndsRuns] = WeakValueDictionary()


def watch(run_id: str, recorder: EndsRuns) -> None:
    """Note that *recorder* has started a run."""
    _recorders[run_id] = recorder


def unwatch(run_id: str) -> None:
    """Note that a run has ended."""
    _recorders.pop(run_id, None)


def end_current() -> None:
    """End the run that is current here though no driver executes it any more."""
    enclosing = current.execution()
    if isinstance(enclosing, RunExecution) and not _is_executed(enclosing.id):
        recorder = _recorders.get(enclosing.id)
        open_run = recorder.runs.open.get(enclosing.id) if recorder is not None else None
        if recorder is not None and open_run is not None and open_run.thread == threading.get_ident():
            recorder.run_finished(enclosing.id, False, _UNKNOWN)


def leave_ended_runs() -> None:
    """Make the caller's context current again where that of a run that has ended was left.

    Adapters that attach a context in a pre hook and detach it in a post hook are called in the same order for both, so
    the first one's detaching is undone by the second's.
    """
    enclosing = current.execution()
    while isinstance(enclosing, RunExecution) and enclosing.id not in _recorders:
        otel_context.attach(enclosing.around)
        following = current.execution()
        if following is enclosing:
            return
        enclosing = following


def end_all() -> None:
    """At the end of the process, end what is open: runs of other threads are cancelled by it."""
    here = threading.get_ident()
    for recorder in set(_recorders.values()):
        for open_run in recorder.runs.in_progress():
            if open_run.thread == here:
                recorder.run_finished(open_run.run.id, False, _UNKNOWN)
            else:
                recorder.run_cancelled(open_run.run.id)


def _is_executed(run_id: str) -> bool:
    """Tell whether a driver further up this thread's stack executes the run."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") in _DRIVERS and frame.f_locals.get("run_id") == run_id:
            return True
        frame = frame.f_back
    return False
