"""Makes blocks of Prometheus' storage from invented samples with promtool; starts no server.

promtool reads its whole file once per block, and maps it into memory: so each block is a file of its own, which is
deleted before the next is written.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hamilton_otel import semconv

from .points import ENVIRONMENT, PERIOD, Point, points, series

HOUR = 3600
RAW = 2 * HOUR
"""What a block spans that Prometheus has just written."""
LONG = 54 * HOUR
"""What the longest blocks span that it compacts these into, three and three, where it keeps 30 to 50 days."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Maker:
    """Makes blocks in a directory; *scratch* takes the texts, of which a large one has gigabytes."""

    promtool: Path
    directory: Path
    scratch: Path

    def raw(self, dags: int, nodes: int, begin: int, interval: int) -> None:
        """Make the block of what the adapter exports within two hours of *begin*."""
        times = range(begin, begin + RAW, interval)
        self._make(RAW, lambda: raw_lines(dags, nodes, times))

    def recorded(self, name: str, found: Sequence[Labels], times: Sequence[int]) -> None:
        """Make the block of one recorded metric; all times lie within one span of ``LONG``."""
        stamps = [f"{number % 97}.5 {time}\n" for number, time in enumerate(times)]
        lines = (_line(name, labels, stamps) for labels in found)
        self._make(LONG, lambda: lines)

    def _make(self, span: int, lines: Callable[[], Iterator[str]]) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.scratch, suffix=".om", buffering=2**20) as text:
            text.writelines(lines())
            text.write("# EOF\n")
            text.flush()
            command = [str(self.promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
            command += [f"--max-block-duration={span // HOUR}h", text.name, str(self.directory)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"promtool failed: {done.stderr.strip() or done.stdout.strip()}")


def raw_lines(dags: int, nodes: int, times: Sequence[int]) -> Iterator[str]:
    """Yield the samples of each series at these times, as OpenMetrics."""
    counters: dict[tuple[int, float], list[str]] = {}
    for point in points(dags, nodes):
        live = point.metric.pipeline == "live"
        # The Collector's address, and for gauges the process, of which each DAG has a new one in every block.
        instance = f"{point.dag:08x}-0000-4000-8000-{times[0]:012x}" if live else "127.0.0.1:8889"
        own = {"job": point.service, "instance": instance, "deployment_environment_name": ENVIRONMENT}
        for one in series(point):
            if live:
                stamps = [f"{_gauge(point, time)} {time}\n" for time in times]
            elif one.scale is not None:
                stamps = [f"{int(_runs(point, time) * one.share) * one.scale} {time}\n" for time in times]
            else:
                key = (point.phase, one.share)
                if key not in counters:
                    counters[key] = [f"{int(_runs(point, time) * one.share)} {time}\n" for time in times]
                stamps = counters[key]
            yield _line(one.name, {**own, **one.labels}, stamps)


def _line(name: str, labels: Labels, stamps: list[str]) -> str:
    text = ",".join(f'{label}="{value}"' for label, value in labels.items())
    start = f"{name}{{{text}}} "
    return start + start.join(stamps)


def _runs(point: Point, time: int) -> int:
    # Of the last four weeks or so.
    return (time + point.phase) // PERIOD % 10_000


def _gauge(point: Point, time: int) -> int:
    since = (time + point.phase) % PERIOD
    return time - since if point.metric is semconv.RUN_OLDEST_START else int(since < PERIOD / 2)


def size(directory: Path) -> int:
    """Return the bytes of all blocks in Prometheus' directory, without its head and log."""
    folders = (meta.parent for meta in directory.glob("*/meta.json"))
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
