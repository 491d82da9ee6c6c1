"""What processes of hamilton_otel cannot deliver, and how it comes into the real servers after all."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.test_runs import expect_counts, finish, start

HOUR = 3_600


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool of the test's own."""
    return tmp_path / "spool"


@pytest.fixture
def down(stack: Stack) -> Iterator[Stack]:
    """The servers, with the Collector stopped; it runs again after the test."""
    stack.servers["collector"].stop()
    yield stack
    if not stack.servers["collector"].running:
        up(stack)


def up(stack: Stack) -> None:
    """Start the Collector again."""
    stack.servers["collector"].start()
    stack.servers["collector"].wait_ready()


def segments(spool: Path) -> list[Path]:
    return list(spool.glob("*/*.jsonl"))


def replay(stack: Stack, spool: Path, **environment: str) -> str:
    """Run `hamilton-otel replay` and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "hamilton_otel.cli", "replay", "--spool", str(spool)],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
            "OTEL_SERVICE_NAME": "replayer",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def traces_of(stack: Stack, dag: str) -> int:
    return len(backends.traces(stack, dag, limit=1500))


def lines_of(stack: Stack, dag: str, event: str, since: float = 600) -> int:
    query = f'{{service_name="{dag}"}} | event_name="{event}"'
    return len(backends.logs(stack, query, since=since))


def test_a_hundred_processes_that_met_no_collector_are_all_there_in_the_end(down: Stack, spool: Path) -> None:
    """Their traces, log lines and counts arrive with the next process, or with `replay`; the moment is marked."""
    dag, late = "spooled", "the_next"
    finish_loudly(start(down, "processes", {"HAMILTON_OTEL_SPOOL": str(spool)}, dag=dag, processes=100))
    assert segments(spool)
    up(down)
    finish(start(down, "runs", {"HAMILTON_OTEL_SPOOL": str(spool)}, dag=late, runs=1))
    assert "Delivered" in replay(down, spool)
    assert segments(spool) == []
    eventually(lambda: traces_of(down, dag) == 100)
    eventually(lambda: lines_of(down, dag, "hamilton.run.completed") == 100)
    eventually(lambda: lines_of(down, dag, "hamilton.run.started") == 100)
    expect_counts(down, dag, runs=100, nodes=100)
    marked = 'sum(hamilton_telemetry_replayed_total{hamilton_telemetry_signal="traces"})'
    assert eventually(lambda: backends.value(down, marked)) == 200


def test_a_process_delivers_what_it_spooled_when_the_collector_is_back(down: Stack, spool: Path) -> None:
    """A process that outlives an outage brings everything itself, also over gRPC, and counts stay exact."""
    environments = {
        "outage_http": {},
        "outage_grpc": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": down.otlp_grpc},
    }
    running = [
        start(
            down,
            "outlasts",
            {"HAMILTON_OTEL_SPOOL": str(spool / dag), "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **environment},
            dag=dag,
            runs=20,
            spool=str(spool / dag),
        )
        for dag, environment in environments.items()
    ]
    for dag in environments:
        eventually(lambda dag=dag: len(segments(spool / dag)) == 3, timeout=60)  # type: ignore[misc]
    up(down)
    finish_loudly(*running)
    for dag in environments:
        assert segments(spool / dag) == []
        eventually(lambda dag=dag: traces_of(down, dag) == 40)  # type: ignore[misc]
        eventually(lambda dag=dag: lines_of(down, dag, "hamilton.run.completed") == 40)  # type: ignore[misc]
        expect_counts(down, dag, runs=40, nodes=40)


@pytest.mark.parametrize(("protocol", "age"), [("http/protobuf", 3 * HOUR), ("grpc", 50 * HOUR)])
def test_a_late_replay_arrives(protocol: str, age: int, stack: Stack, spool: Path) -> None:
    """Lines and spans hours or days old are taken by Loki and Jaeger, in streams that have newer ones."""
    dag = f"late_{age // HOUR}"
    target = stack.otlp_grpc if protocol == "grpc" else stack.otlp_http
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": target}
    finish(start(stack, "runs", dag=dag, runs=1))
    eventually(lambda: lines_of(stack, dag, "hamilton.run.completed") == 1)
    nowhere = {"HAMILTON_OTEL_SPOOL": str(spool), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    finish_loudly(start(stack, "runs", nowhere, dag=dag, runs=1))
    for segment in segments(spool):
        made_older(segment, age)
        folder = spool / f"127.0.0.1_{target.rpartition(':')[2]}"
        folder.mkdir(exist_ok=True)
        segment.rename(folder / segment.name)
    replay(stack, spool, **variables)
    assert segments(spool) == []
    since = age + 600
    eventually(lambda: lines_of(stack, dag, "hamilton.run.completed", since=since) == 2)
    then = int((time.time() - since) * 1e6)
    eventually(lambda: len(backends.traces(stack, dag, start=then, end=int(time.time() * 1e6))) == 2)
    expect_counts(stack, dag, runs=2, nodes=2)


def test_a_burst_of_spans_arrives_whole(stack: Stack, spool: Path) -> None:
    """50,000 spans as fast as one process makes them: every one of them is in Jaeger."""
    finish_loudly(start(stack, "bursts", {"HAMILTON_OTEL_SPOOL": str(spool)}, dag="burst", spans=50_000))
    if segments(spool):
        replay(stack, spool)

    def stored() -> int:
        return len({span["spanID"] for trace in backends.traces(stack, "burst") for span in trace["spans"]})

    eventually(lambda: stored() == 50_000, timeout=60, interval=2)


def finish_loudly(*processes: "subprocess.Popen[str]") -> None:
    """Wait for processes that may say that nothing listens, but must end well."""
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 0, output + errors


def made_older(segment: Path, seconds: int) -> None:
    """Put every time stamp in a segment so many seconds back."""

    def older(value: object) -> object:
        if isinstance(value, list):
            return [older(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: str(int(item) - seconds * 10**9) if key.endswith("UnixNano") else older(item)
            for key, item in value.items()
        }

    lines = [json.dumps(older(json.loads(line))) for line in segment.read_text().splitlines()]
    segment.write_text("".join(f"{line}\n" for line in lines))
