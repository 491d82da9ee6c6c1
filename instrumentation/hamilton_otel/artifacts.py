"""Artifacts: which nodes are Hamilton's savers and loaders, and what their metadata tells of what they moved.

Not for what becomes of that (the sinks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os.path import isdir
from typing import TYPE_CHECKING, Any, Final, Literal

from . import limits, semconv
from .capture import MAX_INTEGER, Attributes, Capture, integer, safely

if TYPE_CHECKING:
    from hamilton.node import Node

    from .events import NodeExecution

Operation = Literal["save", "load"]

_SAVER: Final = "hamilton.data_saver"
_LOADER: Final = "hamilton.data_loader"
_INSIDE: Final = frozenset(("memory", "literal", "environment"))
"""Savers and loaders of Hamilton's that move nothing out of the process or into it."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A node that saves or loads something in a *format*, as Hamilton's saver or loader is called."""

    operation: Operation
    format: str

    @property
    def attributes(self) -> Attributes:
        """Return the attributes that the node's span always has."""
        return {semconv.ARTIFACT_OPERATION: self.operation, semconv.ARTIFACT_FORMAT: self.format}

    def ended(self, node: NodeExecution) -> None:
        """Tell what was saved or loaded, or that it failed; nothing was where the cache had the result."""
        if node.cache_result == "hit":
            return
        if node.outcome == "success":
            node.findings = safely(lambda: self._findings(node.result, node.run.capture), None)
        node.run.sinks.tell("artifact_handled", node, self, node.findings or {})

    def _findings(self, result: Any, policy: Capture) -> Attributes:
        metadata = _mapping(result[1] if self.operation == "load" else result)
        file, table, sql = (_mapping(metadata.get(f"{part}_metadata")) for part in ("file", "dataframe", "sql"))
        found = {
            semconv.ARTIFACT_SIZE: None if _is_directory(file) else _natural(file.get("size")),
            semconv.ARTIFACT_ROWS: _natural(table.get("rows", sql.get("rows"))),
        }
        findings: Attributes = {name: number for name, number in found.items() if number is not None}
        if policy.policy.values and "path" in file:
            findings[semconv.ARTIFACT_PATH] = policy.message(file["path"])
        return findings


def artifact_of(node: Node) -> Artifact | None:
    """Return what *node* saves or loads, None for a node that does neither.

    A loader has two nodes: the one that loads returns metadata too, the other one selects the data. Of a saver or
    loader with ``@check_output`` there are copies, which read the original, ``<name>_raw``.
    """
    tags = node.tags
    if tags.get(_SAVER):
        operation: Operation = "save"
        form = str(tags.get(f"{_SAVER}.sink"))
    elif tags.get(_LOADER) and tags.get(f"{_LOADER}.has_metadata"):
        operation = "load"
        form = str(tags.get(f"{_LOADER}.source"))
    else:
        return None
    if form in _INSIDE or f"{node.name}_raw" in node.input_types:
        return None
    return Artifact(operation, limits.name(form))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def _natural(value: Any) -> int | None:
    number = integer(value)
    return number if number is not None and 0 <= number < MAX_INTEGER else None


def _is_directory(file: Mapping[str, Any]) -> bool:
    """Tell whether the size is that of a directory, as of a partitioned dataset: it says nothing of what is in it."""
    return file.get("size") is not None and isdir(file["path"])
