"""The way through the Collector to Prometheus, Jaeger and Loki, with anybody's OpenTelemetry programs as senders."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.servers import new_stack

SENDER = Path(__file__).with_name("sender.py")


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for a service or a DAG."""
    return f"probe_{uuid.uuid4().hex[:8]}"


def start(stack: Stack, kind: str, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SENDER), kind, json.dumps({"endpoint": stack.otlp_http, **options})]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def finish(*senders: "subprocess.Popen[str]") -> list[str]:
    outputs = []
    for sender in senders:
        output, errors = sender.communicate(timeout=60)
        assert (sender.returncode, errors) == (0, "")
        outputs.append(output)
    return outputs


def counts(stack: Stack, dag: str) -> dict[str, float | None]:
    """What Prometheus says of a DAG; more than one series where one belongs is an error."""
    selector = f'{{hamilton_dag_name="{dag}"}}'
    return {
        "starts": backends.value(stack, f"hamilton_run_starts_total{selector}"),
        "runs": backends.value(stack, f"hamilton_run_duration_seconds_count{selector}"),
        "nodes": backends.value(stack, f"sum(hamilton_node_duration_seconds_count{selector})"),
        "increase": backends.value(stack, f"sum(increase(hamilton_run_starts_total{selector}[10m] anchored))"),
    }


def expect_counts(stack: Stack, dag: str, **expected: float) -> None:
    def matches() -> bool:
        found = counts(stack, dag)
        assert {key: found[key] for key in expected} == expected
        return True

    eventually(matches)


def test_every_server_is_scraped(stack: Stack) -> None:
    """Prometheus reaches the Collector's three pages and every other server."""
    jobs = {"collector", "collector-aggregated", "collector-live", "prometheus", "alertmanager", "loki", "jaeger"}
    eventually(lambda: {labels["job"] for labels, up in backends.prometheus(stack, "up") if up} == jobs)


def test_concurrent_deltas_are_counted_exactly(stack: Stack, name: str) -> None:
    """Eight processes of several versions that flush at the same time lose nothing and make one series."""
    common = {"service": name, "dag": name, "temporality": "delta", "flushes": 50, "nodes": 100}
    finish(*(start(stack, "runs", **common, instance=f"i{n}", version=f"0.{n % 2}") for n in range(8)))
    expect_counts(stack, name, starts=400, runs=400, nodes=40_000, increase=400)
    assert backends.losses(stack) == {}


def test_cumulative_senders_among_deltas_are_counted_exactly(stack: Stack, name: str) -> None:
    """Processes with the SDK's default temporality count like the others, even if they do not name themselves."""
    common = {"service": name, "dag": name, "nodes": 10}
    finish(
        *(start(stack, "runs", **common, flushes=20, temporality="delta", instance=f"d{n}") for n in range(3)),
        *(start(stack, "runs", **common, flushes=20, instance=f"c{n}") for n in range(3)),
        *(start(stack, "runs", **common, flushes=1) for _ in range(2)),
    )
    expect_counts(stack, name, starts=122, runs=122, nodes=1220, increase=122)
    assert backends.losses(stack) == {}


@pytest.mark.stack
def test_a_series_starts_before_any_scrape_that_shows_it(name: str, tmp_path: Path) -> None:
    """Else Prometheus has no place for the zero that makes the first increase count, or puts it behind the first value.

    A scrape is stamped before it is answered, so the start has to be older than the point by more than that takes.
    """
    overlay = tmp_path / "timestamps.yaml"
    overlay.write_text("exporters: {prometheus/aggregated: {send_timestamps: true}}")
    servers = new_stack(tmp_path / "stack", [str(overlay)])
    servers.prepare()
    collector = servers.servers["collector"]
    # Only as protobuf, which Prometheus asks for, does the page have the starts.
    text = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text"
    times = r"(?s)created_timestamp:\s+{\s+seconds:\s+(\d+)\s+nanos:\s+(\d+).*?timestamp_ms:\s+(\d+)"

    def page() -> str:
        return requests.get(servers.collector_aggregated, headers={"Accept": text}, timeout=10).text

    try:
        collector.start()
        collector.wait_ready()
        finish(start(servers, "runs", service=name, dag=name, flushes=1, nodes=1))
        found = eventually(lambda: complete if len(complete := re.findall(times, page())) == 3 else [])
    finally:
        collector.stop()
    ages = [int(point) - int(seconds) * 1000 - int(nanos) // 1_000_000 for seconds, nanos, point in found]
    # Not longer, or the series of a restarted Collector would start before its last scrape.
    assert all(50 <= age < 200 for age in ages), ages


def test_nothing_is_counted_twice_when_the_collector_restarts(stack: Stack, name: str) -> None:
    """A cumulative sender that lives longer than the Collector adds only what is new."""
    sender = start(stack, "runs", service=name, dag=name, flushes=7, wait_before=4)
    assert sender.stdout
    assert sender.stdout.readline() == "waiting\n"
    expect_counts(stack, name, starts=4, increase=4)

    collector = stack.servers["collector"]
    collector.kill()
    collector.start()
    collector.wait_ready()
    finish(sender)

    # The fifth run is where the new Collector begins to count: it cannot know what the old one had seen.
    expect_counts(stack, name, starts=2, increase=6)


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
def test_a_users_own_counter_keeps_its_instances(stack: Stack, name: str, temporality: str) -> None:
    """Two processes that count the same thing now and then keep a series each, with its true value."""
    common = {"service": name, "temporality": temporality, "environment": "test"}
    finish(
        start(stack, "counter", **common, instance="one", orders=2, flushes=30),
        start(stack, "counter", **common, instance="two", orders=7, flushes=20),
    )

    def values() -> dict[str, float]:
        found = backends.prometheus(stack, f'max_over_time(shop_orders_total{{job="{name}"}}[5m])')
        assert all(labels["deployment_environment_name"] == "test" for labels, _ in found)
        return {labels["instance"]: number for labels, number in found}

    eventually(lambda: values() == {"one": 60, "two": 140})
    assert backends.losses(stack) == {}


def test_the_gauges_of_a_killed_process_disappear(stack: Stack, name: str) -> None:
    """An active run is shown with its instance for as long as its process lives, and soon after no more."""
    sender = start(stack, "active", service=name, dag=name, instance="mortal")
    query = f'hamilton_run_active{{hamilton_dag_name="{name}", instance="mortal"}}'
    try:
        eventually(lambda: backends.value(stack, query) == 1)
    finally:
        sender.kill()
        sender.communicate()
    eventually(lambda: backends.value(stack, query) is None)


def test_one_trace_id_leads_through_all_backends(stack: Stack, name: str) -> None:
    """A span is in Jaeger, its log line in Loki with the name of the event, its exemplar in Prometheus."""
    options = {"service": name, "dag": name, "temporality": "delta", "environment": "test"}
    (trace_id,) = (output.strip() for output in finish(start(stack, "signals", **options)))

    (span,) = eventually(lambda: backends.trace(stack, trace_id))
    assert span["operationName"] == "run probe"

    query = f'{{service_name="{name}", deployment_environment_name="test"}} | trace_id="{trace_id}"'
    ((labels, line),) = eventually(lambda: backends.logs(stack, query))
    assert line == "Run completed"
    assert labels["event_name"] == "hamilton.run.completed"
    assert labels["span_id"] == span["spanID"]

    buckets = f'hamilton_run_duration_seconds_bucket{{hamilton_dag_name="{name}"}}'
    exemplar = eventually(lambda: backends.exemplars(stack, buckets))[0]
    assert exemplar["labels"]["trace_id"] == trace_id
    assert backends.losses(stack) == {}
