"""Durations and rows of nodes on their way to their instruments: noted where a node ends, recorded at a collection.

To record takes longer than all else that a node costs, so it is not done in the thread that executes the pipeline. Not
for which attributes they have (``metrics.py``).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

from .capture import Attributes
from .fast_spans import FastSpan
from .forks import in_children
from .guard import guard

MANY: Final = 5_000
"""Durations that are recorded without waiting for a collection, in a thread that ends with that."""
TOO_MANY: Final = 50_000
"""Durations with which the thread that brings them waits until they are recorded."""

_Duration = tuple[float, Attributes, Span]
_OUTSIDE: Final = Context()


class Durations:
    """Hands durations to *record*, a histogram's method, with the context of the span that is to be their exemplar.

    A counter's amounts likewise, as if they were all in one bucket.

    A histogram keeps the last exemplar of each bucket, so only the last duration with a sampled span in each of the
    buckets that *boundaries* divide needs it. What a forked process inherits is its parent's.
    """

    _enough: int

    def __init__(self, record: Callable[[float, Attributes, Context], object], boundaries: Sequence[float]) -> None:
        self._record = record
        self._boundaries = boundaries
        self._begin()
        in_children(self._begin)

    def add(self, seconds: float, attributes: Attributes, span: Span) -> None:
        """Note a duration; the same attributes are always the same object."""
        self._waiting.append((seconds, attributes, span))
        if len(self._waiting) >= self._enough:
            self._hurry()

    def record(self) -> None:
        """Record all that was noted; when this returns, nothing is half done in another thread."""
        with self._recording:
            waiting = self._waiting.copy()
            last = {
                (id(attributes), bisect_left(self._boundaries, seconds)): number
                for number, (seconds, attributes, span) in enumerate(waiting)
                if _is_sampled(span)
            }
            exemplars = set(last.values())
            for number in range(len(waiting)):
                try:  # one by one: an interruption loses no others
                    seconds, attributes, span = self._waiting.popleft()
                except IndexError:  # a signal handler has recorded the rest
                    return
                context = set_span_in_context(span, _OUTSIDE) if number in exemplars else _OUTSIDE
                self._record(seconds, attributes, context)

    def _hurry(self) -> None:
        if self._enough == TOO_MANY:
            self.record()
            self._enough = MANY
            return
        self._enough = TOO_MANY
        try:
            threading.Thread(target=self._work, name="hamilton-otel-durations", daemon=True).start()
        except RuntimeError:  # the interpreter ends, or there are too many threads
            return

    def _work(self) -> None:
        with guard("recording of durations"):
            self.record()
        self._enough = MANY

    def _begin(self) -> None:
        """Begin with nothing, as a forked process must: locks may have been held."""
        self._waiting: deque[_Duration] = deque()
        self._recording = threading.RLock()  # a signal handler may flush
        self._enough = MANY


def _is_sampled(span: Span) -> bool:
    return type(span) is FastSpan or (span is not INVALID_SPAN and span.get_span_context().trace_flags.sampled)
