"""Keeps what is in progress in this process, for the gauges; silent until the process has lived for a heartbeat.

Not an instrument: ``metrics.py`` makes those.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import monotonic
from typing import Final

from opentelemetry.metrics import Observation

from . import semconv
from .capture import Value
from .events import RunExecution
from .limits import Cardinality

_Series = tuple[str, Value | None]
_OVERFLOW: Final[_Series] = ("", None)
"""No DAG has an empty name."""


class InProgress:
    """Runs or tasks in progress by DAG and team, each with the Unix time of its start.

    Short processes add no series, because nothing is shown for the first *heartbeat* seconds. A forked process begins
    with nothing. Series that *cardinality* does not admit are shown as one.
    """

    def __init__(self, heartbeat: float, cardinality: Cardinality) -> None:
        self._cardinality = cardinality
        self._visible_from = monotonic() + heartbeat
        self._heartbeat = heartbeat
        self._items: dict[_Series, dict[tuple[str, str], float]] = {}
        self._pid = os.getpid()

    def add(self, run: RunExecution, item: str, started: float) -> None:
        """Add *item* of *run*."""
        self._own()
        series = run.series
        kept = series if self._cardinality.admits(series) else _OVERFLOW
        self._items.setdefault(kept, {})[run.id, item] = started

    def remove(self, run: RunExecution, item: str) -> None:
        """Remove *item* of *run*, if it is there."""
        self._items_like(run).pop((run.id, item), None)

    def forget(self, run: RunExecution) -> None:
        """Remove all items of *run*."""
        items = self._items_like(run)
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

    def _items_like(self, run: RunExecution) -> dict[tuple[str, str], float]:
        series = run.series
        return self._items.get(series if series in self._cardinality else _OVERFLOW, {})

    def _visible(self) -> list[tuple[_Series, dict[tuple[str, str], float]]]:
        self._own()
        return list(self._items.items()) if monotonic() >= self._visible_from else []

    def _own(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._items = {}
            self._visible_from = monotonic() + self._heartbeat


def _attributes(series: _Series) -> dict[str, Value]:
    if series == _OVERFLOW:
        return {semconv.OVERFLOW: True}
    dag, team = series
    return {semconv.DAG_NAME: dag} if team is None else {semconv.DAG_NAME: dag, semconv.TEAM: team}
