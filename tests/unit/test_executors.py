"""Every way in which Hamilton executes nodes in this machine's threads and processes: one run, one trace."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog
from hamilton import driver
from hamilton.execution.executors import MultiThreadingExecutor, SynchronousLocalTaskExecutor
from hamilton.plugins.h_threadpool import FutureAdapter
from hamilton_otel import current
from hamilton_otel.testing import CapturedTelemetry
from opentelemetry import trace

from tests.unit import parallel_dag
from tests.unit.conftest import driver_of, run_python
from tests.unit.trees import from_memory, from_store, tree

RUN = "run parallel"
TREE = sorted(
    [
        RUN,
        f"{RUN} > task count",
        f"{RUN} > task count > node count",
        f"{RUN} > task expand-item",
        f"{RUN} > task expand-item > node item",
        *[f"{RUN} > task block-item"] * 3,
        *[f"{RUN} > task block-item > node squared"] * 3,
        *[f"{RUN} > task block-item > node shifted"] * 3,
        f"{RUN} > task collect-item",
        f"{RUN} > task collect-item > node total",
    ]
)


def parallel_driver(telemetry: CapturedTelemetry, executor: Any) -> driver.Driver:
    return (
        driver.Builder()
        .with_modules(parallel_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(executor)
        .with_adapters(telemetry.adapter("parallel"))
        .build()
    )


@pytest.mark.parametrize("executor", [SynchronousLocalTaskExecutor, lambda: MultiThreadingExecutor(3)])
def test_a_parallel_run_is_one_tree(telemetry: CapturedTelemetry, executor: Any) -> None:
    """Run > task > node, one task for each item, in the executor's threads as in the run's own."""
    result = parallel_driver(telemetry, executor()).execute(["total"], inputs={"start": 3})
    assert result == {"total": 8}
    spans = from_memory(telemetry.spans)
    assert tree(spans) == TREE
    (total,) = [span for span in spans if span.name == "node total"]
    assert set(total.links) == {span.id for span in spans if span.name == "node shifted"}
    squared = {span.parent: span.id for span in spans if span.name == "node squared"}
    for span in spans:
        if span.name == "node shifted":
            assert span.links == (squared[span.parent],)


def test_tasks_and_their_fan_out_are_measured(telemetry: CapturedTelemetry) -> None:
    """Durations and waits of tasks are counted by the name that a block's tasks share, the fan-out by its node."""
    parallel_driver(telemetry, MultiThreadingExecutor(3)).execute(["total"], inputs={"start": 3})
    block = {("hamilton.dag.name", "parallel"), ("hamilton.task.name", "block-item")}
    assert telemetry.points("hamilton.task.duration")[frozenset({*block, ("hamilton.outcome", "success")})] == 3
    assert telemetry.points("hamilton.task.wait.duration")[frozenset(block)] == 3
    fan_out = {("hamilton.dag.name", "parallel"), ("hamilton.node.name", "item")}
    assert telemetry.points("hamilton.fanout.size") == {frozenset(fan_out): 1}
    (completed,) = telemetry.events("hamilton.run.completed")
    assert (completed.attributes or {})["hamilton.run.node_count"] == 9


def test_a_failing_task_fails_its_node_and_run(telemetry: CapturedTelemetry) -> None:
    """In a thread that fails, the node has the exception; its task, the run and nothing else are failures."""
    dr = parallel_driver(telemetry, MultiThreadingExecutor(3))
    with pytest.raises(ValueError, match="one is not wanted"):
        dr.execute(["total"], inputs={"start": 3, "fail": True})
    failed = [span.name for span in telemetry.spans if (span.attributes or {})["hamilton.outcome"] == "failure"]
    assert sorted(failed) == ["node squared", RUN, "task block-item"]
    with_exception = [span.name for span in telemetry.spans if span.events]
    assert sorted(with_exception) == ["node squared", RUN]


def test_gauges_of_tasks_return_to_zero(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the run no task is active or pending."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    parallel_driver(telemetry, MultiThreadingExecutor(3)).execute(["total"], inputs={"start": 3})
    key = frozenset({("hamilton.dag.name", "parallel")})
    assert telemetry.points("hamilton.task.active") == {key: 0}
    assert telemetry.points("hamilton.task.pending") == {key: 0}


def left(start: int) -> int:
    return start


def right(start: int) -> int:
    return start + 1


def both(left: int, right: int) -> int:
    return left + right


def test_the_future_adapter_keeps_one_trace(telemetry: CapturedTelemetry) -> None:
    """Nodes in pool threads without tasks are children of the run."""
    dr = driver_of(left, right, both, adapters=[telemetry.adapter("futures"), FutureAdapter()])
    assert dr.execute(["both"], inputs={"start": 1}) == {"both": 3}
    assert tree(from_memory(telemetry.spans)) == [
        "run futures",
        "run futures > node both",
        "run futures > node left",
        "run futures > node right",
    ]


def test_pool_threads_have_the_callers_context(telemetry: CapturedTelemetry) -> None:
    """In a pool thread the node's span and the caller's structlog variables are set inside the node, not after."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def looks(start: int) -> int:
        seen.append((trace.get_current_span().name, structlog.contextvars.get_contextvars()))  # type: ignore[attr-defined]
        return start

    pool = FutureAdapter(max_workers=1)
    dr = driver_of(looks, adapters=[telemetry.adapter("futures"), pool])
    with structlog.contextvars.bound_contextvars(request="r-1"):
        dr.execute(["looks"], inputs={"start": 1})
    assert seen == [("node looks", {"request": "r-1"})]
    after = pool.executor.submit(lambda: (current.execution(), structlog.contextvars.get_contextvars())).result()
    assert after == (None, {})


def test_siblings_that_end_after_a_failed_run_are_recorded(telemetry: CapturedTelemetry) -> None:
    """A node in a pool thread that outlives its failed run ends with its own outcome."""
    release, failed = threading.Event(), threading.Event()

    def slow(start: int) -> int:
        failed.set()
        release.wait(10)
        return start

    def bad(start: int) -> int:
        failed.wait(10)
        raise ValueError("bad")

    def joined(bad: int, slow: int) -> int:
        return bad + slow

    pool = FutureAdapter(max_workers=3)
    dr = driver_of(slow, bad, joined, adapters=[telemetry.adapter("futures"), pool])
    with pytest.raises(ValueError, match="bad"):
        dr.execute(["bad", "slow"], inputs={"start": 1})
    assert "node slow" not in [span.name for span in telemetry.spans]
    release.set()
    pool.executor.shutdown(wait=True)
    assert (telemetry.span("node slow").attributes or {})["hamilton.outcome"] == "success"
    assert "run futures > node slow" in tree(from_memory(telemetry.spans))


def test_drivers_in_two_threads_do_not_mix(telemetry: CapturedTelemetry) -> None:
    """The same adapter in two threads at once gives two traces, each whole."""
    dr = driver_of(left, right, both, adapters=[telemetry.adapter("threads")])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda start: dr.execute(["both"], inputs={"start": start}), range(20)))
    spans = from_memory(telemetry.spans)
    traces = {span.trace for span in spans}
    assert len(traces) == 20
    for one in traces:
        assert len(tree([span for span in spans if span.trace == one])) == 4


PROCESSES = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from hamilton import driver
from hamilton.execution.executors import MultiProcessingExecutor
import hamilton_otel
from hamilton_otel.events import Sink
from hamilton_otel.logs import LogSink
from hamilton_otel.metrics import MetricsSink
from hamilton_otel.tracing import TracingSink
from tests.unit import parallel_dag

def fails(*arguments):
    raise RuntimeError("telemetry is broken")

if "broken" in sys.argv:  # in worker processes as well: they import this script
    for sink in (TracingSink, MetricsSink, LogSink):
        for event in [name for name in vars(Sink) if not name.startswith("_")]:
            setattr(sink, event, fails)

class Executor(MultiProcessingExecutor):
    def create_pool(self):
        return ProcessPoolExecutor(self.max_tasks, mp_context=multiprocessing.get_context(sys.argv[1]))

if __name__ == "__main__":
    hamilton_otel.configure(local_store="store", exit_timeout=10)
    dr = (
        driver.Builder()
        .with_modules(parallel_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(Executor(2))
        .with_adapters(hamilton_otel.TelemetryAdapter("parallel", tags={"team": "ops"}))
        .build()
    )
    with hamilton_otel.run_tags(commit="abc"):
        print(dr.execute(["total"], inputs={"start": 3, "fail": "fail" in sys.argv}))
"""


def totals(store: Path, metric: str) -> dict[str, int]:
    """Return the sum of all deltas of a histogram or counter in the store, by task or node name and outcome."""
    found: dict[str, int] = {}
    for file in (store / "metrics").glob("*.jsonl"):
        for line in file.read_text().splitlines():
            for resource in json.loads(line)["resourceMetrics"]:
                for scope in resource["scopeMetrics"]:
                    for one in scope["metrics"]:
                        if one["name"] != metric:
                            continue
                        data = one.get("histogram") or one["sum"]
                        for point in data["dataPoints"]:
                            attributes = {a["key"]: a["value"]["stringValue"] for a in point.get("attributes", ())}
                            name = attributes.get("hamilton.node.name", attributes.get("hamilton.task.name", "run"))
                            key = f"{name} {attributes.get('hamilton.outcome', '')}".strip()
                            found[key] = found.get(key, 0) + int(point.get("count", point.get("asInt", 0)))
    return found


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_belong_to_the_trace_and_lose_nothing(tmp_path: Path, method: str) -> None:
    """Nodes in forked and in spawned processes: one tree, exact counts, nothing counted twice by the fork."""
    done = run_python(PROCESSES, tmp_path, method)
    assert (done.returncode, done.stdout) == (0, "{'total': 8}\n"), done.stderr
    assert tree(from_store(tmp_path / "store")) == TREE
    assert totals(tmp_path / "store", "hamilton.run.starts") == {"run": 1}
    assert totals(tmp_path / "store", "hamilton.run.duration") == {"run success": 1}
    assert totals(tmp_path / "store", "hamilton.node.duration") == {
        "count success": 1,
        "item success": 1,
        "squared success": 3,
        "shifted success": 3,
        "total success": 1,
    }
    assert totals(tmp_path / "store", "hamilton.task.duration")["block-item success"] == 3
    spans = from_store(tmp_path / "store")
    (total,) = [span for span in spans if span.name == "node total"]
    assert set(total.links) == {span.id for span in spans if span.name == "node shifted"}


def test_a_failure_in_a_worker_process_is_a_failure(tmp_path: Path) -> None:
    """The exception of a node in another process is on its span and counted once; the user sees their own exception."""
    done = run_python(PROCESSES, tmp_path, "fork", "fail")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: one is not wanted"
    failed = [span.name for span in from_store(tmp_path / "store") if span.attributes["hamilton.outcome"] == "failure"]
    assert sorted(failed) == ["node squared", RUN, "task block-item"]
    assert totals(tmp_path / "store", "hamilton.node.failures") == {"squared": 1}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_broken_sinks_in_worker_processes_change_nothing(tmp_path: Path, method: str) -> None:
    """With every method of every sink raising, there and here, the user has their result, and their own exception."""
    done = run_python(PROCESSES, tmp_path, method, "broken")
    assert (done.returncode, done.stdout) == (0, "{'total': 8}\n"), done.stderr
    failed = run_python(PROCESSES, tmp_path, method, "broken", "fail")
    assert failed.stderr.splitlines()[-1] == "ValueError: one is not wanted"


def test_task_runs_under_one_span_have_ids_of_their_own(tmp_path: Path) -> None:
    """Two task-based runs in one trace share no span id."""
    code = """
import hamilton_otel
from opentelemetry import trace
from hamilton import driver
from tests.unit import parallel_dag
hamilton_otel.configure(local_store="store")
builder = driver.Builder().with_modules(parallel_dag).enable_dynamic_execution(allow_experimental_mode=True)
dr = builder.with_adapters(hamilton_otel.TelemetryAdapter("d")).build()
with trace.get_tracer("app").start_as_current_span("request"):
    for _ in range(2):
        dr.execute(["total"], inputs={"start": 3})
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(tree(from_store(tmp_path / "store"))) == 1 + 2 * len(TREE)


def test_a_child_forked_inside_a_node_reports_nothing_of_its_parent(tmp_path: Path) -> None:
    """A child that a node forks, and that exits as a program does, neither ends nor counts its parent's run."""
    code = """
import os, sys
import hamilton_otel
from hamilton import ad_hoc_utils, driver
hamilton_otel.configure(local_store="store")

def forks(start: int) -> int:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    return start

module = ad_hoc_utils.create_temporary_module(forks)
dr = driver.Builder().with_modules(module).with_adapters(hamilton_otel.TelemetryAdapter("d")).build()
dr.execute(["forks"], inputs={"start": 1})
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert tree(from_store(tmp_path / "store")) == ["run d", "run d > node forks"]
    assert totals(tmp_path / "store", "hamilton.run.starts") == {"run": 1}
    assert totals(tmp_path / "store", "hamilton.run.duration") == {"run success": 1}
