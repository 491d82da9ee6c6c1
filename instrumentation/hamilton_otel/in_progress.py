"""Keeps what is in progress in this process, for the gauges; silent until the process has lived for a heartbeat.

Not an instrument: ``metrics.py`` makes those.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import monotonic

from opentelemetry.metrics import Observation

from . import semconv
from .capture import Value
from .events import RunExecution

_Series = tuple[str, Value | None]


class InProgress:
    """Runs or tasks in progress by DAG and team, each with the Unix time of its start.

    Short processes add no series, because nothing is shown for the first *heartbeat* seconds. A forked process begins
    with nothing.
    """

    def __init__(self, heartbeat: float) -> None:
        self._visible_from = monotonic() + heartbeat
        self._heartbeat = heartbeat
        self._items: dict[_Series, dict[tuple[str, str], float]] = {}
        self._pid = os.getpid()

    def add(self, run: RunExecution, item: str, started: float) -> None:
        """Add *item* of *run*."""
        self._own()
        self._items.setdefault((run.dag.name, run.team), {})[run.id, item] = started

    def remove(self, run: RunExecution, item: str) -> None:
        """Remove *item* of *run*, if it is there."""
        self._items.get((run.dag.name, run.team), {}).pop((run.id, item), None)

    def forget(self, run: RunExecution) -> None:
        """Remove all items of *run*."""
        items = self._items.get((run.dag.name, run.team), {})
        for key in [key for key in list(items) if key[0] == run.id]:
            items.pop(key, None)

    def counts(self) -> Iterable[Observation]:
        """Yield the number in progress for every series that this process has ever had."""
        for series, items in self._visible():
            yield Observation(len(items), _attributes(series))

    def oldest(self) -> Iterable[Observation]:
        """Yield the oldest start for every series that has something in progress."""
        for series, items in self._visible():
            starts = list(items.values())
            if starts:
                yield Observation(min(starts), _attributes(series))

    def _visible(self) -> list[tuple[_Series, dict[tuple[str, str], float]]]:
        self._own()
        return list(self._items.items()) if monotonic() >= self._visible_from else []

    def _own(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._items = {}
            self._visible_from = monotonic() + self._heartbeat


def _attributes(series: _Series) -> dict[str, Value]:
    dag, team = series
    return {semconv.DAG_NAME: dag} if team is None else {semconv.DAG_NAME: dag, semconv.TEAM: team}
