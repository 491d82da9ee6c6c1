"""Rows of tabular values: those that a node read and made, and those that a run's nodes made, to compare runs by.

Not for what is tabular (``capture.py``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from . import capture, semconv

PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset))
"""Types of most values, which are not tabular: a value of them need not be looked at."""
MAX_NODES: Final = 200
MAX_CHARACTERS: Final = 8_000
_ROOM_FOR_ROWS: Final = 21
"""Characters for a number of 64 bits and what stands around it."""


def count(inputs: Mapping[str, Any], result: Any) -> dict[str, int]:
    """Return the rows of a node's values by direction, ``in`` and ``out``; nothing where none is tabular."""
    counts: dict[str, int] = {}
    read = [rows for rows in map(capture.rows, inputs.values()) if rows is not None]
    if read:
        counts["in"] = sum(read)
    made = capture.rows(result)
    if made is not None:
        counts["out"] = made
    return counts


class RunRows:
    """Rows of the results of a run's nodes, summed up by name; those of the first names, as many as may be sent."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._room = MAX_CHARACTERS
        self._lock = threading.Lock()

    def add(self, name: str, rows: int | None) -> None:
        """Add the rows of a result, None where it is not tabular."""
        if rows is not None:
            with self._lock:
                if name in self._rows or self._has_room(name):
                    self._rows[name] = self._rows.get(name, 0) + rows

    def attributes(self) -> capture.Attributes:
        """Return the run's attribute, nothing where no result was tabular; without the lock, as signal handlers ask."""
        if not self._rows:
            return {}
        return {semconv.RUN_ROWS: json.dumps(self._rows.copy(), separators=(",", ":"))}

    def _has_room(self, name: str) -> bool:
        if len(self._rows) >= MAX_NODES:
            return False
        self._room -= len(json.dumps(name)) + _ROOM_FOR_ROWS
        return self._room >= 0
