"""Checks of data quality: which nodes are validators of ``@check_output``, and what they have found.

Not for what becomes of a finding (the sinks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hamilton.data_quality.base import ValidationResult

from . import limits, semconv
from .capture import Attributes, Capture, safely

if TYPE_CHECKING:
    from hamilton.node import Node

    from .events import NodeExecution

_SOURCE: Final = "hamilton.data_quality.source_node"


@dataclass(frozen=True, slots=True)
class Check:
    """A node that checks the result of the node *node*; *name* is the validator's."""

    node: str
    name: str

    @property
    def attributes(self) -> Attributes:
        """Return the attributes that the node's span always has."""
        return {semconv.CHECK: self.name}

    def ended(self, node: NodeExecution) -> None:
        """Tell what the check has found, if it came to that."""
        if node.outcome == "success":
            node.findings = _findings(node.result, node.run.capture)
            if node.findings is not None:
                node.run.sinks.tell("result_checked", node, self, node.findings)


def check_of(node: Node) -> Check | None:
    """Return what *node* checks, None for a node that is no validator.

    Hamilton calls it ``<source>_<validator>``, in a subdag behind the namespace, which the tag lacks.
    """
    source = node.tags.get(_SOURCE)
    if source is None:
        return None
    name = node.name
    start = f".{name}".find(f".{source}_")
    if start < 0:
        return Check(limits.name(str(source)), limits.name(name))
    end = start + len(source)
    return Check(limits.name(name[:end]), limits.name(name[end + 1 :]))


def _findings(result: Any, policy: Capture) -> Attributes | None:
    if not issubclass(type(result), ValidationResult):
        return None
    passes = safely(lambda: bool(result.passes), None)
    if passes is None:
        return None
    message = policy.message(safely(lambda: result.message, ""))
    return {semconv.CHECK_RESULT: "pass" if passes else "fail", semconv.CHECK_MESSAGE: message}
