"""A run of the past as plain typed objects. Not for reading them from anywhere: that is each store's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class HistoryError(LookupError):
    """The run that was asked for cannot be shown; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One executed node. ``start`` and ``end`` are Unix nanoseconds; ``attributes`` those of its span."""

    name: str
    start: int
    end: int
    outcome: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a DAG with its nodes in order of their start."""

    id: str
    dag: str
    trace_id: str
    start: int
    end: int
    outcome: str
    nodes: tuple[NodeRun, ...]
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return (self.end - self.start) / 1e9
