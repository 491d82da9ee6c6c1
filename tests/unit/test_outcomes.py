"""Whatever happens to a run, in whichever executor: the user's outcome is unchanged and nothing stays open."""

import asyncio
import gc
import logging
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from hamilton import async_driver, driver, lifecycle
from hamilton.execution.executors import MultiThreadingExecutor, SynchronousLocalTaskExecutor
from hamilton.plugins.h_threadpool import FutureAdapter
from hamilton_otel import current, semconv
from hamilton_otel.events import Sink
from hamilton_otel.guard import guard
from hamilton_otel.logs import LogSink
from hamilton_otel.metrics import MetricsSink
from hamilton_otel.recorder import Recorder
from hamilton_otel.testing import CapturedTelemetry
from hamilton_otel.tracing import TracingSink

from tests.unit import parallel_dag
from tests.unit.conftest import driver_of, module_of

Execute = Callable[[Any, bool | None], Any]


def one(start: int) -> int:
    return start


def two(one: int, fail: bool = False) -> int:
    if fail is None:
        raise KeyboardInterrupt
    if fail:
        raise ValueError("as the user meant it")
    return one + 1


def synchronous(adapters: Any, fail: bool | None) -> Any:
    dr = driver_of(one, two, adapters=adapters)
    return dr.execute(["two"], inputs={"start": 1, "fail": fail})


def futures(adapters: Any, fail: bool | None) -> Any:
    return synchronous([*adapters, FutureAdapter()], fail)


def tasks(adapters: Any, fail: bool | None, executor: Any = SynchronousLocalTaskExecutor) -> Any:
    dr = (
        driver.Builder()
        .with_modules(parallel_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(executor())
        .with_adapters(*adapters)
        .build()
    )
    return dr.execute(["total"], inputs={"start": 3, "fail": fail})


def threads(adapters: Any, fail: bool | None) -> Any:
    return tasks(adapters, fail, lambda: MultiThreadingExecutor(2))


def asynchronous(adapters: Any, fail: bool | None) -> Any:
    async def main() -> Any:
        dr = await async_driver.Builder().with_modules(module_of(one, two)).with_adapters(*adapters).build()
        return await dr.execute(["two"], inputs={"start": 1, "fail": fail})

    return asyncio.run(main())


EXECUTORS: list[Execute] = [synchronous, futures, tasks, threads, asynchronous]
EVENTS = [name for name in vars(Sink) if not name.startswith("_")]


def outcome(execute: Execute, adapters: Any, fail: bool | None) -> Any:
    """Return a run's result, or the type and text of its exception."""
    try:
        return execute(adapters, fail)
    except Exception as error:
        return type(error), str(error)


def adapters_for(execute: Execute, telemetry: CapturedTelemetry) -> Any:
    return telemetry.async_adapters("d") if execute is asynchronous else [telemetry.adapter("d")]


@pytest.mark.parametrize("fail", [False, True], ids=["success", "failure"])
@pytest.mark.parametrize("sink", [TracingSink, MetricsSink, LogSink])
@pytest.mark.parametrize("execute", EXECUTORS)
def test_a_broken_sink_changes_nothing(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch, execute: Execute, sink: type[Sink], fail: bool
) -> None:
    """With every method of a sink raising, one after the other, result and exception are those without telemetry."""

    def broken(*arguments: Any) -> None:
        raise RuntimeError("telemetry is broken")

    expected = outcome(execute, [], fail)
    monkeypatch.setattr(guard, "reraise", False)
    for event in EVENTS:
        with monkeypatch.context() as patched:
            patched.setattr(sink, event, broken)
            assert outcome(execute, adapters_for(execute, telemetry), fail) == expected
        assert current.execution() is None


@pytest.mark.parametrize("fail", [False, True], ids=["success", "failure"])
@pytest.mark.parametrize("execute", EXECUTORS)
def test_a_broken_recorder_changes_nothing(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch, execute: Execute, fail: bool
) -> None:
    """With every hook failing before any sink hears of it, result and exception are those without telemetry."""

    def broken(*arguments: Any, **keywords: Any) -> None:
        raise RuntimeError("telemetry is broken")

    expected = outcome(execute, [], fail)
    monkeypatch.setattr(guard, "reraise", False)
    for method in [name for name in vars(Recorder) if not name.startswith("_") and name != "execute"]:
        with monkeypatch.context() as patched:
            patched.setattr(Recorder, method, broken)
            # In a context of its own: a recorder that cannot end a run cannot restore what was current before it.
            seen = copy_context().run(outcome, execute, adapters_for(execute, telemetry), fail)
            assert seen == expected


@pytest.mark.parametrize("execute", [synchronous, tasks, futures, threads])
def test_an_interrupted_run_is_cancelled(telemetry: CapturedTelemetry, execute: Execute) -> None:
    """KeyboardInterrupt in a node reaches the user, and run and node are `cancelled` wherever the node runs."""
    with pytest.raises(KeyboardInterrupt):
        execute(adapters_for(execute, telemetry), None)
    cancelled = {span.name for span in telemetry.spans if (span.attributes or {})["hamilton.outcome"] == "cancelled"}
    assert cancelled & {"node two", "node squared"}
    assert (telemetry.span("run d").attributes or {})["hamilton.outcome"] == "cancelled"
    assert telemetry.points("hamilton.run.failures") == {}
    assert current.execution() is None


@pytest.mark.parametrize("fail", [False, True], ids=["success", "failure"])
@pytest.mark.parametrize("execute", EXECUTORS)
def test_every_executor_tells_the_same_story(telemetry: CapturedTelemetry, execute: Execute, fail: bool) -> None:
    """Spans, metrics and events agree on the outcome; there is one trace, and nothing stays current."""
    expected = outcome(execute, [], fail)
    assert outcome(execute, adapters_for(execute, telemetry), fail) == expected
    name = "failure" if fail else "success"
    run = telemetry.span("run d")
    assert (run.attributes or {})["hamilton.outcome"] == name
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    assert telemetry.points("hamilton.run.duration") == {
        frozenset({("hamilton.dag.name", "d"), ("hamilton.outcome", name)}): 1
    }
    failures = [span.name for span in telemetry.spans if (span.attributes or {})["hamilton.outcome"] == "failure"]
    assert sum(name.startswith("node ") for name in failures) == int(fail)
    assert sum(telemetry.points("hamilton.node.failures").values()) == int(fail)
    assert len(telemetry.events("hamilton.run.failed" if fail else "hamilton.run.completed")) == 1
    assert len(telemetry.events("hamilton.node.failed")) == int(fail)
    assert current.execution() is None


class Hostile(lifecycle.NodeExecutionHook, lifecycle.GraphExecutionHook):
    """Another adapter, which raises in one of its hooks."""

    def __init__(self, where: str) -> None:
        self.where = where

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError(f"hostile {where}")

    def run_before_node_execution(self, **kwargs: Any) -> None:
        self._maybe("before node")

    def run_after_node_execution(self, **kwargs: Any) -> None:
        self._maybe("after node")

    def run_before_graph_execution(self, **kwargs: Any) -> None:
        self._maybe("before graph")

    def run_after_graph_execution(self, **kwargs: Any) -> None:
        self._maybe("after graph")


@pytest.mark.parametrize("first", [False, True], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("where", ["before node", "after node", "before graph", "after graph"])
def test_another_adapter_that_raises_leaves_nothing_behind(
    telemetry: CapturedTelemetry, where: str, first: bool
) -> None:
    """Whatever hook of another adapter raises, every span ends and the next run is a trace of its own."""
    ours = telemetry.adapter("d")
    adapters = [Hostile(where), ours] if first else [ours, Hostile(where)]
    with pytest.raises(RuntimeError, match=f"hostile {where}"):
        driver_of(one, two, adapters=adapters).execute(["two"], inputs={"start": 1})
    driver_of(one, two, adapters=[ours]).execute(["two"], inputs={"start": 1})
    assert len(ours.recorder.runs) == 0
    assert current.execution() is None
    runs = [span for span in telemetry.spans if span.name == "run d"]
    assert all(span.parent is None for span in runs)
    assert (runs[-1].attributes or {})["hamilton.outcome"] == "success"
    starts = sum(telemetry.points("hamilton.run.starts").values())
    assert starts == sum(telemetry.points("hamilton.run.duration").values()) == len(runs)


def test_an_unreadable_exception_stays_the_users(telemetry: CapturedTelemetry) -> None:
    """An exception whose `__str__` raises reaches the user as it is, and is recorded by its type."""

    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def raises(start: int) -> int:
        raise Unreadable

    with pytest.raises(Unreadable):
        driver_of(raises, adapters=[telemetry.adapter("d")]).execute(["raises"], inputs={"start": 1})
    assert str((telemetry.span("node raises").attributes or {})["error.type"]).endswith("Unreadable")


def test_an_error_that_is_swallowed_is_a_failure_of_its_node(telemetry: CapturedTelemetry) -> None:
    """Under GracefulErrorAdapter the node that raised is a failure, nodes that were skipped and the run are not."""

    def skipped(two: int) -> int:
        return two

    graceful = lifecycle.GracefulErrorAdapter(error_to_catch=ValueError, sentinel_value=None)
    dr = driver_of(one, two, skipped, adapters=[telemetry.adapter("d"), graceful])
    for _ in range(2):
        assert dr.execute(["skipped"], inputs={"start": 1, "fail": True}) == {"skipped": None}
    outcomes = {span.name: (span.attributes or {})["hamilton.outcome"] for span in telemetry.spans}
    assert outcomes == {"node one": "success", "node two": "failure", "node skipped": "success", "run d": "success"}
    assert sum(telemetry.points("hamilton.node.failures").values()) == 2


def test_one_adapter_in_two_drivers(telemetry: CapturedTelemetry) -> None:
    """The same adapter object serves two drivers, each with its own graph."""
    adapter = telemetry.adapter("shared")
    first, second = driver_of(one, adapters=[adapter]), driver_of(one, two, adapters=[adapter])
    first.execute(["one"], inputs={"start": 1})
    second.execute(["two"], inputs={"start": 1})
    runs = [span for span in telemetry.spans if span.name == "run shared"]
    assert len({(span.attributes or {})["hamilton.dag.version"] for span in runs}) == 2


def test_an_overridden_node_is_not_executed(telemetry: CapturedTelemetry) -> None:
    """An override has no span of its own; the run says which nodes were overridden."""
    dr = driver_of(one, two, adapters=[telemetry.adapter("d")])
    assert dr.execute(["two"], overrides={"one": 5}) == {"two": 6}
    assert [span.name for span in telemetry.spans] == ["node two", "run d"]
    assert (telemetry.span("run d").attributes or {})["hamilton.run.overrides"] == ("one",)


def test_many_runs_leave_no_memory_behind(telemetry: CapturedTelemetry) -> None:
    """10,000 runs in one process leave nothing behind."""
    adapter = telemetry.adapter("d")
    dr = driver_of(one, two, adapters=[adapter])

    def measure(runs: int) -> int:
        for _ in range(runs):
            dr.execute(["two"], inputs={"start": 1})
        telemetry.clear()
        telemetry.points(semconv.NODE_DURATIONS.name)  # durations wait for being collected
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    measure(300)
    tracemalloc.start()
    try:
        before = measure(500)
        after = measure(10_000)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_two_of_our_adapters_leave_the_callers_context(telemetry: CapturedTelemetry) -> None:
    """Two adapters in one driver give two runs, and afterwards the caller's context is current again."""
    dr = driver_of(one, adapters=[telemetry.adapter("first"), telemetry.adapter("second")])
    dr.execute(["one"], inputs={"start": 1})
    assert current.execution() is None
    dr.execute(["one"], inputs={"start": 1})
    assert len({span.context.trace_id for span in telemetry.spans}) == 2


def test_an_exception_with_hostile_properties_is_recorded(telemetry: CapturedTelemetry) -> None:
    """Whatever an exception's properties do, node and run are told as failures."""

    class Hostile(Exception):
        @property
        def cause(self) -> None:
            raise RuntimeError("cause")

    def raises(start: int) -> int:
        raise Hostile

    with pytest.raises(Hostile):
        driver_of(raises, adapters=[telemetry.adapter("d")]).execute(["raises"], inputs={"start": 1})
    assert sorted(span.name for span in telemetry.spans) == ["node raises", "run d"]
    assert len(telemetry.events("hamilton.run.failed")) == 1


def test_swallowed_errors_of_concurrent_runs_do_not_mix(telemetry: CapturedTelemetry) -> None:
    """Under GracefulErrorAdapter two runs of one driver at once each tell their own outcome."""
    both = threading.Barrier(2, timeout=10)

    def meets(start: int) -> int:
        both.wait()
        if start:
            raise ValueError
        return start

    graceful = lifecycle.GracefulErrorAdapter(error_to_catch=ValueError, sentinel_value=None)
    dr = driver_of(meets, adapters=[telemetry.adapter("d"), graceful])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda start: dr.execute(["meets"], inputs={"start": start}), (0, 1)))
    outcomes = [(span.attributes or {})["hamilton.outcome"] for span in telemetry.spans if span.name == "node meets"]
    assert sorted(map(str, outcomes)) == ["failure", "success"]


def test_memory_of_ended_runs_is_let_go(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception of a run is not kept alive."""
    # Hamilton logs the exception, and pytest keeps what is logged.
    monkeypatch.setattr(logging.getLogger("hamilton.execution.graph_functions"), "disabled", True)

    class Held(Exception):
        pass

    references: list[weakref.ref[Held]] = []

    def raises(start: int) -> int:
        error = Held()
        references.append(weakref.ref(error))
        raise error

    dr = driver_of(raises, adapters=[telemetry.adapter("d")])
    for _ in range(3):
        with suppress(Held):
            dr.execute(["raises"], inputs={"start": 1})
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
