"""How much may be kept and sent: names, tags, attribute sets of a metric, and what the SDK's providers take.

Not for what may be sent at all (``capture.py``) nor for the settings themselves (``settings.py``).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.trace import SpanLimits

from . import semconv
from .capture import Value, shorten, tag
from .health import health
from .semconv import Metric
from .settings import environment

MAX_NAME: Final = 200
MAX_NAMES: Final = 100
"""Outputs, inputs and overrides that a run tells of."""
MAX_TAGS: Final = 50
"""Tags of a run and of a node; with all else below the SDK's 128 attributes."""
MAX_ATTRIBUTES: Final = 100
"""Attributes of a node's span at most: its tags, and no more than fifty of our own."""
MAX_VALUE: Final = 64_000
"""Characters of an attribute, which the application's own are cut to; what we write ourselves is shorter."""
TEAM_TAG: Final = "team"


def name(text: str) -> str:
    """Return *text* as a name that may leave the process: as it is, or cut and still distinct."""
    if len(text) <= MAX_NAME:
        return shorten(text, MAX_NAME)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return f"{shorten(text, MAX_NAME)} #{digest[:8]}"


def names(texts: Iterable[Any]) -> tuple[str, ...]:
    """Return the first of *texts* as names."""
    return tuple(name(str(text)) for text in islice(texts, MAX_NAMES))


def tag_name(key: Any) -> str:
    """Return the name of a tag, whatever it is."""
    return name(key if type(key) is str else str(tag(key)))


def tags(given: Mapping[Any, Any]) -> dict[str, Value]:
    """Return the first of these tags as they may leave the process, and the team wherever it stands."""
    kept = {tag_name(key): tag(value) for key, value in islice(given.items(), MAX_TAGS)}
    if TEAM_TAG in given:
        kept[TEAM_TAG] = tag(given[TEAM_TAG])
    return kept


def span_limits() -> SpanLimits:
    """Return the limits of our tracer provider: the SDK's and its variables', and a length where nothing sets one."""
    return SpanLimits(max_attribute_length=_unless_set("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"))


def log_record_limits() -> LogRecordLimits:
    """Return the limits of our logger provider, likewise."""
    return LogRecordLimits(max_attribute_length=_unless_set("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"))


class Cardinality:
    """Admits the first keys of a metric, one fewer than *limit*: the last series is that of all others together."""

    def __init__(self, metric: Metric, limit: int) -> None:
        self._metric = metric
        self._room = limit - 1
        self._known: set[Hashable] = set()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._known

    def admits(self, key: Hashable) -> bool:
        """Tell whether *key* has a series of its own; count the measurement where it has not."""
        if key in self._known:
            return True
        with self._lock:
            if len(self._known) < self._room:
                self._known.add(key)
                return True
        health.count(semconv.TELEMETRY_OVERFLOWED, 1, {semconv.INSTRUMENT: self._metric.name})
        return False


def _unless_set(variable: str) -> int | None:
    return None if environment(variable) else MAX_VALUE
