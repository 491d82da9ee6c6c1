"""Fills a Prometheus with raw and recorded series of the past, and asks it every expression; not for live series."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from stack.build import Cache
from stack.recipes import ROOT

from .blocks import LONG, RAW, Maker, size
from .expressions import Expression, find
from .points import count
from .server import DAY, Prometheus, Timing, configured, metrics

RECORDED_SAMPLES: Final = 50_000_000
"""Recorded samples to make, each metric its part; where rules give more, the samples are further apart."""


@dataclass(frozen=True)
class Size:
    """How many series there are, for how long, and how far apart their samples are (seconds)."""

    dags: int
    nodes: int
    hours: int
    days: int
    interval: int


class Blocks:
    """Makes the blocks in *directory*, and asks the Prometheus that has them."""

    def __init__(self, directory: Path, cache: Cache, progress: Progress, sizes: Size, compact: bool):
        self.prometheus = Prometheus(directory, cache)
        self.maker = Maker(cache.binary("promtool"), self.prometheus.data, directory)
        self.progress = progress
        self.size = sizes
        self.compact = compact
        self.end = int(time.time()) // RAW * RAW
        self.last = self.end - sizes.interval
        self.expressions = find(ROOT)

    def measure(self) -> dict[str, Any]:
        """Return what the blocks take and how long the expressions do."""
        begins = range(self.end - self.size.hours * 3600, self.end, RAW)
        dags, nodes, interval = self.size.dags, self.size.nodes, self.size.interval
        began = time.monotonic()
        for begin in self.progress.track(begins, description=f"Raw series of {dags} DAGs, blocks"):
            self.maker.raw(dags, nodes, begin, interval)
        raw = size(self.prometheus.data)
        series = count(dags, nodes).total()
        samples = series * (RAW // interval) * len(begins)
        recorded = self._record()
        figures: dict[str, Any] = {
            "size": asdict(self.size),
            "series": series,
            "blocks": {
                "raw_samples": samples,
                "raw_bytes": raw,
                "recorded": recorded,
                "recorded_bytes": size(self.prometheus.data) - raw,
                "seconds_to_make": time.monotonic() - began,
            },
        }
        if self.compact:
            with self.prometheus.running():
                waiting = self.progress.add_task("Compaction", total=None)
                self.prometheus.compact()
                self.progress.update(waiting, total=1, completed=1)
            figures["blocks"]["bytes_compacted"] = size(self.prometheus.data)
        with self.prometheus.running():
            figures |= self._ask(recorded)
        return figures

    def _record(self) -> dict[str, dict[str, int]]:
        """Make the recorded series of the past days, with the labels that their rules give now."""
        made: dict[str, dict[str, int]] = {}
        waiting = [rule for rule in self.expressions if rule.kind == "record"]
        often, most = configured("evaluation_interval"), RECORDED_SAMPLES // max(1, len(waiting))
        task = self.progress.add_task("Recorded series, metrics", total=len(waiting))
        while waiting:
            # Rules that build on others find nothing before those are made, which a new start makes visible.
            with self.prometheus.running():
                found: dict[str, list[dict[str, str]]] = {}
                for rule in waiting:
                    if labels := self.prometheus.labels(rule.text, self.last):
                        found.setdefault(rule.name, []).extend(labels)
            if not found:
                break
            for name, labels in found.items():
                step = max(often, math.ceil(len(labels) * self.size.days * DAY / most))
                begin = self.end - self.size.days * DAY
                while begin < self.end:
                    until = min(self.end, (begin // LONG + 1) * LONG)
                    self.maker.recorded(name, labels, range(begin, until, step))
                    begin = until
                made[name] = {"series": len(labels), "step_seconds": step}
                self.progress.advance(task)
            waiting = [rule for rule in waiting if rule.name not in made]
        self.progress.update(task, total=len(made))
        return made

    def _ask(self, recorded: dict[str, dict[str, int]]) -> dict[str, Any]:
        memory = {"at_start": self.prometheus.memory()}
        asked = [*self.expressions, *(Expression("panel", "recorded", name, name) for name in recorded)]
        timings: list[Timing] = []
        for expression in self.progress.track(asked, description="Expressions"):
            timings.append(self.prometheus.time(expression, self.last, self.size.hours, self.size.days))
            if expression.kind in ("record", "alert"):
                memory["after_rules"] = self.prometheus.memory()
        memory["at_end"] = self.prometheus.memory()
        own = metrics(self.prometheus.url)
        return {
            "memory": memory,
            "head_series": int(own["prometheus_tsdb_head_series"]),
            "loaded_blocks": int(own["prometheus_tsdb_blocks_loaded"]),
            "expressions": [asdict(timing) for timing in timings],
        }
