"""The one error policy: nothing that telemetry raises reaches the user's run.

Swallowed errors are logged once per place and type, and counted. Our own tests set ``guard.reraise`` so that they see
them. Not for errors of the user's code: those are never touched.
"""

from __future__ import annotations

import logging

from . import semconv
from .health import health

_logger = logging.getLogger("hamilton_otel")


class Guard:
    """Swallow our own errors: ``with guard("place"):`` around work that is not on the hot path.

    On the hot path use ``try`` / ``except Exception`` and :meth:`swallow`, which costs nothing while nothing is wrong.
    """

    def __init__(self) -> None:
        self.reraise = False
        self._reported: set[tuple[str, type]] = set()

    def swallow(self, place: str, error: Exception) -> None:
        """Count *error*, which *place* (a few words) raised, and log it the first time."""
        if self.reraise:
            raise error
        health.count(semconv.TELEMETRY_ERRORS)
        key = (place, type(error))
        if key in self._reported or len(self._reported) > 100:
            return
        self._reported.add(key)
        try:
            _logger.warning(
                "hamilton-otel failed in %s (%s); the run is not affected and this is logged once.",
                place,
                type(error).__qualname__,
                exc_info=error if _logger.isEnabledFor(logging.DEBUG) else None,
            )
        except Exception:  # a broken logging handler must not reach the run either
            return

    def __call__(self, place: str) -> _Guarded:
        """Return a context manager that swallows what its block raises, named *place* in the log."""
        return _Guarded(self, place)


class _Guarded:
    __slots__ = ("_guard", "_place")

    def __init__(self, owner: Guard, place: str) -> None:
        self._guard = owner
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._guard.swallow(self._place, error)
        return True


guard = Guard()
