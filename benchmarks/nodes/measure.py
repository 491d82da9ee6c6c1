"""Measures variants against each other in one process: in turns, without garbage collection, at many stack depths.

At an unlucky depth CPython maps and unmaps a chunk of frames with each call, so one depth alone says nothing. Not for
what the figures mean (``figures.py``).
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier
from time import monotonic, process_time_ns, thread_time_ns
from typing import Final

from .variants import Subject

DEPTHS: Final = 8
"""Depths of the stack that are taken in turns, spread over one of CPython's chunks of frames."""
_FRAMES: Final = 16 * 1024 // 112
"""About how many frames of ``_deeper`` fill a chunk."""
_WAY: Final = re.compile(r"(, \w+)?( \d+)?$")
_STRIDE: Final = 5
"""Steps from one depth to the next that is taken, so that the first few are spread already."""

Cost = Callable[[Subject, int], float]
"""Nanoseconds a node of a subject that is executed under so many more frames."""
Times = dict[str, list[list[float]]]
"""Nanoseconds a node of each variant, a list for each depth; those at one place of two variants were taken together."""


def in_turns(subjects: Mapping[str, Subject], cost: Cost, *, seconds: float, passes: int, depths: int) -> Times:
    """Return *cost* of all *subjects*, taken in turns for *seconds*, *passes* times at the least."""
    names = list(subjects)
    times: Times = {name: [[] for _ in range(depths)] for name in names}
    for subject in subjects.values():
        subject.execute()
        subject.flush()
    gc.collect()
    gc.freeze()  # so that collecting between the passes looks at their garbage alone
    gc.disable()
    try:
        until, taken = monotonic() + seconds, 0
        while taken < passes or monotonic() < until:
            place = taken * _STRIDE % depths
            for turn in range(len(names)):
                name = names[(turn + taken) % len(names)]
                times[name][place].append(cost(subjects[name], place * _FRAMES // depths))
            gc.collect()
            taken += 1
    finally:
        gc.enable()
        gc.unfreeze()
    return times


def of_thread(nodes: int) -> Cost:
    """Return what measures the CPU time of the executing threads, for *nodes* nodes in each at the least."""

    def cost(subject: Subject, frames: int) -> float:
        runs = _runs(subject, nodes)
        if subject.threads == 1:
            taken = _deeper(frames, lambda: _cpu(subject, runs))
        else:
            barrier = Barrier(subject.threads)

            def together() -> int:
                barrier.wait()
                return _deeper(frames, lambda: _cpu(subject, runs))

            with ThreadPoolExecutor(subject.threads) as pool:
                begun = [pool.submit(together) for _ in range(subject.threads)]
                taken = sum(future.result() for future in begun)
        subject.flush()
        return taken / (runs * subject.threads * subject.nodes)

    return cost


def of_process(nodes: int) -> Cost:
    """Return what measures the CPU time of the whole process, export included, for *nodes* nodes at the least."""

    def cost(subject: Subject, frames: int) -> float:
        runs = _runs(subject, nodes)
        begin = process_time_ns()
        _deeper(frames, lambda: _cpu(subject, runs))
        subject.flush()
        return (process_time_ns() - begin) / (runs * subject.nodes)

    return cost


def typical(times: Sequence[Sequence[float]]) -> float:
    """Return the median over the depths of the median at each."""
    return median(median(at_depth) for at_depth in times if at_depth)


def worst(times: Sequence[Sequence[float]]) -> float:
    """Return the median at the depth where it is highest."""
    return max(median(at_depth) for at_depth in times if at_depth)


def bare_of(name: str) -> str:
    """Return the name of the bare driver that *name* is compared with: "bare, threads" for "ours, threads"."""
    found = _WAY.search(name)
    return f"bare{found[0] if found else ''}"


def cost(times: Mapping[str, Sequence[Sequence[float]]], name: str) -> float:
    """Return what *name* takes over its bare driver, in nanoseconds a node."""
    return typical(_each(lambda observed, bare: observed - bare, times[name], times[bare_of(name)]))


def ratio(times: Mapping[str, Sequence[Sequence[float]]], name: str, other: str) -> float:
    """Return the cost of *name* as a multiple of the cost of *other*, each over its bare driver.

    Compared within each pass, so that neither a depth nor a slow moment of the machine counts for one of them alone.
    """
    compared = (times[key] for key in (name, bare_of(name), other, bare_of(other)))
    return typical(_each(lambda a, a_bare, b, b_bare: (a - a_bare) / (b - b_bare), *compared))


def quotient(times: Mapping[str, Sequence[Sequence[float]]], name: str, other: str) -> float:
    """Return the time of *name*, the driver's with it, as a multiple of that of *other*."""
    return typical(_each(lambda a, b: a / b, times[name], times[other]))


def _each(function: Callable[..., float], *times: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[function(*taken) for taken in zip(*at_depth, strict=True)] for at_depth in zip(*times, strict=True)]


def _runs(subject: Subject, nodes: int) -> int:
    return max(1, nodes // subject.nodes)


def _cpu(subject: Subject, runs: int) -> int:
    begin = thread_time_ns()
    for _ in range(runs):
        subject.execute()
    return thread_time_ns() - begin


def _deeper(frames: int, action: Callable[[], int]) -> int:
    return action() if frames == 0 else _deeper(frames - 1, action)
