"""Which spans a node's span links to: those of the nodes that it reads, in its own task or in others.

Not for the spans themselves (``tracing.py``, ``fast_spans.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.trace import Link, SpanContext

Target = int | Link
"""The link, or the id of a span of this process in the run's trace, from which it can be made."""

Targets = dict[str, dict[str | None, Target]]
"""By the node's name, then by its task (None outside tasks)."""

MAX_LINKS: Final = 100
"""Below the SDK's limit of 128, so that a user can add some."""


def remember(targets: Targets, name: str, task_id: str | None, target: Target) -> None:
    """Note the span of the node *name* for those that read it."""
    by_task = targets.get(name)
    if by_task is None:
        targets[name] = {task_id: target}
    elif len(by_task) < MAX_LINKS:
        by_task[task_id] = target


def of_node(
    targets: Mapping[str, Mapping[str | None, Target]], dependencies: Sequence[str], task_id: str | None
) -> list[Target]:
    """Return the target for each of *dependencies*: in the task *task_id*, else in all tasks."""
    found: list[Target] = []
    for name in dependencies:
        by_task = targets.get(name)
        if by_task is None:
            continue
        if task_id in by_task:
            found.append(by_task[task_id])
        else:
            found += by_task.values()
    return found[:MAX_LINKS]


def as_links(targets: Sequence[Target], within: SpanContext) -> list[Link]:
    """Return *targets* as links, in the trace of *within*."""
    return [
        Link(SpanContext(within.trace_id, target, False, within.trace_flags, within.trace_state))
        if isinstance(target, int)
        else target
        for target in targets
    ]
