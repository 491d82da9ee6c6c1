"""The figures: what each compares, which bounds it has, and whether they hold.

Each is a ratio of what was measured in one process, save what is counted. Not for measuring nor for showing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .measure import quotient, ratio
from .plan import FIGURE
from .run import Found
from .variants import AT_ONCE


@dataclass(frozen=True)
class Bound:
    """What is required of a figure and what is aimed at: at most so much, or *at_least*."""

    required: float
    aimed: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether *value* is what is required."""
        return value >= self.required if self.at_least else value <= self.required

    def reaches(self, value: float) -> bool:
        """Tell whether *value* is what is aimed at."""
        return value >= self.aimed if self.at_least else value <= self.aimed


@dataclass(frozen=True)
class Figure:
    """A figure that was measured; some have no bound."""

    name: str
    meaning: str
    value: float
    bound: Bound | None = None


Of = Callable[[Found], float]


def figures(found: Found) -> list[Figure]:
    """Return the figures of which all that they need was measured."""
    made = []
    for name, meaning, bound, of in _FIGURES:
        try:
            made.append(Figure(name, meaning, of(found), bound))
        except KeyError:  # not in this plan, or not installed
            continue
    return made


def _ours_to_floor(comparison: str, kind: str = "thread") -> Of:
    return lambda found: ratio(found.times(comparison, FIGURE, kind), "ours", "floor")


def _peer_to_ours(comparison: str, peer: str) -> Of:
    return lambda found: ratio(found.times(comparison, FIGURE), peer, "ours")


def _to_no_op(comparison: str, name: str) -> Of:
    return lambda found: quotient(found.times(comparison, FIGURE), name, "no-op")


def _sizes(found: Found, name: str = "ours") -> float:
    small, large = found.plan.sizes
    return ratio(found.times("all signals", "sizes"), f"{name} {large}", f"{name} {small}")


def _lost(found: Found) -> float:
    of_comparisons = sum(answer["lost"].get("ours", 0) for answer in found.comparisons.values())
    return float(_part(found.losses)["lost"] + of_comparisons)


def _part(of: dict[str, Any] | None) -> dict[str, Any]:
    if of is None:
        raise KeyError
    return of


_FIGURES: Final[tuple[tuple[str, str, Bound | None, Of], ...]] = (
    ("thread", "all signals / floor, executing thread", Bound(0.6, 0.35), _ours_to_floor("all signals")),
    ("process", "the same, whole process with export", Bound(1.6, 1.2), _ours_to_floor("all signals", "process")),
    (
        "public thread",
        "all signals through the public API / floor, executing thread",
        Bound(1.7, 1.5),
        _ours_to_floor("all signals, public API"),
    ),
    (
        "public process",
        "the same, whole process with export",
        None,
        _ours_to_floor("all signals, public API", "process"),
    ),
    (
        "OpenTelemetryTracer",
        "Hamilton's OpenTelemetryTracer / ours",
        Bound(8, 20, at_least=True),
        _peer_to_ours("all signals", "OpenTelemetryTracer"),
    ),
    ("HamiltonTracker", "HamiltonTracker / ours", None, _peer_to_ours("HamiltonTracker", "HamiltonTracker")),
    ("DDOGTracer", "Hamilton's DDOGTracer / ours", None, _peer_to_ours("DDOGTracer", "DDOGTracer")),
    ("sampled out", "sampled out, metrics and logs on / floor", Bound(0.3, 0.15), _ours_to_floor("sampled out")),
    ("metrics only", "metrics only / floor", None, _ours_to_floor("metrics only")),
    ("disabled", "driver with ours disabled / with empty hooks", Bound(1.1, 1.0), _to_no_op("disabled", "ours")),
    (
        "disabled cost",
        "the same, costs over bare",
        None,
        lambda found: ratio(found.times("disabled", FIGURE), "ours", "no-op"),
    ),
    (
        "unconfigured",
        "driver with ours where nothing is configured / with empty hooks",
        None,
        _to_no_op("unconfigured", "unconfigured"),
    ),
    ("size", "a node of the large graph / of the small one, all signals", Bound(1.1, 1.0), _sizes),
    ("size of floor", "the same of the floor", None, lambda found: _sizes(found, "floor")),
    (
        "threads",
        f"all signals / floor, {AT_ONCE} threads at once",
        None,
        lambda found: ratio(found.times("all signals", "threads"), "ours, threads", "floor, threads"),
    ),
    (
        "async",
        "all signals with the async driver / floor with the synchronous one",
        None,
        lambda found: ratio(found.times("all signals", "async"), "ours, async", "floor"),
    ),
    (
        "busy",
        "driver with all signals / bare, nodes of 1 ms",
        None,
        lambda found: quotient(found.times("all signals", "busy"), "ours", "bare"),
    ),
    ("lost", "spans lost at full speed", Bound(0, 0), _lost),
    ("memory", "MiB by which the highest memory grew there", None, lambda found: _part(found.losses)["growth_mib"]),
    (
        "flights",
        "flights demo, wall time with / without",
        Bound(1.02, 1.005),
        lambda found: _part(found.flights)["ratio"],
    ),
    (
        "flights, hooks",
        "the same, of the time in our hooks alone",
        None,
        lambda found: _part(found.flights)["hooks"],
    ),
    ("import", "import of ours / of OpenTelemetry's SDK", Bound(1.3, 1.1), lambda found: _part(found.imports)["ratio"]),
)
