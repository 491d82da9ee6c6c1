"""What may leave the process: types, shapes, sizes; values only by explicit policy; all of it short, without secrets.

Not for deciding when something is recorded: the sinks ask, this module answers. Whatever a user's object does when it
is looked at (raise, lie, take long) stays here.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from . import semconv
from .redaction import MAX_SCANNED, Redactor
from .settings import CapturePolicy
from .values import Writer

Value = str | bool | int | float
Attributes = dict[str, Value]

MAX_TEXT: Final = 1_000
MAX_STACKTRACE: Final = 8_000
MAX_FRAMES: Final = 100
"""Innermost frames of a stack trace; formatting the thousand of an endless recursion takes 15 ms."""
MAX_INPUTS: Final = 50
MAX_VALUES: Final = 8_000
"""Characters for the values of all inputs of a node."""
MAX_REMEMBERED: Final = 200
"""Characters of tags that are looked through for secrets once: every run has the same."""
MAX_INTEGER: Final = 2**63
"""OTLP's integers have 64 bits."""
MAX_ROWS: Final = 10**12
"""Of more rows an object is not believed: the sum of a million such has to fit in OTLP's integers."""
_SIZED = (list, tuple, dict, set, frozenset)


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Return *text*, cut in the middle where it is longer than *limit* characters (both ends say the most).

    What UTF-8 cannot hold (file names that were no text) becomes a question mark: one such attribute would cost a whole
    batch of spans.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]} ... ({len(text) - limit} characters left out) ... {text[len(text) - (limit - head) :]}"


def qualified_name(kind: type) -> str:
    """Return the name of a type as ``module.Name``, without the module for builtins."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", None) or str(kind)
    return shorten(name if module in (None, "builtins") else f"{module}.{name}", 200)


def tag(value: Any) -> Value:
    """Return *value* as an attribute: numbers and booleans as they are, everything else as text.

    What the text may hold, and at what length, is for :meth:`Capture.attributes`.
    """
    kind = type(value)
    if kind is str:
        return shorten(value, MAX_SCANNED)
    if kind is bool:
        return bool(value)
    if issubclass(kind, float):
        return float.__float__(value)
    number = integer(value)
    if number is not None and abs(number) < MAX_INTEGER:
        return number
    return shorten(_text(value, f"({qualified_name(kind)}, which could not be read)"), MAX_SCANNED)


class Capture:
    """Applies a policy: what is asked for here may leave the process as it is."""

    def __init__(self, policy: CapturePolicy) -> None:
        self.policy = policy
        self._redactor = Redactor(policy.redact_keys, policy.redact_patterns, policy.safe_keys)
        self._remembered = lru_cache(1_000, typed=True)(self._clean)
        self._writer = Writer(self._redactor, policy.max_text, policy.max_items, describe)

    @classmethod
    @lru_cache(100)
    def of(cls, policy: CapturePolicy) -> Capture:
        """Return the one that applies *policy*."""
        return cls(policy)

    def text(self, text: str, limit: int | None = None) -> str:
        """Return *text* without secrets, shortened to *limit* (default: the policy's) characters."""
        return shorten(self._redactor.text(text), self.policy.max_text if limit is None else limit)

    def attributes(self, given: Mapping[str, Any]) -> Attributes:
        """Return tags or annotations without secrets, shortened."""
        return {key: self._attribute(key, tag(value)) for key, value in given.items()}

    def field(self, key: str, value: Any) -> Any:
        """Return a field of a log record without secrets, and what mappings and lists in it hold, shortened."""
        limit = MAX_STACKTRACE if key == semconv.EXCEPTION_STACKTRACE else self.policy.max_text
        return _shortened(self._redactor.value(key, value), limit)

    def body(self, body: Any) -> Any:
        """Return the body of a log record without secrets, shortened; what could not be sent becomes text."""
        if body is None or isinstance(body, (bool, int, float, bytes, Mapping, list, tuple)):
            return self.field("", body)
        return self.text(str(tag(body)), MAX_STACKTRACE)

    def summarize(self, name: str, result: Any) -> Mapping[str, Value]:
        """Return type, rows, columns and size of the result of the node *name*; its value where that is allowed."""
        summary = _SCALARS.get(type(result)) or summarize(result)
        if self.policy.values:
            return {**summary, semconv.RESULT_VALUE: self._writer.write(name, result)}
        return summary

    def run_inputs(self, inputs: Any) -> Attributes:
        """Return the values of a run's inputs by attribute, nothing where values are not allowed."""
        if not self.policy.values or not isinstance(inputs, Mapping):
            return {}
        return {
            f"{semconv.RUN_INPUT}.{shorten(str(name), 200)}": self._writer.write(str(name), value)
            for name, value in islice(inputs.items(), MAX_INPUTS)
        }

    def node_inputs(self, inputs: Mapping[str, Any]) -> str:
        """Return a JSON object ``{name: "type [rows x columns]"}``; ``... = value`` where values are allowed."""
        described: dict[str, str] = {}
        room = MAX_VALUES if self.policy.values else 0
        for name, value in islice(inputs.items(), MAX_INPUTS):
            text = describe(value)
            if room > 0:
                written = self._writer.write(str(name), value)[:room]
                room -= len(written)
                text = written if written == text else f"{text} = {written}"
            described[shorten(str(name), 200)] = text
        return json.dumps(described)

    def describe_exception(self, error: BaseException) -> Attributes:
        """Return ``exception.type``, ``.message`` and ``.stacktrace`` of *error*, whatever its ``__str__`` does."""
        return {
            semconv.EXCEPTION_TYPE: qualified_name(type(error)),
            semconv.EXCEPTION_MESSAGE: self.exception_message(error),
            semconv.EXCEPTION_STACKTRACE: self.text(_stacktrace(error), MAX_STACKTRACE),
        }

    def exception_message(self, error: BaseException) -> str:
        """Return the message of *error*."""
        return self.message(error, "(the exception's message could not be read)")

    def message(self, message: Any, unreadable: str = "(the message could not be read)") -> str:
        """Return a message, whatever kind of object it is."""
        return self.text(_text(message, unreadable))

    def _attribute(self, key: str, plain: Value) -> Value:
        if isinstance(plain, str) and len(plain) > MAX_REMEMBERED:
            return self._clean(key, plain)
        return self._remembered(key, plain)

    def _clean(self, key: str, plain: Value) -> Value:
        safe: Value = self._redactor.value(key, plain)
        return shorten(safe, self.policy.max_text) if isinstance(safe, str) else safe


def summarize(result: Any) -> Attributes:
    """Return type, rows, columns and size of a node's result, as far as it tells them without being computed."""
    summary: Attributes = {semconv.RESULT_TYPE: qualified_name(type(result))}
    rows, columns = _shape(result)
    if rows is not None:
        summary[semconv.RESULT_ROWS] = rows
    if columns is not None:
        summary[semconv.RESULT_COLUMNS] = columns
    size = integer(_attribute(result, "nbytes"))
    if size is not None and 0 <= size < MAX_INTEGER:
        summary[semconv.RESULT_SIZE] = size
    return summary


def describe(value: Any) -> str:
    """Return type and shape of *value*: ``type``, ``type [rows]`` or ``type [rows x columns]``."""
    rows, columns = _shape(value)
    shape = "" if rows is None else f" [{rows}]" if columns is None else f" [{rows} x {columns}]"
    return qualified_name(type(value)) + shape


def rows(value: Any) -> int | None:
    """Return the rows of a tabular value, one with a ``shape`` of one or two dimensions; None of any other."""
    if issubclass(type(value), _SIZED):
        return None
    shape = _attribute(value, "shape")
    if not issubclass(type(shape), tuple) or not 1 <= tuple.__len__(shape) <= 2:
        return None
    count = integer(tuple.__getitem__(shape, 0))
    return count if count is not None and 0 <= count <= MAX_ROWS else None


def bounded_json(items: Iterable[Any], limit: int) -> tuple[str, bool]:
    """Return *items* as a JSON list of at most *limit* characters, and whether items were left out."""
    parts: list[str] = []
    length = 2
    for item in items:
        part = json.dumps(item, separators=(",", ":"))
        length += len(part) + 1
        if length > limit:
            return f"[{','.join(parts)}]", True
        parts.append(part)
    return f"[{','.join(parts)}]", False


def _shortened(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shorten(value, limit)
    if isinstance(value, dict):
        return {name: _shortened(item, limit) for name, item in value.items()}
    return [_shortened(item, limit) for item in value] if isinstance(value, list) else value


def _stacktrace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
    except Exception:
        return "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute that the value's type declares: a proxy's ``__getattr__`` may do anything, for any time."""
    return safely(lambda: getattr(value, name) if hasattr(type(value), name) else None, None)


def _text(value: Any, unreadable: str) -> str:
    """Return *value* as text of Python's own type: a subclass may have methods that raise."""
    return str(safely(lambda: str.__str__(value if issubclass(type(value), str) else str(value)), unreadable))


def integer(value: Any) -> int | None:
    """Return *value* as a number of Python's own type, None where it is no integer."""
    return int.__index__(value) if issubclass(type(value), int) else None


def safely(look: Callable[[], Any], otherwise: Any) -> Any:
    """Return what *look* finds at a user's object, *otherwise* where that raises."""
    try:
        return look()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # such as the panic of a library written in Rust
        return otherwise


def _shape(value: Any) -> tuple[int | None, int | None]:
    if issubclass(type(value), _SIZED):
        return safely(lambda: len(value), None), None
    shape = _attribute(value, "shape")
    if not issubclass(type(shape), tuple):
        return None, None
    sizes = [integer(size) for size in tuple.__getitem__(shape, slice(2))]
    rows, columns = [*sizes, None, None][:2]
    return rows, columns


_SCALARS: Final[Mapping[type, Attributes]] = {type(value): summarize(value) for value in (None, True, 0, 0.0, "", b"")}
"""Summaries that say nothing of the value."""

DEFAULT: Final = Capture.of(CapturePolicy())
"""What leaves the process where nobody says otherwise."""
