"""Senders that insist, as a group, and what of theirs has arrived in the servers; no assertions of any one test."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from stack import Stack
from stack.recipes import ROOT
from tests.stack import backends

SENDER = Path(__file__).with_name("insistent.py")
WORKLOAD = Path(__file__).with_name("workload.py")
#: The most lines that Loki returns; 4 MB is its other limit.
PAGE = 5000


@dataclass
class Acknowledged:
    """What the Collector has said that it has: span ids by trace, lines, and when it counted a run."""

    traces: dict[str, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)
    retries: int = 0
    codes: set[int] = field(default_factory=set)

    def add(self, output: str) -> None:
        said = json.loads(output)
        self.traces |= said["traces"]
        self.lines += said["lines"]
        self.runs += said["runs"]
        self.retries += said["retries"]
        self.codes |= set(said["codes"])

    @property
    def spans(self) -> set[str]:
        return {span for spans in self.traces.values() for span in spans}


class Processes:
    """Processes that send for as long as the block lasts; after it `acknowledged` is what they have said."""

    def __init__(self, commands: Sequence[Sequence[str]], **environment: str) -> None:
        self.acknowledged = Acknowledged()
        self._commands = commands
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._processes = [
            subprocess.Popen(each, stdin=pipe, stdout=pipe, text=True, env=self._environment) for each in self._commands
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for process in self._processes:
                assert process.stdin
                process.stdin.close()
                process.stdin = None
            for process in self._processes:
                output, _ = process.communicate(timeout=60)
                assert process.returncode == 0
                self.acknowledged.add(output)
        finally:
            for process in self._processes:
                process.kill()
                process.communicate()


class Senders(Processes):
    """Processes of insistent.py."""

    def __init__(self, stack: Stack, name: str, count: int, **options: Any) -> None:
        self.count = count
        super().__init__(
            [
                [
                    sys.executable,
                    str(SENDER),
                    json.dumps({"endpoint": stack.otlp_http, "name": name, "instance": f"{name}-{number}", **options}),
                ]
                for number in range(count)
            ]
        )


class Pipelines(Processes):
    """Processes of workload.py that execute runs, export their counts every *heartbeat* seconds and share a spool."""

    def __init__(self, stack: Stack, name: str, count: int, spool: Path, heartbeat: float) -> None:
        command = [sys.executable, str(WORKLOAD), "loads", json.dumps({"dag": name})]
        super().__init__(
            [command] * count,
            OTEL_EXPORTER_OTLP_ENDPOINT=stack.otlp_http,
            OTEL_SERVICE_NAME=name,
            OTEL_METRIC_EXPORT_INTERVAL=str(int(heartbeat * 1000)),
            HAMILTON_OTEL_SPOOL=str(spool),
        )


def stored_spans(stack: Stack, trace_ids: Iterable[str]) -> Counter[str]:
    """How often Jaeger has each span of these traces."""
    return Counter(span["spanID"] for trace_id in trace_ids for span in backends.trace(stack, trace_id))


def stored_lines(stack: Stack, service: str, page: int = PAGE) -> Counter[str]:
    """How often Loki has each line of a service, by its first two words; one after the other page."""
    found: dict[tuple[str, str, int], str] = {}
    start = int((time.time() - 3600) * 1e9)
    while True:
        parameters: dict[str, str | int] = {"query": f'{{service_name="{service}"}}', "limit": page}
        parameters |= {"start": start, "end": int((time.time() + 5) * 1e9), "direction": "forward"}
        answer = requests.get(f"{stack.loki}/loki/api/v1/query_range", parameters, timeout=30)
        assert answer.ok, answer.text
        streams = answer.json()["data"]["result"]
        before = len(found)
        for stream in streams:
            seen: Counter[tuple[str, str]] = Counter()
            for stamp, line in stream["values"]:
                seen[stamp, line] += 1
                found[stamp, line, seen[stamp, line]] = " ".join(line.split()[:2])
                start = max(start, int(stamp))
        if len(found) == before:
            return Counter(found.values())


def increase(stack: Stack, dag: str) -> float:
    """The runs of a DAG that Prometheus has seen, over all restarts of the Collector."""
    query = f'sum(increase(hamilton_run_starts_total{{hamilton_dag_name="{dag}"}}[30m] anchored))'
    return backends.value(stack, query) or 0
