"""What the series cost while they are written: the real Collector and Prometheus, configured as they always are.

The points come as processes send them: deltas over OTLP, at first of all DAGs and then of those that just ran. Blocks
on disk do not tell this: the head holds every series in memory. Not for the time of queries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import requests
from hamilton_otel import semconv
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp

from stack import Ports, Stack
from stack.build import Cache

from .past import Size
from .points import ENVIRONMENT, PERIOD, Point, points, typical
from .server import cpu_seconds, memory, metrics

HEARTBEAT: Final = 15
"""Seconds between two exports of a process."""
SERVERS: Final = ("collector", "prometheus")
_TIMEOUT: Final = 60
_APPENDED: Final = "prometheus_tsdb_head_samples_appended_total"
Step = Callable[[str], None]


def measure(directory: Path, cache: Cache, size: Size, expected: int, seconds: int, step: Step) -> dict[str, Any]:
    """Send everything once, go on for *seconds*, and return what that took."""
    stack = Stack(directory, Ports.free(), cache=cache)
    stack.prepare()
    servers = [stack.servers[name] for name in SERVERS]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        return _measure(stack, size, expected, seconds, step)
    finally:
        for server in servers:
            server.stop()


def _measure(stack: Stack, size: Size, expected: int, seconds: int, step: Step) -> dict[str, Any]:
    ids = {name: stack.servers[name].pid for name in SERVERS}
    empty = memory(ids["prometheus"])
    step("Live: sending all series")
    requests_sent, refused = _send(stack, points(size.dags, size.nodes))
    begin = time.monotonic()
    while (scraped := _ask(stack, _SCRAPED) or 0) < expected:
        if time.monotonic() - begin > _TIMEOUT:
            raise RuntimeError(f"Prometheus has {scraped:,.0f} of {expected:,} series after {_TIMEOUT} s.")
        time.sleep(1)
    step(f"Live: {scraped:,.0f} series, at work for {seconds} s")
    before = {name: cpu_seconds(pid) for name, pid in ids.items()}
    written, appended = _log_size(stack.directory), metrics(stack.prometheus)[_APPENDED]
    begin, round_number = time.monotonic(), 0
    while (elapsed := time.monotonic() - begin) < seconds:
        if elapsed >= round_number * HEARTBEAT:
            # Gauges of all, counts of those DAGs that ran within this heartbeat.
            turn = round_number % (PERIOD // HEARTBEAT)
            sent = _send(stack, (each for each in points(size.dags, size.nodes) if _due(each, turn)))
            requests_sent, refused = requests_sent + sent[0], refused + sent[1]
            round_number += 1
        time.sleep(0.2)
    elapsed = time.monotonic() - begin
    cpu = {name: (cpu_seconds(pid) - before[name]) / elapsed for name, pid in ids.items()}
    own = metrics(stack.prometheus)
    used = memory(ids["prometheus"])
    series = own["prometheus_tsdb_head_series"]
    return {
        "seconds": round(elapsed, 1),
        "requests": requests_sent,
        "refused": refused,
        "head_series": int(series),
        "head_chunks": int(own["prometheus_tsdb_head_chunks"]),
        "prometheus_empty": empty,
        "prometheus": used,
        "prometheus_heap_in_use_mib": own["go_memstats_heap_inuse_bytes"] / 2**20,
        "bytes_per_series": (used["own_mib"] - empty["own_mib"]) * 2**20 / max(1, series),
        "log_bytes_per_sample": (_log_size(stack.directory) - written) / max(1, own[_APPENDED] - appended),
        "samples_per_scrape": _ask(stack, _SCRAPED),
        "scrape_seconds": _ask(stack, f"max(avg_over_time(scrape_duration_seconds{_SCRAPES}[{seconds}s]))"),
        "scrape_seconds_at_most": _ask(stack, f"max(max_over_time(scrape_duration_seconds{_SCRAPES}[{seconds}s]))"),
        "scrapes": _ask(stack, f"max(count_over_time(up{_SCRAPES}[{seconds}s]))"),
        "scrapes_that_failed": _ask(stack, f"sum(count_over_time((up{_SCRAPES} == 0)[{seconds}s:1s]) or vector(0))"),
        "rule_seconds": own.get("prometheus_rule_group_last_duration_seconds", 0.0),
        "cores": cpu,
        "collector": memory(ids["collector"]),
    }


_SCRAPES: Final = '{job=~"collector-(aggregated|live)"}'
_SCRAPED: Final = f"sum(scrape_samples_scraped{_SCRAPES})"


def _due(point: Point, turn: int) -> bool:
    return point.metric.pipeline == "live" or point.dag % (PERIOD // HEARTBEAT) == turn


def _log_size(directory: Path) -> int:
    return sum(file.stat().st_size for file in (directory / "prometheus" / "wal").glob("*") if file.is_file())


def _ask(stack: Stack, query: str) -> float | None:
    answer = requests.get(f"{stack.prometheus}/api/v1/query", params={"query": query}, timeout=_TIMEOUT)
    answer.raise_for_status()
    result = answer.json()["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def _send(stack: Stack, sent: Iterable[Point]) -> tuple[int, int]:
    """Send points as their processes would; return the number of requests, and of those that came again."""
    by_dag: dict[int, list[Point]] = {}
    for point in sent:
        by_dag.setdefault(point.dag, []).append(point)
    refused = 0
    with requests.Session() as session:
        for dag in by_dag.values():
            data = request(dag).SerializeToString()
            while True:
                response = session.post(
                    f"{stack.otlp_http}/v1/metrics",
                    data=data,
                    headers={"Content-Type": "application/x-protobuf"},
                    timeout=_TIMEOUT,
                )
                if response.status_code not in (429, 503):
                    break
                refused += 1
                time.sleep(1)
            response.raise_for_status()
            answer = ExportMetricsServiceResponse.FromString(response.content)
            if answer.partial_success.rejected_data_points:
                raise RuntimeError(f"The Collector rejected points: {answer.partial_success.error_message}")
    return len(by_dag), refused


def request(sent: list[Point]) -> ExportMetricsServiceRequest:
    """Return the export of one process: what one run of its DAG adds."""
    now = time.time_ns()
    resource = {
        "service.name": sent[0].service,
        "service.instance.id": f"{sent[0].dag:08x}-0000-4000-8000-000000000000",
        "deployment.environment.name": ENVIRONMENT,
    }
    built = ExportMetricsServiceRequest()
    of_resource = built.resource_metrics.add()
    of_resource.resource.attributes.extend(_attributes(resource))
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name = semconv.SCOPE
    for metric, own in groupby(sent, lambda point: point.metric):
        _add(of_scope.metrics.add(name=metric.name, unit=metric.unit, description=metric.meaning), metric, own, now)
    return built


def _add(target: otlp.Metric, metric: semconv.Metric, own: Iterable[Point], now: int) -> None:
    start = now - HEARTBEAT * 1_000_000_000
    if metric.kind == "histogram":
        target.histogram.aggregation_temporality = otlp.AGGREGATION_TEMPORALITY_DELTA
        for point in own:
            bounds = metric.boundaries or ()
            target.histogram.data_points.add(
                attributes=_attributes(point.attributes),
                start_time_unix_nano=start,
                time_unix_nano=now,
                count=1,
                sum=typical(point),
                explicit_bounds=bounds,
                bucket_counts=[int(number == point.bucket) for number in range(len(bounds) + 1)],
                exemplars=[_exemplar(typical(point), now)],
            )
        return
    if metric.kind == "observable_gauge":
        values = target.gauge.data_points
    else:
        up_down = metric.kind == "observable_up_down_counter"
        target.sum.is_monotonic = not up_down
        target.sum.aggregation_temporality = (
            otlp.AGGREGATION_TEMPORALITY_CUMULATIVE if up_down else otlp.AGGREGATION_TEMPORALITY_DELTA
        )
        values = target.sum.data_points
    for point in own:
        value = now / 1e9 if metric is semconv.RUN_OLDEST_START else 1.0
        values.add(
            attributes=_attributes(point.attributes), start_time_unix_nano=start, time_unix_nano=now, as_double=value
        )


def _exemplar(value: float, now: int) -> otlp.Exemplar:
    return otlp.Exemplar(time_unix_nano=now, as_double=value, trace_id=os.urandom(16), span_id=os.urandom(8))


def _attributes(attributes: dict[str, str]) -> Iterator[KeyValue]:
    for name, value in attributes.items():
        yield KeyValue(key=name, value=AnyValue(string_value=value))
