"""Gives nodes of tasks span ids that another process can compute, so that it can link to spans it has never seen.

A node that collects what worker processes have made knows their tasks and names, not their spans; with ids derived from
both, no message is needed. Not for other spans: their ids are random.
"""

from __future__ import annotations

import threading
from hashlib import blake2b
from random import getrandbits

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

_next = threading.local()


class DerivedIds(RandomIdGenerator):
    """Random ids, save for the span that this thread has called :func:`use` for."""

    def generate_span_id(self) -> int:
        """Return the id for the next span."""
        wanted: int | None = getattr(_next, "span_id", None)
        if wanted is None:
            return getrandbits(64) or 1
        _next.span_id = None
        return wanted


def use(span_id: int) -> None:
    """Have the next span that this thread starts get *span_id*."""
    _next.span_id = span_id


def derive(trace_id: int, run_id: str, task_id: str, node_name: str) -> int:
    """Return the span id of a node in a task (never 0, which would be invalid)."""
    digest = blake2b(f"{trace_id:032x}/{run_id}/{task_id}/{node_name}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") or 1
