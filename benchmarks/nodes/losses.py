"""Executes graphs at full speed with every signal on, and counts at the receiver what was lost; memory as well.

``measure`` runs in a process that ``child.py`` starts. Not for a million nodes (``benchmarks.soak``).
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, Final

import psutil

from .child import Progress, ask
from .graphs import Graph
from .variants import Variants

MIB: Final = 2**20


def losses(nodes: int, runs: int, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Return the spans that were made, those that were lost, and by how many MiB the highest memory grew.

    What the process has left in its spool is not lost, but ``spooled``.
    """
    answer = ask("losses", {"nodes": nodes, "runs": runs}, progress, replay=True)
    arrived, at_once = (answer.pop(name).get("ours", 0) for name in ("arrived", "arrived_without_replay"))
    return {**answer, "lost": answer["spans"] - arrived, "spooled": arrived - at_once}


def measure(given: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Execute in this process."""
    graph = Graph("diamonds", given["nodes"])
    subject = Variants(given["url"], {}, Path(given["directory"])).make("ours", graph)
    subject.execute()
    subject.flush()
    warm = psutil.Process().memory_info().rss
    for number in range(given["runs"]):
        progress(f"{graph} at full speed, run {number + 1} of {given['runs']}")
        subject.execute()
    subject.flush()
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "nodes": graph.nodes,
        "runs": given["runs"],
        "spans": subject.executions * subject.spans,
        "memory_mib": warm / MIB,
        "highest_memory_mib": highest / MIB,
        "growth_mib": max(0, highest - warm) / MIB,
    }
