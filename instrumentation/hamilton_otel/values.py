"""Writes a value as short text without secrets, for those who allow values to leave the process.

Only built-in types, dataclasses and a few of the standard library are written; of all others, what *describe* says of
them. The user's own code (``__repr__``, ``__iter__``, properties) is not called. Not for deciding whether a value may
be written: that is ``capture.py``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID

from .redaction import REDACTED, Redactor

MAX_DEPTH: Final = 6
MAX_KEY: Final = 200
MAX_BITS: Final = 256
_TEXTS: Final = frozenset(
    (date, datetime, time, timedelta, Decimal, Fraction, UUID, PosixPath, PurePosixPath, WindowsPath, PureWindowsPath)
)
_SEQUENCES: Final[tuple[tuple[type, str], ...]] = ((list, "[]"), (tuple, "()"), (set, "{}"), (frozenset, "{}"))


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Writes values: each at most *max_text* characters, of each container *max_items* items.

    ``describe`` returns the text for a value of an unknown type, or one that is not to be looked at.
    """

    redactor: Redactor
    max_text: int
    max_items: int
    describe: Callable[[Any], str]

    def write(self, key: str, value: Any) -> str:
        """Return *value*, which is called *key*, as text; it ends in ``...`` where there was more."""
        parts: list[str] = []
        length = 0
        for part in self._parts(key, value, MAX_DEPTH):
            parts.append(part)
            length += len(part)
            if length > self.max_text:
                return "".join(parts)[: self.max_text] + "..."
        return "".join(parts)

    def _parts(self, key: str, value: Any, depth: int) -> Iterator[str]:
        try:
            if value is None or value is True or value is False:
                yield json.dumps(value)
            elif self.redactor.hides(key):
                yield json.dumps(REDACTED)
            elif depth == 0:
                yield "..."
            else:
                yield from self._known(key, value, depth - 1)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException:  # such as a container that another thread changes meanwhile
            yield self.describe(value)

    def _known(self, key: str, value: Any, depth: int) -> Iterator[str]:
        kind = type(value)
        fields = _fields(value)
        if fields is not None:
            yield from self._mapping(fields, kind.__name__ + "(", "=", ")", depth)
        elif issubclass(kind, dict):
            yield from self._mapping(dict.items(value), "{", ": ", "}", depth)
        elif issubclass(kind, str):
            yield json.dumps(self._text(key, str.__str__(value)), ensure_ascii=False)
        elif issubclass(kind, int):
            yield self._text(key, int.__repr__(value)) if int.bit_length(value) <= MAX_BITS else self.describe(value)
        elif issubclass(kind, float):
            yield float.__repr__(value)
        elif kind in _TEXTS:
            yield json.dumps(self._text(key, str(value)), ensure_ascii=False)
        else:
            for base, brackets in _SEQUENCES:
                if issubclass(kind, base):
                    yield from self._sequence(key, base.__iter__(value), brackets, depth)  # type: ignore[attr-defined]
                    return
            yield self.describe(value)

    def _mapping(
        self, items: Iterable[tuple[Any, Any]], opening: str, separator: str, closing: str, depth: int
    ) -> Iterator[str]:
        yield opening
        for number, (name, item) in enumerate(islice(items, self.max_items + 1)):
            yield ", " if number else ""
            if number == self.max_items:
                yield "..."
                break
            key = str.__str__(name) if isinstance(name, str) else ""
            written = "".join(self._parts("", name, 1))[:MAX_KEY]
            yield key if separator == "=" else written
            yield separator
            yield from self._parts(key, item, depth)
        yield closing

    def _sequence(self, key: str, items: Iterable[Any], brackets: str, depth: int) -> Iterator[str]:
        """Write items, which are called as their container; in a pair, the first may name the second."""
        some = list(islice(items, self.max_items + 1))
        if len(some) == 2 and isinstance(some[0], str) and self.redactor.hides(some[0]):
            some[1] = REDACTED
        yield brackets[0]
        for number, item in enumerate(some):
            yield ", " if number else ""
            if number == self.max_items:
                yield "..."
                break
            yield from self._parts(key, item, depth)
        yield brackets[1]

    def _text(self, key: str, text: str) -> str:
        """Return *text* without secrets, cut behind what was looked through."""
        clean = text if self.redactor.trusts(key) else self.redactor.text(text)
        return clean[: self.max_text]


def _fields(value: Any) -> list[tuple[str, Any]] | None:
    """Return the fields of a dataclass (those that its ``repr`` shows) or of a named tuple; None for all else."""
    kind = type(value)
    if "__dataclass_fields__" in vars(kind) or dataclasses.is_dataclass(kind):
        shown = [field.name for field in dataclasses.fields(kind) if field.repr]
        return [(name, object.__getattribute__(value, name)) for name in shown]
    names = vars(kind).get("_fields")
    if issubclass(kind, tuple) and isinstance(names, tuple):
        return list(zip(names, tuple.__iter__(value), strict=False))
    return None
