"""Carries out a plan, one process after the other, and keeps what was found.

What cannot be measured is named with its reason, and the rest goes on. Not for what is measured (``plan.py``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stack import StackError

from .child import MeasurementFailed, Progress
from .comparison import Comparison, compare
from .flights import flights
from .imports import imports
from .losses import losses
from .plan import Plan

T = TypeVar("T")


@dataclass
class Found:
    """What was measured of *plan*: times by comparison, and the rest.

    ``failed`` says why something of ours is missing, ``missing`` why a peer is.
    """

    plan: Plan
    comparisons: dict[str, dict[str, Any]] = field(default_factory=dict)
    imports: dict[str, Any] | None = None
    losses: dict[str, Any] | None = None
    flights: dict[str, Any] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def times(self, comparison: str, task: str, kind: str = "thread") -> dict[str, list[list[float]]]:
        """Return the times of a task; raises KeyError where it was not measured."""
        times: dict[str, list[list[float]]] = self.comparisons[comparison]["tasks"][task][kind]
        return times


def carry_out(
    plan: Plan, progress: Progress = lambda _: None, *, collector: bool | None = None, at_once: int = 1
) -> Found:
    """Measure all of *plan*; more than one comparison *at_once* is only for looking whether it works."""
    found = Found(plan)

    def attempt(what: str, action: Callable[[], T], failures: dict[str, str] = found.failed) -> T | None:
        try:
            return action()
        except (MeasurementFailed, StackError) as error:
            failures[what] = str(error)
            return None

    def one(comparison: Comparison) -> None:
        failures = found.missing if comparison.peer else found.failed
        answer = attempt(comparison.name, lambda: _compare(comparison, progress), failures)
        if answer is not None:
            found.comparisons[comparison.name] = answer
            found.missing.update(answer.pop("missing"))

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, plan.comparisons))
    order = [comparison.name for comparison in plan.comparisons]
    found.comparisons = dict(sorted(found.comparisons.items(), key=lambda item: order.index(item[0])))
    if plan.imports:
        found.imports = attempt("imports", lambda: imports(plan.imports, progress))
    if plan.losses:
        nodes, runs = plan.losses
        found.losses = attempt("losses", lambda: losses(nodes, runs, progress))
    if plan.flights:
        pairs, rows = plan.flights
        found.flights = attempt("flights", lambda: flights(pairs, rows, collector, progress))
    return found


def _compare(comparison: Comparison, progress: Progress) -> dict[str, Any]:
    answer = compare(comparison, lambda what: progress(f"{comparison.name}: {what}"), _launcher(comparison))
    lost = answer["lost"].get("floor", 0)
    if lost:
        raise MeasurementFailed(f"The floor has lost {lost} spans, so that it is no measure.")
    return answer


def _launcher(comparison: Comparison) -> Sequence[str]:
    """Return what starts a process that has besides what it requires: uv, which leaves this environment as it is."""
    if comparison.requires is None:
        return ()
    uv = os.environ.get("UV") or shutil.which("uv")
    return () if uv is None else (uv, "run", "--no-sync", "--with", comparison.requires)
