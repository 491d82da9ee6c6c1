"""Every executor, real Ray and Dask clusters among them: one run, one trace, true outcomes, exact counts."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.unit.plain_dag import PAUSE

ROOT = Path(__file__).parents[2]
KINDS = (
    "ray_tasks", "ray_graph", "dask_tasks", "dask_graph",
    "threads_tasks", "processes_tasks", "futures_graph", "async_graph",
)  # fmt: skip
SUCCESS = {
    "tasks": [
        *["node shifted < task block-item"] * 3,
        *["node squared < task block-item"] * 3,
        "node count < task count",
        "node item < task expand-item",
        "node total < task collect-item",
        *["task block-item < run"] * 3,
        "task collect-item < run",
        "task count < run",
        "task expand-item < run",
    ],
    "graph": ["node a < run", "node b < run", "node c < run"],
}
FAILED_NODE = {"tasks": "node squared", "graph": "node c"}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, stack: Stack) -> str:
    """A kind of executor, with its two runs done."""
    kind: str = request.param
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("executors.py")), kind],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
            "OTEL_SERVICE_NAME": kind,
            "HAMILTON_OTEL_EXIT_TIMEOUT": "30",
            # Ray would give each worker an environment of its own, made by uv, because uv started this one.
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, errors
    assert output.splitlines()[0] in ("{'total': 8}", "{'c': 7}")
    return kind


def trace_of(stack: Stack, kind: str, outcome: str) -> list[dict[str, Any]]:
    """Return the spans of the only trace whose run has that outcome."""

    def found() -> list[dict[str, Any]]:
        traces: list[list[dict[str, Any]]] = [trace["spans"] for trace in backends.traces(stack, kind)]
        matching = [
            spans
            for spans in traces
            for span in spans
            if span["operationName"] == f"run {kind}" and backends.tags(span)["hamilton.outcome"] == outcome
        ]
        assert len(matching) == 1
        assert len(traces) == 2
        return matching[0]

    return eventually(found, timeout=30)


def edges(spans: list[dict[str, Any]], kind: str) -> list[str]:
    """Return each span but the root as `name < parent`."""
    names = {span["spanID"]: span["operationName"].replace(f"run {kind}", "run") for span in spans}
    parents = {
        span["spanID"]: [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"] for span in spans
    }
    return sorted(f"{names[span]} < {names[above[0]]}" for span, above in parents.items() if above)


def test_a_run_is_one_whole_trace(stack: Stack, kind: str) -> None:
    """Every node and task is in the run's trace, under its right parent, with the time that it took on its worker."""
    expected = sorted(SUCCESS[kind.partition("_")[2]])

    def compare() -> bool:
        assert edges(trace_of(stack, kind, "success"), kind) == expected
        return True

    eventually(compare, timeout=30)
    for span in trace_of(stack, kind, "success"):
        if span["operationName"] == "node b":
            assert PAUSE <= span["duration"] / 1e6 < 20 * PAUSE


def test_a_failure_on_a_worker_is_a_failure(stack: Stack, kind: str) -> None:
    """The node that raised in a worker has the error, and so has the run; the trace holds no other failed node."""
    failed_node = FAILED_NODE[kind.partition("_")[2]]
    by_name: dict[str, list[Any]] = {}
    for span in trace_of(stack, kind, "failure"):
        by_name.setdefault(span["operationName"], []).append(backends.tags(span).get("error.type"))
    assert by_name[f"run {kind}"] == ["ValueError"]
    assert by_name[failed_node].count("ValueError") == 1
    failed = {name for name, errors in by_name.items() if any(errors)}
    assert failed <= {f"run {kind}", failed_node, "task block-item"}


def test_counts_are_exact(stack: Stack, kind: str) -> None:
    """Two runs, one of which failed, and one failed node."""
    selector = f'{{hamilton_dag_name="{kind}"}}'

    def compare() -> bool:
        assert backends.value(stack, f"hamilton_run_starts_total{selector}") == 2
        assert backends.value(stack, f"sum(hamilton_run_failures_total{selector})") == 1
        assert backends.value(stack, f"sum(hamilton_node_failures_total{selector})") == 1
        return True

    eventually(compare)
    lines = eventually(lambda: backends.logs(stack, f'{{service_name="{kind}"}} | event_name="hamilton.node.failed"'))
    assert len(lines) == 1
