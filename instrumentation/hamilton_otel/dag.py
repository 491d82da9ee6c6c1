"""Describes a Hamilton graph once: names, versions, tags, edges, and each node's constant span attributes.

Not for anything that changes from run to run; that is in ``events.py``.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hamilton.graph_types import hash_source_code
from hamilton.htypes import get_type_as_string

from . import artifacts, capture, data_quality, limits, semconv

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph
    from hamilton.node import Node


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class NodeInfo:
    """What is known of a node before it runs.

    ``attributes`` are its constant span attributes; ``dependencies`` the names of the nodes that it reads. All names
    are as they leave the process, shortened.
    ``is_input`` marks values given from outside (inputs and configuration), which are never executed.
    ``role`` says what Hamilton has made the node for, None for the user's own.
    """

    name: str
    span_name: str
    version: str | None
    type: str
    tags: Mapping[str, capture.Value]
    is_input: bool
    dependencies: tuple[str, ...]
    attributes: capture.Attributes
    role: data_quality.Check | artifacts.Artifact | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Dag:
    """A described graph. ``version`` equals Hamilton's own ``HamiltonGraph.version``.

    ``nodes`` are found by Hamilton's own names, of any length; ``known`` by ``id()`` of the graph's own nodes, which
    live while a run of the graph does.
    """

    name: str
    version: str
    nodes: Mapping[str, NodeInfo] = field(repr=False)
    known: Mapping[int, NodeInfo] = field(default_factory=dict, repr=False)

    def edges(self) -> list[tuple[str, str]]:
        """Return every (from, to) pair of node names."""
        return [(source, node.name) for node in self.nodes.values() for source in node.dependencies]


def describe(name: str, graph: FunctionGraph, policy: capture.Capture = capture.DEFAULT) -> Dag:
    """Return the description of *graph* under the DAG name *name*."""
    nodes = {node.name: describe_node(node, policy) for node in graph.nodes.values()}
    known = {id(node): nodes[node.name] for node in graph.nodes.values()}
    versions = sorted(version for version in map(_version, graph.nodes.values()) if version is not None)
    return Dag(name, hashlib.sha256(str(versions).encode()).hexdigest(), nodes, known)


def describe_node(node: Node, policy: capture.Capture = capture.DEFAULT) -> NodeInfo:
    """Return the description of one of Hamilton's nodes, with those of its tags that may leave the process."""
    functions = node.originating_functions or ()
    name, version, tags = limits.name(node.name), _version(node), policy.attributes(limits.tags(node.tags))
    if version is not None:
        version = limits.name(version)
    kind = capture.shorten(get_type_as_string(node.type) or "", limits.MAX_NAME)
    attributes: capture.Attributes = {semconv.NODE_NAME: name, semconv.NODE_TYPE: kind}
    if version is not None:
        attributes[semconv.NODE_VERSION] = version
    attributes |= {f"{semconv.NODE_TAGS}.{key}": value for key, value in tags.items()}
    if functions:
        attributes |= _code_location(functions[0])
    role = data_quality.check_of(node) or artifacts.artifact_of(node)
    if role is not None:
        attributes |= role.attributes
    return NodeInfo(
        name=name,
        span_name=semconv.SPAN_NODE.format(node=name),
        version=version,
        type=kind,
        tags=tags,
        is_input=node.user_defined,
        dependencies=tuple(limits.name(dependency.name) for dependency in node.dependencies),
        attributes=attributes,
        role=role,
    )


def _version(node: Node) -> str | None:
    functions = node.originating_functions or ()
    return _source_version(functions[0]) if functions else node.name if node.user_defined else None


_versions: WeakKeyDictionary[Callable[..., Any], str | None] = WeakKeyDictionary()


def _source_version(function: Callable[..., Any]) -> str | None:
    """Return Hamilton's hash of a function's source, remembered: ``materialize()`` makes a new graph each time."""
    with suppress(KeyError, TypeError):
        return _versions[function]
    try:
        version: str | None = hash_source_code(function, strip=True)
    except (OSError, TypeError):  # no source, as in some notebooks
        version = None
    with suppress(TypeError):  # an object that has no hash, or cannot be referred to weakly
        _versions[function] = version
    return version


def _code_location(function: Callable[..., Any]) -> capture.Attributes:
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return {}
    return {
        semconv.CODE_FUNCTION: limits.name(f"{function.__module__}.{function.__qualname__}"),
        semconv.CODE_FILE: code.co_filename,
        semconv.CODE_LINE: code.co_firstlineno,
    }
