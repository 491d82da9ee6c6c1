"""Runs of Hamilton with our adapter, as they are seen in the real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hamilton_otel.history import Run, open_store

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually

ROOT = Path(__file__).parents[2]
WORKLOAD = Path(__file__).with_name("workload.py")


def start(
    stack: Stack, kind: str, environment: dict[str, str] | None = None, **options: Any
) -> "subprocess.Popen[str]":
    """Start a process of the workload that sends to the stack; its service is the DAG's name."""
    return subprocess.Popen(
        [sys.executable, str(WORKLOAD), kind, json.dumps(options)],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
            "OTEL_SERVICE_NAME": options["dag"],
            # Two dozen processes share two cores here: what the default budget would cut off is not the matter.
            "HAMILTON_OTEL_EXIT_TIMEOUT": "30",
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(*processes: "subprocess.Popen[str]") -> None:
    """Wait for the processes; each must have ended well and silently."""
    try:
        for process in processes:
            output, errors = process.communicate(timeout=100)
            assert (process.returncode, errors) == (0, ""), output
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def counts(stack: Stack, dag: str) -> dict[str, float | None]:
    """Return what Prometheus knows of a DAG."""
    selector = f'{{hamilton_dag_name="{dag}"}}'
    queries = {
        "starts": f"hamilton_run_starts_total{selector}",
        "finished": f"hamilton_run_duration_seconds_count{selector}",
        "nodes": f"sum(hamilton_node_duration_seconds_count{selector})",
        "increase": f"sum(increase(hamilton_run_starts_total{selector}[10m] anchored))",
    }
    return {name: backends.value(stack, query) for name, query in queries.items()}


def expect_counts(stack: Stack, dag: str, *, runs: int, nodes: int) -> None:
    """Assert that the counts of a DAG become exactly these, and stay."""
    exact = {"starts": runs, "finished": runs, "nodes": nodes, "increase": runs}

    def compare() -> bool:
        assert counts(stack, dag) == exact
        return True

    eventually(compare)


class Demo:
    """The flights demo, run once and again with a failure, and what Jaeger and Loki have of it."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory

    def run(self, *arguments: str) -> Run:
        command = [sys.executable, "-m", "hamilton_otel.cli", "run", str(ROOT / "examples/flights/pipeline.py")]
        environment = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.stack.otlp_http,
            "OTEL_SERVICE_NAME": "demo",
            "HAMILTON_OTEL_LOCAL_STORE": str(self.directory / "store"),
        }
        subprocess.run(
            [*command, "--rows", "5000", *arguments],
            env=environment,
            cwd=self.directory,
            capture_output=True,
            timeout=60,
            check="--fail" not in arguments,
        )
        return open_store(self.directory / "store").run("latest")

    def spans(self, run: Run) -> list[dict[str, Any]]:
        """Return the spans of the run's only trace in Jaeger."""
        found = eventually(lambda: backends.traces(self.stack, "demo", tags={"hamilton.run.id": run.id}), timeout=30)
        assert [trace["traceID"] for trace in found] == [run.trace_id]
        expected = len(run.nodes) + 1
        return eventually(
            lambda: spans if len(spans := backends.trace(self.stack, run.trace_id)) >= expected else [], timeout=30
        )

    def lines(self, run: Run, query: str = "") -> list[tuple[dict[str, str], str]]:
        """Return the log lines of the run's trace in Loki."""
        return backends.logs(self.stack, f'{{service_name="demo"}} | trace_id="{run.trace_id}" {query}')


@pytest.fixture(scope="module")
def demo(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo on this stack."""
    return Demo(stack, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def success(demo: Demo) -> Run:
    """A run of the demo that succeeded, as the local store has it."""
    return demo.run()


@pytest.fixture(scope="module")
def failure(demo: Demo) -> Run:
    """A run of the demo in which `delay_model` failed."""
    return demo.run("--fail", "delay_model")


def test_one_run_is_one_trace_with_true_durations(demo: Demo, success: Run) -> None:
    """Jaeger has one trace: the run as its root, every executed node a child with the duration that it had."""
    spans = {span["operationName"]: span for span in demo.spans(success)}
    root = spans.pop("run flight_delays")
    assert not [reference for reference in root["references"] if reference["refType"] == "CHILD_OF"]
    assert set(spans) == {f"node {node.name}" for node in success.nodes}
    for node in success.nodes:
        span = spans[f"node {node.name}"]
        parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
        assert parents == [root["spanID"]]
        assert span["duration"] == pytest.approx((node.end - node.start) / 1000, abs=1)


def test_nodes_are_linked_to_their_inputs(demo: Demo, success: Run) -> None:
    """Each node's span links to the spans of the nodes that it read."""
    spans = {span["operationName"]: span for span in demo.spans(success)}
    for node in success.nodes:
        references = spans[f"node {node.name}"]["references"]
        linked = {reference["spanID"] for reference in references if reference["refType"] == "FOLLOWS_FROM"}
        assert linked == {spans[f"node {name}"]["spanID"] for name in node.inputs}
    assert any(node.inputs for node in success.nodes)


def test_a_failure_is_on_the_failing_node_and_the_run_alone(demo: Demo, failure: Run) -> None:
    """ERROR, the error's type and kind and one exception event are on two spans, and on no other."""
    failed = {"node delay_model", "run flight_delays"}
    for span in demo.spans(failure):
        tags = backends.tags(span)
        exceptions = [fields for log in span["logs"] if (fields := backends.tags(log)).get("event") == "exception"]
        if span["operationName"] in failed:
            assert tags["otel.status_code"] == "ERROR"
            assert (tags["error.type"], tags["hamilton.error.kind"]) == ("ValueError", "user")
            assert len(exceptions) == 1
            assert exceptions[0]["exception.type"] == "ValueError"
        else:
            assert "error.type" not in tags
            assert not exceptions


def test_loki_has_the_runs_events_and_the_users_own_lines(demo: Demo, success: Run) -> None:
    """Log lines have the run's trace; lines that a node wrote through structlog and logging have that node's span."""
    lines = eventually(lambda: found if len(found := demo.lines(success)) >= 7 else [], timeout=30)
    events = [labels.get("event_name") for labels, _ in lines]
    for event in ("hamilton.dag.defined", "hamilton.run.started", "hamilton.run.completed"):
        assert events.count(event) == 1
    spans = {span["operationName"]: span["spanID"] for span in demo.spans(success)}
    by_text = {text: labels for labels, text in lines}
    joined = by_text["joined weather"]
    assert joined["span_id"] == spans["node flights_with_weather"]
    assert joined["hamilton_node_name"] == "flights_with_weather"
    assert joined["hamilton_run_id"] == success.id
    (fitted,) = [labels for text, labels in by_text.items() if text.startswith("model fitted")]
    assert fitted["span_id"] == spans["node delay_model"]


def test_the_dags_definition_has_its_edges(demo: Demo, success: Run) -> None:
    """`hamilton.dag.defined` holds the edges of the graph, whole."""
    query = '| event_name="hamilton.dag.defined"'
    ((labels, _),) = eventually(lambda: demo.lines(success, query), timeout=30)
    edges = {tuple(edge) for edge in json.loads(labels["hamilton_dag_edges"])}
    assert {(source, node.name) for node in success.nodes for source in node.inputs} <= edges


def test_24_short_processes_are_counted_exactly(stack: Stack) -> None:
    """24 processes of 50 runs each, in parallel: exactly 1,200 started, finished, and increased."""
    finish(*[start(stack, "runs", dag="short", runs=50) for _ in range(24)])
    expect_counts(stack, "short", runs=1_200, nodes=1_200)


def test_processes_that_flush_at_once_are_counted_exactly(stack: Stack) -> None:
    """8 processes flush 50 times each, 100 nodes a run: run and node counts exact, the Collector lost nothing."""
    finish(*[start(stack, "runs", dag="flushing", runs=50, nodes=100, flush=True) for _ in range(8)])
    expect_counts(stack, "flushing", runs=400, nodes=40_000)
    assert backends.losses(stack) == {}


def test_cumulative_senders_among_them_are_counted_exactly(stack: Stack) -> None:
    """Processes with the SDK's default temporality beside ours: still exact."""
    cumulative = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative"}
    processes = [
        start(stack, "runs", cumulative if number % 2 else None, dag="mixed", runs=10, flush=number < 2)
        for number in range(4)
    ]
    finish(*processes)
    expect_counts(stack, "mixed", runs=40, nodes=40)


def test_runs_and_processes_add_no_series(stack: Stack) -> None:
    """1,000 runs in one process, and 1,000 processes of one run, have the series of the first run and no more."""
    finish(start(stack, "runs", dag="many", runs=1))
    expect_counts(stack, "many", runs=1, nodes=1)

    def series() -> set[str]:
        # Our own health is counted by signal and outcome, which need not all be there after a first short run.
        found = backends.prometheus(stack, '{job="many", __name__!~".*:.*|hamilton_telemetry_.*"}')
        return {json.dumps(labels, sort_keys=True) for labels, _ in found}

    first = series()
    many_runs = start(stack, "runs", dag="many", runs=1_000)
    many_processes = start(stack, "processes", dag="many", processes=1_000)
    finish(many_runs, many_processes)
    expect_counts(stack, "many", runs=2_001, nodes=2_001)
    assert series() == first


def test_an_exemplar_leads_to_the_trace_and_its_log_lines(stack: Stack) -> None:
    """From a bucket of run durations to a trace that Jaeger has, and on to lines in Loki."""
    finish(start(stack, "talks", dag="talking"))
    query = 'hamilton_run_duration_seconds_bucket{hamilton_dag_name="talking"}'
    exemplar = eventually(lambda: backends.exemplars(stack, query))[0]
    trace_id = exemplar["labels"]["trace_id"]
    names = {span["operationName"] for span in eventually(lambda: backends.trace(stack, trace_id), timeout=30)}
    assert names == {"run talking", "node talking"}
    lines = eventually(lambda: backends.logs(stack, f'{{service_name="talking"}} | trace_id="{trace_id}"'))
    assert {"line of structlog", "line of logging", "Run completed"} <= {text for _, text in lines}


@pytest.fixture
def killed(stack: Stack) -> float:
    """A process that was killed in the middle of its first run ever; the time when it was."""
    process = start(stack, "hangs", {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}, dag="killed")
    try:
        active = 'hamilton_run_active{hamilton_dag_name="killed"}'
        eventually(lambda: backends.value(stack, active) == 1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return time.time()


def test_a_killed_process_is_a_lost_run(stack: Stack, killed: float) -> None:
    """Its active series goes within 90 s; it alone is a lost run, also after a restart of the Collector."""
    eventually(lambda: backends.value(stack, 'hamilton_run_active{hamilton_dag_name="killed"}') is None, timeout=90)
    (expression,) = [rule["query"] for rule in backends.rules(stack) if rule["name"] == "hamilton:lost_runs"]
    # The rule waits for a minute after the last sign of life; asking for that minute's end saves the wait.
    later = time.time() + 65

    def lost() -> dict[str, float]:
        found = backends.prometheus(stack, expression, at=max(later, time.time()))
        return {labels["hamilton_dag_name"]: number for labels, number in found if number}

    assert lost() == {"killed": 1}
    collector = stack.servers["collector"]
    collector.stop()
    collector.start()
    collector.wait_ready()
    eventually(lambda: backends.value(stack, 'up{job="collector-aggregated"}') == 1)
    assert lost() == {"killed": 1}
