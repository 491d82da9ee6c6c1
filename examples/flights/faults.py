# mypy: disable-error-code="import-untyped"
"""Makes one node of a dataflow fail or take longer, to see what that looks like from outside.

The node's own function is replaced, so that failure and duration are those of the node itself.
"""

import time
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from hamilton.graph_utils import find_functions

ERRORS: dict[str, Callable[[], Exception]] = {
    "user": lambda: ValueError("could not convert string to float: 'N/A'"),
    "system": lambda: ConnectionError("connection reset by peer"),
}


def nodes(module: ModuleType) -> list[str]:
    """Names of the functions in a module that Hamilton turns into nodes."""
    return [name for name, _ in find_functions(module)]


def failing(module: ModuleType, node: str, kind: str) -> ModuleType:
    """A copy of the module in which a node raises an error of the given kind."""

    @wraps(getattr(module, node))
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ERRORS[kind]()

    return _with_function(module, node, fail)


def slow(module: ModuleType, node: str, seconds: float) -> ModuleType:
    """A copy of the module in which a node takes so many seconds longer."""
    function = getattr(module, node)

    @wraps(function)
    def wait(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return function(*args, **kwargs)

    return _with_function(module, node, wait)


def _with_function(module: ModuleType, name: str, function: Callable[..., Any]) -> ModuleType:
    # A copy, because the module itself belongs to everyone who imports it.
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update({**vars(module), name: function})
    return copy
