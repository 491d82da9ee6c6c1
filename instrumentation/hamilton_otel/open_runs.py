"""What is open: the runs, tasks and nodes in progress in this process, with all that closing them needs.

Plain state and no decisions; those are the recorder's.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.context import Context

from .caching import RunCache
from .current import Attachment
from .events import NodeExecution, RunExecution, TaskExecution
from .forks import in_children

MAX_ENDED: Final = 8
"""Runs that are remembered after their end, for nodes that other threads or coroutines finish later."""

NodeKey = tuple[str | None, int]
"""Task id (None outside tasks) and ``id()`` of Hamilton's node: to put together its name takes longer than all this."""


@dataclass(slots=True, eq=False)
class OpenTask:
    """A task in progress in this process. ``context`` is that of its nodes."""

    task: TaskExecution
    attachment: Attachment
    thread: int
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.task.context


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run in progress. ``context`` is that of its tasks and nodes.

    ``handled`` is the exception that the caller was handling when the run started, which is not the run's own.
    ``log_variables`` are structlog's context variables of the caller, which other threads lack.
    An ``adopted`` run belongs to another process.
    ``delegates`` and ``swallows`` say of the run's other adapters what ``stand_ins.py`` is for, ``hides`` that either
    does.
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
    nodes: dict[NodeKey, NodeExecution] = field(default_factory=dict)
    hides: bool = field(init=False)
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.run.context
        self.hides = self.delegates or self.swallows
        self.run.open_nodes = self.nodes


class OpenRuns:
    """The runs of one recorder by their id: those that are ``open``, and a few that have ``ended``."""

    def __init__(self) -> None:
        self.open: dict[str, OpenRun] = {}
        self.ended: dict[str, OpenRun] = {}
        in_children(self._begin)

    def __len__(self) -> int:
        return len(self.open)

    def add(self, run: OpenRun) -> None:
        """Add a run that starts."""
        self.open[run.run.id] = run

    def end(self, run_id: str) -> OpenRun | None:
        """Take a run out of those in progress."""
        return self.open.pop(run_id, None)

    def remember(self, run: OpenRun) -> OpenRun | None:
        """Keep a run that has ended for late nodes; return the one that is forgotten for it."""
        self.ended[run.run.id] = run
        if len(self.ended) <= MAX_ENDED:
            return None
        return self.ended.pop(next(iter(self.ended)), None)

    def in_progress(self) -> list[OpenRun]:
        """Return the runs in progress, newest last."""
        return list(self.open.values())

    def _begin(self) -> None:
        """Begin without runs, as a forked process must: its parent ends its own."""
        self.open.clear()
        self.ended.clear()
