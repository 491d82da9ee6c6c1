"""One real Prometheus and how long it takes to answer; knows neither the data nor the expressions."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stack import Ports, Stack
from stack.build import Cache
from stack.recipes import ROOT

from .expressions import Expression

RETENTION: Final = "40d"
"""Enough for the recorded series; Prometheus' own default is 15 days."""
HOUR: Final = 3600
DAY: Final = 24 * HOUR
ROUNDS: Final = 3
SLOW_SECONDS: Final = 10.0
"""What takes longer than this is asked once."""
RECORDED: Final = ", every"
"""What tells that a panel of recorded series alone was asked."""
_TIMEOUT: Final = 300
_MIB: Final = 2**20
_PEAK: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
Parameters = dict[str, str | int]


@dataclass(frozen=True)
class Timing:
    """How an expression fared: *samples* are what the engine looked at, *peak* what it held of them at once.

    *seconds* and *cpu_seconds* (of the server) are medians; where these differ, the machine had other things to do.
    """

    kind: str
    source: str
    name: str
    expression: str
    asked: str
    seconds: float
    first_seconds: float
    cpu_seconds: float
    series: int
    samples: int
    peak: int
    error: str | None


class Prometheus:
    """A Prometheus over blocks that are there already: no targets, and no evaluation of rules in the background."""

    def __init__(self, directory: Path, cache: Cache):
        self._stack = Stack(directory, Ports.free(), cache=cache)
        self._stack.prepare()
        self.server = self._stack.servers["prometheus"]
        self.url = self._stack.prometheus
        self.data = self._stack.directory / "prometheus"
        config = self._stack.directory / "config"
        (config / "targets" / "native.yml").write_text("[]\n")
        settings = yaml.safe_load((config / "prometheus.yml").read_text())
        settings["global"]["evaluation_interval"] = "1d"
        settings["storage"]["tsdb"] = {**settings["storage"].get("tsdb", {}), "retention": {"time": RETENTION}}
        (config / "prometheus.yml").write_text(yaml.safe_dump(settings))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server."""
        self.server.start()
        try:
            self.server.wait_ready(120)
            yield
        finally:
            self.server.stop()

    def compact(self) -> None:
        """Wait until the blocks are compacted, which begins a minute after the start."""
        # The second round is not before the first has ended, and that one goes on for as long as there is a plan.
        while metrics(self.url)["prometheus_tsdb_compactions_triggered_total"] < 2:
            time.sleep(1)

    def memory(self) -> dict[str, float]:
        """Return the memory of the server in MiB."""
        return memory(self.server.pid)

    def time(self, expression: Expression, end: int, hours: int, days: int) -> Timing:
        """Ask for *expression* a few times."""
        path, parameters, asked = self._request(expression, end, hours, days)
        durations: list[float] = []
        cpu: list[float] = []
        while len(durations) < ROUNDS and sum(durations) < SLOW_SECONDS:
            begin, used = time.perf_counter(), cpu_seconds(self.server.pid)
            response = requests.get(f"{self.url}{path}", params=parameters, timeout=_TIMEOUT)
            durations.append(time.perf_counter() - begin)
            cpu.append(cpu_seconds(self.server.pid) - used)
            if not response.ok:
                break
        statistic = _statistics(response.content) if response.ok else {}
        return Timing(
            expression.kind,
            expression.source,
            expression.name,
            expression.text,
            asked,
            round(statistics.median(durations), 4),
            round(durations[0], 4),
            round(statistics.median(cpu), 4),
            # Not parsed: an answer may have millions of values.
            response.content.count(b'{"metric":') if response.ok else 0,
            statistic.get("totalQueryableSamples", 0),
            statistic.get("peakSamples", 0),
            None if response.ok else response.json()["error"],
        )

    def _request(self, expression: Expression, end: int, hours: int, days: int) -> tuple[str, Parameters, str]:
        begin, step = end - hours * 3600, 300
        if expression.kind == "variable":
            matcher: Parameters = {"match[]": expression.text} if expression.text else {}
            path = f"/api/v1/label/{expression.name}/values"
            return path, {**matcher, "start": begin, "end": end}, f"values of a label over {hours} h"
        if expression.kind in ("record", "alert", "number"):
            return "/api/v1/query", {"query": expression.text, "time": end, "stats": "all"}, "at one moment"
        asked = f"{hours} h in steps of 5 min"
        if self._only_recorded(expression.text):
            begin, step = end - days * DAY, max(HOUR, days * DAY // expression.points)
            asked = f"{days} d{RECORDED} {step // HOUR} h"
        query: Parameters = {"query": expression.text, "start": begin, "end": end, "step": step}
        return "/api/v1/query_range", {**query, "stats": "all"}, asked

    def _only_recorded(self, text: str) -> bool:
        answer = requests.get(f"{self.url}/api/v1/parse_query", params={"query": text}, timeout=_TIMEOUT)
        names = set(_selected(answer.json().get("data")))
        return bool(names) and all(":" in name for name in names)

    def labels(self, text: str, at: int) -> list[dict[str, str]]:
        """Return the labels of the series that an instant query gives, without the metric's name."""
        parameters: Parameters = {"query": text, "time": at}
        answer = requests.get(f"{self.url}/api/v1/query", params=parameters, timeout=_TIMEOUT)
        data = answer.json().get("data", {})
        if data.get("resultType") != "vector":
            return []
        return [{k: v for k, v in one["metric"].items() if k != "__name__"} for one in data["result"]]


def _selected(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector") and "name" in node:
            yield node["name"]
        for value in node.values():
            yield from _selected(value)
    elif isinstance(node, list):
        for value in node:
            yield from _selected(value)


def _statistics(content: bytes) -> dict[str, int]:
    _, found, tail = content.rpartition(b'"stats":')
    if not found:
        return {}
    samples: dict[str, int] = json.JSONDecoder().raw_decode(tail.decode())[0].get("samples", {})
    return samples


def metrics(url: str) -> dict[str, float]:
    """Return what a server says about itself, of each metric the sum over its labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=_TIMEOUT).text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    return totals


def configured(name: str) -> int:
    """Return one of the intervals in prometheus.yml, in seconds."""
    text = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())["global"][name]
    found = re.fullmatch(r"(\d+)(s|m)", text)
    if not found:
        raise ValueError(f"{name} is {text!r}; this takes whole seconds or minutes.")
    return int(found[1]) * {"s": 1, "m": 60}[found[2]]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def memory(pid: int) -> dict[str, float]:
    """Return a process' memory in MiB: what is resident, without the files that it has mapped, and (Linux) at most."""
    used = psutil.Process(pid).memory_info()
    figures = {"resident_mib": used.rss / _MIB, "own_mib": (used.rss - getattr(used, "shared", 0)) / _MIB}
    status = Path(f"/proc/{pid}/status")
    found = _PEAK.search(status.read_text()) if status.exists() else None
    return {**figures, "peak_mib": int(found[1]) / 1024} if found else figures
