"""Stand-ins for a node's function, for adapters that hide from the hooks what becomes of it.

``DaskGraphAdapter`` runs the function later, in a worker, when the hooks have long been called: a stand-in is in place
from a node's pre hook to its post hook. ``GracefulErrorAdapter`` swallows its exception: a stand-in stays on the node.
Not for any other adapter: the hooks tell the truth there.

A limit under ``DaskGraphAdapter``: Dask names a task by its node and inputs alone, so of two runs with the same
inputs that overlap, or follow each other at once, it may execute a node once for both, or record it in the other's
trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Protocol

from hamilton.lifecycle.default import GracefulErrorAdapter

from . import current
from .dag import NodeInfo

if TYPE_CHECKING:
    from hamilton.node import Node


class ExecutesNodes(Protocol):
    """An adapter, which pickles to what a worker needs."""

    def execute(self, run_id: str, info: NodeInfo, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        """Call the function of a node inside its span."""


class Delegated:
    """Records the node where its function is called, in whichever process that is."""

    def __init__(self, function: Callable[..., Any], adapter: ExecutesNodes, run_id: str, info: NodeInfo) -> None:
        self.function = function
        self._call = (adapter, run_id, info)
        update_wrapper(self, function)

    def __call__(self, **inputs: Any) -> Any:
        """Call the function inside the node's span."""
        adapter, run_id, info = self._call
        return adapter.execute(run_id, info, self.function, inputs)


class Watched:
    """Tells the node that is running of the exception of its function, and lets it pass."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        update_wrapper(self, function)

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Call the function."""
        try:
            return self.function(*args, **inputs)
        except BaseException as error:
            node = current.node()
            if node is not None:
                node.caught = error
            raise


def delegates(adapters: Iterable[Any]) -> bool:
    """Tell whether one of *adapters* has nodes executed after their hooks."""
    return any(
        type(adapter).__module__ == "hamilton.plugins.h_dask" and getattr(adapter, "use_delayed", False)
        for adapter in adapters
    )


def swallows(adapters: Iterable[Any]) -> bool:
    """Tell whether one of *adapters* swallows the exceptions of nodes."""
    return any(isinstance(adapter, GracefulErrorAdapter) for adapter in adapters)


def watch(node: Node) -> None:
    """Have the exceptions of the node's function noted, for good: several runs may execute the node at once."""
    if not isinstance(node.callable, Watched):
        node._callable = Watched(node.callable)


def delegate(node: Node, adapter: ExecutesNodes, run_id: str, info: NodeInfo) -> None:
    """Have the node recorded where the function that the next adapter takes from it is called."""
    node._callable = Delegated(_function(node), adapter, run_id, info)


def take_back(node: Node) -> None:
    """Put the node's own function back."""
    node._callable = _function(node)


def _function(node: Node) -> Callable[..., Any]:
    function: Callable[..., Any] = node.callable
    return function.function if isinstance(function, Delegated) else function
