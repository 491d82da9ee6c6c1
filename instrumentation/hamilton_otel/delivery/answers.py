"""What receivers answer, and what is known of one from that. Not for asking them (``transport.py``, ``session.py``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

NOT_THE_LINES_FAULT: Final = frozenset({401, 402, 403, 404, 405, 407, 408, 421, 425, 429})
"""HTTP statuses from 400 to 499 that another attempt can turn into success once somebody has mended something."""


class Verdict(Enum):
    """What became of a line."""

    ACCEPTED = "accepted"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said; ``reason`` is empty for an accepted line."""

    verdict: Verdict
    reason: str = ""
    status: int | None = None


def verdict_of(status: int) -> Verdict:
    """Return what an HTTP status says about the request that it answers."""
    if status < 300:
        return Verdict.ACCEPTED
    rejected = 400 <= status < 500 and status not in NOT_THE_LINES_FAULT
    return Verdict.REJECTED if rejected else Verdict.UNAVAILABLE


class Watch:
    """What is known of a receiver: whether the last attempt failed, with which HTTP status (None: no answer) and why.

    ``changed`` is called after each attempt that failed.
    """

    def __init__(self) -> None:
        self.failing = False
        self.status: int | None = None
        self.reason = ""
        self.changed: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Begin an attempt: what is noted from now on is of this one."""
        self.failing = False

    def note(self, failing: bool, status: int | None = None, reason: str = "") -> None:
        """Note the outcome of an attempt."""
        self.failing, self.status, self.reason = failing, status, reason
        if failing:
            self.changed()
