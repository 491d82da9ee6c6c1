"""What is open: the runs, tasks and nodes in progress in this process, with all that closing them needs.

Plain state and no decisions; those are the recorder's.
"""

from __future__ import annotations

import os
import threading
from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .caching import RunCache
from .current import Attachment
from .events import NodeExecution, RunExecution, TaskExecution

MAX_ENDED: Final = 8
"""Runs that are remembered after their end, for nodes that other threads or coroutines finish later."""

NodeKey = tuple[str | None, str]
"""Task id (None outside tasks) and node name."""


@dataclass(slots=True, eq=False)
class OpenTask:
    """A task in progress in this process."""

    task: TaskExecution
    attachment: Attachment
    thread: int = field(default_factory=threading.get_ident)


@dataclass(slots=True, eq=False)
class OpenNode:
    """A node in progress. ``attachment`` is None, and ``future`` the node's own task, under the async driver."""

    node: NodeExecution
    attachment: Attachment | None = None
    future: Future[Any] | None = None
    thread: int = field(default_factory=threading.get_ident)


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run in progress.

    ``handled`` is the exception that the caller was handling when the run started, which is not the run's own.
    ``log_variables`` are structlog's context variables of the caller. An ``adopted`` run belongs to another process.
    ``delegates`` and ``swallows`` say of the run's other adapters what ``stand_ins.py`` is for.
    """

    run: RunExecution
    attachment: Attachment | None = None
    handled: BaseException | None = None
    log_variables: Mapping[str, Any] = field(default_factory=dict)
    adopted: bool = False
    cache: RunCache | None = None
    delegates: bool = False
    swallows: bool = False
    thread: int = field(default_factory=threading.get_ident)
    submitted: dict[str, int] = field(default_factory=dict)
    expanding: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, OpenTask] = field(default_factory=dict)
    nodes: dict[NodeKey, OpenNode] = field(default_factory=dict)

    def log_variables_here(self) -> Mapping[str, Any]:
        """Return the variables that this thread lacks: none where the caller runs itself."""
        return {} if threading.get_ident() == self.thread else self.log_variables


class OpenRuns:
    """The runs of one recorder by their id; a few that have ended among them."""

    def __init__(self) -> None:
        self._open: dict[str, OpenRun] = {}
        self._ended: dict[str, OpenRun] = {}
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, run: OpenRun) -> None:
        """Add a run that starts."""
        self._open[run.run.id] = run

    def find(self, run_id: str) -> OpenRun | None:
        """Return the run, in progress or ended a while ago."""
        self._own()
        return self._open.get(run_id) or self._ended.get(run_id)

    def end(self, run_id: str) -> OpenRun | None:
        """Take a run out of those in progress."""
        self._own()
        return self._open.pop(run_id, None)

    def remember(self, run: OpenRun) -> OpenRun | None:
        """Keep a run that has ended for late nodes; return the one that is forgotten for it."""
        self._ended[run.run.id] = run
        if len(self._ended) <= MAX_ENDED:
            return None
        return self._ended.pop(next(iter(self._ended)), None)

    def in_progress(self) -> list[OpenRun]:
        """Return the runs in progress, newest last."""
        self._own()
        return list(self._open.values())

    def _own(self) -> None:
        """In a forked process: forget the runs of the parent, which ends them itself."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._open, self._ended = {}, {}
