"""What may leave the process: types, shapes and sizes, never values; everything shortened.

Not for deciding when something is recorded: the sinks ask, this module answers. Whatever a user's object does when it
is looked at (raise, lie, take long) stays here.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final

from . import semconv

Value = str | bool | int | float
Attributes = dict[str, Value]

MAX_TEXT: Final = 1_000
MAX_STACKTRACE: Final = 8_000
MAX_INPUTS: Final = 50
MAX_INTEGER: Final = 2**63
"""OTLP's integers have 64 bits."""
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
    """Return *value* as an attribute: numbers and booleans as they are, everything else as short text."""
    if isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < MAX_INTEGER):
        return value
    try:
        return shorten(value if isinstance(value, str) else str(value))
    except Exception:
        return f"({qualified_name(type(value))}, which could not be read)"


def summarize(result: Any) -> Attributes:
    """Return type, rows, columns and size of a node's result, as far as it tells them without being computed."""
    summary: Attributes = {semconv.RESULT_TYPE: qualified_name(type(result))}
    rows, columns = _shape(result)
    if rows is not None:
        summary[semconv.RESULT_ROWS] = rows
    if columns is not None:
        summary[semconv.RESULT_COLUMNS] = columns
    size = _attribute(result, "nbytes")
    if isinstance(size, int) and 0 <= size < MAX_INTEGER:
        summary[semconv.RESULT_SIZE] = int(size)
    return summary


def describe_inputs(inputs: Mapping[str, Any]) -> str:
    """Return a JSON object ``{name: "type"}`` or ``{name: "type [rows x columns]"}`` for a node's inputs."""
    described: dict[str, str] = {}
    for name, value in list(inputs.items())[:MAX_INPUTS]:
        rows, columns = _shape(value)
        shape = "" if rows is None else f" [{rows}]" if columns is None else f" [{rows} x {columns}]"
        described[shorten(str(name), 200)] = qualified_name(type(value)) + shape
    return json.dumps(described)


def describe_exception(error: BaseException) -> Attributes:
    """Return ``exception.type``, ``.message`` and ``.stacktrace`` of *error*, whatever its ``__str__`` does."""
    return {
        semconv.EXCEPTION_TYPE: qualified_name(type(error)),
        semconv.EXCEPTION_MESSAGE: exception_message(error),
        semconv.EXCEPTION_STACKTRACE: shorten(_stacktrace(error), MAX_STACKTRACE),
    }


def exception_message(error: BaseException) -> str:
    """Return the message of *error*, shortened."""
    try:
        return shorten(str(error))
    except Exception:
        return "(the exception's message could not be read)"


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


def _stacktrace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return "".join(traceback.format_tb(error.__traceback__))


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute that the value's type declares: a proxy's ``__getattr__`` may do anything, for any time."""
    try:
        return getattr(value, name) if hasattr(type(value), name) else None
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # such as the panic of a library written in Rust
        return None


def _shape(value: Any) -> tuple[int | None, int | None]:
    if issubclass(type(value), _SIZED):
        try:
            return len(value), None
        except Exception:
            return None, None
    shape = _attribute(value, "shape")
    if not issubclass(type(shape), tuple):
        return None, None
    sizes = [int(size) if isinstance(size, int) else None for size in shape[:2]]
    rows, columns = [*sizes, None, None][:2]
    return rows, columns
