"""Counts what our own telemetry does: what it dropped, spooled, replayed, exported, or had to swallow.

Totals of this process, for whoever operates it. Not for the user's runs: ``metrics.py`` measures those, and exports
what is counted here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from opentelemetry.metrics import Observation

from .forks import in_children
from .semconv import Metric

_Value = str | bool | int | float
_Key = tuple[str, frozenset[tuple[str, _Value]]]


class Health:
    """Totals by metric and attributes, safe to count from any thread."""

    def __init__(self) -> None:
        self.reset()

    def count(self, metric: Metric, amount: float = 1, attributes: Mapping[str, _Value] | None = None) -> None:
        """Add *amount* to the total of *metric* with these attributes."""
        key: _Key = (metric.name, frozenset((attributes or {}).items()))
        with self._lock:
            self._totals[key] = self._totals.get(key, 0) + amount

    def observations(self, metric: Metric) -> list[Observation]:
        """Return the totals of *metric*, one for each set of attributes that was counted."""
        with self._lock:
            totals = list(self._totals.items())
        return [Observation(total, dict(attributes)) for (name, attributes), total in totals if name == metric.name]

    def reset(self) -> None:
        """Begin at zero, as a forked process must: what its parent has counted is the parent's."""
        self._lock = threading.RLock()  # a signal handler may count
        self._totals: dict[_Key, float] = {}


health = Health()
in_children(health.reset)
