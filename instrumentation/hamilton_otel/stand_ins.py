"""Stand-ins for a node's function, for adapters that hide from the hooks what becomes of it.

``DaskGraphAdapter`` runs the function later, in a worker, when the hooks have long been called;
``GracefulErrorAdapter`` swallows its exception. A stand-in is in place from a node's pre hook to its post hook. Not for
any other adapter: the hooks tell the truth there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hamilton.lifecycle.default import GracefulErrorAdapter

from .dag import NodeInfo

if TYPE_CHECKING:
    from hamilton.node import Node


class ExecutesNodes(Protocol):
    """An adapter, which pickles to what a worker needs."""

    def execute(self, run_id: str, info: NodeInfo, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        """Call the function of a node inside its span."""


@dataclass(slots=True)
class Delegated:
    """Records the node where its function is called, in whichever process that is."""

    function: Callable[..., Any]
    adapter: ExecutesNodes
    run_id: str
    info: NodeInfo

    def __call__(self, **inputs: Any) -> Any:
        """Call the function inside the node's span."""
        return self.adapter.execute(self.run_id, self.info, self.function, inputs)


@dataclass(slots=True)
class Watched:
    """Keeps the exception of the function, and lets it pass."""

    function: Callable[..., Any]
    caught: BaseException | None = None

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Call the function."""
        try:
            return self.function(*args, **inputs)
        except BaseException as error:
            self.caught = error
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


def put(node: Node, stand_in: Callable[[Callable[..., Any]], Delegated | Watched]) -> None:
    """Put *stand_in*, made from the node's function, in the function's place."""
    node._callable = stand_in(_function(node))


def take(node: Node) -> BaseException | None:
    """Put the node's function back, and return the exception that a stand-in has seen."""
    standing = node.callable
    node._callable = _function(node)
    return standing.caught if isinstance(standing, Watched) else None


def _function(node: Node) -> Callable[..., Any]:
    function: Callable[..., Any] = node.callable
    return function.function if isinstance(function, (Delegated, Watched)) else function
