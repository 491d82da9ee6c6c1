"""Describes a Hamilton graph once: names, versions, tags, edges, and each node's constant span attributes.

Not for anything that changes from run to run; that is in ``events.py``.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hamilton.graph_types import hash_source_code
from hamilton.htypes import get_type_as_string

from . import capture, semconv

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node


@dataclass(frozen=True, slots=True, eq=False)
class NodeInfo:
    """What is known of a node before it runs.

    ``attributes`` are its constant span attributes; ``dependencies`` the names of the nodes that it reads.
    ``is_input`` marks values given from outside (inputs and configuration), which are never executed.
    """

    name: str
    span_name: str
    version: str | None
    type: str
    tags: Mapping[str, capture.Value]
    is_input: bool
    dependencies: tuple[str, ...]
    attributes: capture.Attributes


@dataclass(frozen=True, slots=True, eq=False)
class Dag:
    """A described graph. ``version`` equals Hamilton's own ``HamiltonGraph.version``."""

    name: str
    version: str
    nodes: Mapping[str, NodeInfo] = field(repr=False)

    def edges(self) -> list[tuple[str, str]]:
        """Return every (from, to) pair of node names."""
        return [(source, node.name) for node in self.nodes.values() for source in node.dependencies]


def describe(name: str, graph: FunctionGraph) -> Dag:
    """Return the description of *graph* under the DAG name *name*."""
    nodes = {info.name: info for info in map(describe_node, graph.nodes.values())}
    versions = sorted(info.version for info in nodes.values() if info.version is not None)
    return Dag(name, hashlib.sha256(str(versions).encode()).hexdigest(), nodes)


def describe_node(node: Node) -> NodeInfo:
    """Return the description of one of Hamilton's nodes."""
    functions = node.originating_functions or ()
    version = _source_version(functions[0]) if functions else node.name if node.user_defined else None
    tags = {str(key): capture.tag(value) for key, value in node.tags.items()}
    kind = capture.shorten(get_type_as_string(node.type) or "", 200)
    attributes: capture.Attributes = {semconv.NODE_NAME: node.name, semconv.NODE_TYPE: kind}
    if version is not None:
        attributes[semconv.NODE_VERSION] = version
    attributes |= {f"{semconv.NODE_TAGS}.{key}": value for key, value in tags.items()}
    if functions:
        attributes |= _code_location(functions[0])
    return NodeInfo(
        name=node.name,
        span_name=semconv.SPAN_NODE.format(node=capture.shorten(node.name, 200)),
        version=version,
        type=kind,
        tags=tags,
        is_input=node.user_defined,
        dependencies=tuple(dependency.name for dependency in node.dependencies),
        attributes=attributes,
    )


_versions: WeakKeyDictionary[Callable[..., Any], str | None] = WeakKeyDictionary()


def _source_version(function: Callable[..., Any]) -> str | None:
    """Return Hamilton's hash of a function's source, remembered: ``materialize()`` makes a new graph each time."""
    if function not in _versions:
        try:
            _versions[function] = hash_source_code(function, strip=True)
        except (OSError, TypeError):  # no source, as in some notebooks
            _versions[function] = None
    return _versions[function]


def _code_location(function: Callable[..., Any]) -> capture.Attributes:
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return {}
    return {
        semconv.CODE_FUNCTION: f"{function.__module__}.{function.__qualname__}",
        semconv.CODE_FILE: code.co_filename,
        semconv.CODE_LINE: code.co_firstlineno,
    }
