"""More telemetry than the Collector has memory for."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.delivery import Senders, increase, stored_lines, stored_spans
from tests.stack.servers import new_stack

SENDER = Path(__file__).with_name("sender.py")
#: An idle Collector needs 5 MiB; it refuses from the difference of these two on, looking once a second.
LIMIT = {"COLLECTOR_MEMORY_LIMIT_MIB": "12", "COLLECTOR_MEMORY_SPIKE_MIB": "3"}
FLUSHES = 50


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of this module's own, whose Collector has little memory."""
    with new_stack(tmp_path_factory.mktemp("stack"), **LIMIT) as servers:
        yield servers


def refused(stack: Stack, signal: str) -> float:
    """What the Collector has refused of `spans`, `log_records` or `metric_points`."""
    samples = backends.scrape(stack.collector_metrics)
    return sum(number for name, _, number in samples if name.startswith(f"otelcol_receiver_refused_{signal}"))


def test_what_is_refused_for_want_of_memory_arrives_later(stack: Stack) -> None:
    """Senders that insist and OpenTelemetry's own exporter are refused and try again: everything arrives, once."""
    options = {"endpoint": stack.otlp_http, "service": "official", "dag": "official", "temporality": "delta"}
    command = [sys.executable, str(SENDER), "runs", json.dumps({**options, "flushes": FLUSHES})]
    with Senders(stack, "flood", 6, pad=50_000) as flood:
        eventually(lambda: refused(stack, "metric_points") and refused(stack, "log_records"), timeout=60)
        official = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=True)
    acknowledged = flood.acknowledged
    assert 503 in acknowledged.codes
    assert "Service Unavailable" in official.stderr
    eventually(lambda: set(stored_spans(stack, acknowledged.traces)) == acknowledged.spans, timeout=40)
    eventually(lambda: set(stored_lines(stack, "flood", page=50)) == set(acknowledged.lines), timeout=40)
    expect_increase(stack, "flood", len(acknowledged.runs))
    # OpenTelemetry's own exporter gives an export up after ten seconds, and says so.
    expect_increase(stack, "official", FLUSHES - official.stderr.count("Failed to export"))


def expect_increase(stack: Stack, dag: str, runs: int) -> None:
    """Assert that so many runs are counted, in the end."""

    def compare() -> bool:
        assert increase(stack, dag) == runs
        return True

    eventually(compare, timeout=40)
