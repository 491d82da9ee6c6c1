"""Compares variants with graphs in one process, in one configuration of ours.

``measure`` runs in a process that ``child.py`` starts. Not for choosing what is compared (``plan.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import measure as measuring
from .child import Progress, ask
from .graphs import Graph


@dataclass(frozen=True)
class Effort:
    """How long is measured: *seconds* at the least, *passes* at the least, at *depths* depths of the stack.

    A sample executes *nodes* nodes at the least; one of the whole process *exported*, none where that is 0.
    """

    seconds: float
    passes: int
    depths: int = measuring.DEPTHS
    nodes: int = 500
    exported: int = 0


@dataclass(frozen=True)
class Task:
    """What is measured in turns: *variants* with each of *graphs*."""

    name: str
    variants: Sequence[str]
    graphs: Sequence[Graph]
    effort: Effort


@dataclass(frozen=True)
class Comparison:
    """What one process measures; *environment* configures ours.

    Without a *peer* the rest is worth having; *requires* is a package for it that cannot be installed beside ours.
    """

    name: str
    tasks: Sequence[Task]
    environment: Mapping[str, str] = field(default_factory=dict)
    peer: bool = False
    requires: str | None = None


def compare(
    comparison: Comparison, progress: Progress = lambda _: None, launcher: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the times that a new process has measured, and what of its spans was lost."""
    answer = ask("comparison", asdict(comparison), progress, launcher=launcher)
    arrived = answer.pop("arrived")
    del answer["arrived_without_replay"]
    answer["lost"] = {prefix: sent - arrived.get(prefix, 0) for prefix, sent in answer.pop("sent").items()}
    return answer


def key(variant: str, graph: Graph, graphs: Sequence[Graph]) -> str:
    """Return how the times of a variant are named: with the graph's size where there are several."""
    return variant if len(graphs) == 1 else f"{variant} {graph.nodes}"


def measure(given: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure in this process; return times by task and kind, why variants are missing, and spans sent."""
    from .peers import NotInstalled
    from .variants import Subject, Variants

    sys.setrecursionlimit(100_000)
    variants = Variants(given["url"], given["environment"], Path(given["directory"]))
    tasks: dict[str, Any] = {}
    missing: dict[str, str] = {}
    sent: dict[str, int] = {}
    for task in given["tasks"]:
        graphs, effort = [Graph(**graph) for graph in task["graphs"]], Effort(**task["effort"])
        progress(task["name"])
        subjects: dict[str, Subject] = {}
        for graph in graphs:
            for name in task["variants"]:
                try:
                    subjects[key(name, graph, graphs)] = variants.make(name, graph)
                except NotInstalled as error:
                    missing[name] = str(error)
        in_turns = partial(
            measuring.in_turns, subjects, seconds=effort.seconds, passes=effort.passes, depths=effort.depths
        )
        times = {"thread": in_turns(measuring.of_thread(effort.nodes))}
        if effort.exported:
            times["process"] = in_turns(measuring.of_process(effort.exported))
        for subject in filter(lambda subject: subject.sends_to, subjects.values()):
            sent[subject.sends_to] = sent.get(subject.sends_to, 0) + subject.executions * subject.spans
        tasks[task["name"]] = times
    return {"tasks": tasks, "missing": missing, "sent": sent}
