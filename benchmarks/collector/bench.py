"""Runs a Collector alone on one core, offers it a rate, and says whether it keeps up and what that takes.

Not for sending (``load.py``) nor for what is compared (``__main__.py``).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stack import Ports, Stack
from stack.build import Cache

from .load import SENDERS, Load, Senders
from .recording import HOST

KEEPS_UP = 0.95
"""Part of the offered rate that has to be passed on; what is still queued when a step ends is not."""
STEPS = 10
"""Rates that are tried at most."""
PATIENCE = 10.0
"""Seconds for what is behind at the end of a step."""


@dataclass(frozen=True)
class Variant:
    """A Collector that differs from the committed one: settings merged over its own, and environment."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    compressed: bool = False
    """Whether senders compress."""


@dataclass(frozen=True)
class Step:
    """What became of one rate, in node executions a second.

    ``passed_on`` counts until the last span and line have left the Collector. ``queued`` is the most that waited, by
    exporter, and ``memory`` the highest RSS, both in MiB. The others are cores: what the Collector used of its one,
    what senders and servers used, and what strangers took.
    """

    offered: float
    passed_on: float
    refused: int
    queued: Mapping[str, float]
    memory: float
    microseconds_per_node: float
    cores: float
    load: float
    strangers: float

    @property
    def keeps_up(self) -> bool:
        """Whether the Collector could go on like this for ever."""
        return not self.refused and self.passed_on >= KEEPS_UP * self.offered


AS_IT_IS = Variant()


class Bench:
    """A running Collector and what is sent to it."""

    def __init__(self, stack: Stack, senders: Senders, compressed: bool) -> None:
        self.stack = stack
        self._senders = senders
        self._compressed = compressed
        self._process = psutil.Process(stack.servers["collector"].pid)
        self._nodes = 0
        self._refused = 0

    def step(self, rate: float, seconds: float, patience: float = PATIENCE) -> Step:
        """Offer so many nodes a second for about so many seconds; wait until all is passed on, but not for ever."""
        recording = self._senders.recording
        copies = max(1, round(rate * seconds / recording.nodes / SENDERS))
        nodes, spans = (copies * SENDERS * each for each in (recording.nodes, recording.spans))
        seconds = nodes / rate
        self._senders.prepare(Load(self.stack.otlp_http, copies, seconds, self._compressed))
        self._wait_for_the_rest(time.monotonic() + patience)
        sent, cpu, ours, everybodys = self._samples("sent_spans"), self._cpu(), _ours(), _everybodys()
        begin = time.monotonic() + 0.05
        self._senders.begin(begin)
        memory, queued = 0.0, dict[str, float]()
        while not self._senders.done:
            memory = max(memory, self.memory())
            queued = {name: max(number, queued.get(name, 0)) for name, number in self.queued().items()}
            time.sleep(0.2)
        self._wait_for_the_rest(begin + seconds + patience)
        memory = max(memory, self.memory())
        took = max(seconds, time.monotonic() - begin)
        cpu, ours, everybodys = self._cpu() - cpu, _ours() - ours, _everybodys() - everybodys
        refused = self._senders.refused()
        self._nodes += nodes
        self._refused += refused
        return Step(
            offered=rate,
            passed_on=nodes * (_sum(self._samples("sent_spans")) - _sum(sent)) / spans / took,
            refused=refused,
            queued=queued,
            memory=memory,
            microseconds_per_node=cpu / nodes * 1e6,
            cores=cpu / took,
            load=(ours - cpu) / took,
            strangers=max(0.0, everybodys - ours) / took,
        )

    def memory(self) -> float:
        """RSS of the Collector in MiB."""
        return float(self._process.memory_info().rss / 2**20)

    def disk(self) -> float:
        """MiB that its queues have on disk."""
        return sum(file.stat().st_size for file in (self.stack.directory / "collector").iterdir()) / 2**20

    def queued(self) -> dict[str, float]:
        """Return the MiB that wait, by exporter."""
        return {labels["exporter"]: value / 2**20 for labels, value in self._samples("queue_size")}

    def is_exact(self) -> bool:
        """Whether every node is counted that was sent so far, or something was refused."""
        if self._refused:
            return True
        deadline = time.monotonic() + 5
        while (counted := self._counted()) < self._nodes and time.monotonic() < deadline:
            time.sleep(0.1)
        return counted == self._nodes

    def _counted(self) -> float:
        page = requests.get(self.stack.collector_aggregated, timeout=30).text
        samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name == "hamilton_node_duration_seconds_count")

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _wait_for_the_rest(self, until: float) -> None:
        while self._is_behind() and time.monotonic() < until:
            time.sleep(0.02)

    def _is_behind(self) -> bool:
        return any(
            _sum(self._samples(f"accepted_{kind}")) != _sum(self._samples(f"sent_{kind}"))
            for kind in ("spans", "log_records")
        )

    def _samples(self, kind: str) -> list[tuple[dict[str, str], float]]:
        """Return what the receivers or the exporters say of *kind*, such as ``sent_spans``."""
        names = [f"otelcol_{component}_{kind}" for component in ("receiver", "exporter")]
        page = requests.get(self.stack.collector_metrics, timeout=30).text
        # Parsing the whole page takes longer than a step should last on.
        lines = "\n".join(line for line in page.splitlines() if line.startswith(tuple(names)))
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(lines + "\n")
            for sample in family.samples
        ]


@contextmanager
def bench(
    core: int, senders: Senders, behind: tuple[int, int], variant: Variant = AS_IT_IS, real: Collection[str] = ()
) -> Iterator[Bench]:
    """Run a Collector on *core* that sends to Jaeger and Loki at the ports *behind*, save those that are *real*."""
    addresses = {"jaeger": f"{HOST}:{behind[0]}", "loki": f"http://{HOST}:{behind[1]}/otlp"}
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="hamilton-otel-")))
        settings = directory / "settings.yaml"
        settings.write_text(yaml.safe_dump(dict(variant.settings)))
        stack = Stack(
            directory,
            Ports.free(),
            cache=Cache.default(),
            settings={
                f"{name.upper()}_OTLP_ENDPOINT": address for name, address in addresses.items() if name not in real
            },
            collector_configs=[settings],
        )
        stack.prepare()
        collector = stack.servers["collector"]
        collector.environment.update({"GOMAXPROCS": "1", **variant.environment})
        for server in (collector, *(stack.servers[name] for name in real)):
            exits.callback(server.stop)
            with _pinned({core}) if server is collector else nullcontext():
                server.start()
        for name in ("collector", *real):
            stack.servers[name].wait_ready()
        yield Bench(stack, senders, variant.compressed)


@contextmanager
def _pinned(cores: Collection[int]) -> Iterator[None]:
    """Keep what is started meanwhile on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def highest(bench: Bench, guess: float, seconds: float, begin: float, factor: float) -> tuple[Step, Step]:
    """Raise the rate by *factor* as long as the Collector keeps up; return the last such step, and one beyond it.

    It starts with the part *begin* of what a whole core would take, by the CPU that a node takes at the rate *guess*.
    """
    rate = begin * 1e6 / bench.step(guess, seconds / 2).microseconds_per_node
    best = beyond = None
    for _ in range(STEPS):
        step = bench.step(rate, seconds)
        if not step.keeps_up:
            # Others on this machine come and go.
            step = bench.step(rate, seconds)
        if step.keeps_up:
            best = step
            rate *= factor
        else:
            beyond = step
            rate /= 1.5
        if best and beyond:
            return best, beyond
    raise RuntimeError(f"No limit was found near {rate:.0f} nodes a second: look what else is running on this machine.")


def _ours() -> float:
    """Return the CPU of this process and all that it has started."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _everybodys() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _sum(samples: Iterable[tuple[dict[str, str], float]]) -> float:
    return sum(value for _, value in samples)
