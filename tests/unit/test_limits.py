"""Runs that are absurdly large: the same result, and telemetry of a bounded size."""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from hamilton import async_driver, driver
from hamilton.execution.executors import SynchronousLocalTaskExecutor
from hamilton.function_modifiers import tag
from hamilton.htypes import Collect, Parallelizable
from hamilton_otel import annotate, limits, run_tags
from hamilton_otel.logs import LogSink
from hamilton_otel.testing import CapturedTelemetry
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from tests.unit.conftest import driver_of, module_of
from tests.unit.trees import from_memory, tree

HUGE = "x" * 10_000_000
SPANS = "HAMILTON_OTEL_MAX_SPANS_PER_RUN"


def numbered(number: int, name: str | None = None) -> Callable[[], int]:
    """Return a node's function that returns *number*."""

    def function() -> int:
        return number

    function.__name__ = name or f"node_{number}"
    return function


def memory() -> float:
    """Return this process's memory in MiB."""
    return float(psutil.Process(os.getpid()).memory_info().rss) / 2**20


def longest_attribute(telemetry: CapturedTelemetry) -> int:
    """Return the length of the longest text in any span or log record, names included."""
    texts: list[object] = []
    for span in telemetry.spans:
        texts += [span.name, *(span.attributes or {}), *(span.attributes or {}).values()]
    for record in telemetry.logs:
        texts += [*(record.attributes or {}), *(record.attributes or {}).values()]
    return max(len(str(text)) for text in texts)


def test_a_huge_graph_does_no_harm(telemetry: CapturedTelemetry) -> None:
    """The same result, metrics of every node, spans of 20,000, one event that says so, bounded time and memory.

    100,000 nodes are run by `python -m benchmarks.soak --executions 100000 --nodes 100000`.
    """
    size = 25_000
    module = module_of(*map(numbered, range(size)))
    outputs = [f"node_{number}" for number in range(size)]
    bare = driver.Builder().with_modules(module).build()
    before = time.process_time()
    expected = bare.execute(outputs)
    bare_seconds = time.process_time() - before

    dr = driver.Builder().with_modules(module).with_adapters(telemetry.adapter("huge")).build()
    begin, before = memory(), time.process_time()
    result = dr.execute(outputs)
    seconds = time.process_time() - before

    assert result == expected
    assert len(telemetry.spans) == 20_001
    assert sum(telemetry.points("hamilton.node.duration").values()) == size
    assert len(telemetry.points("hamilton.node.duration")) == 2_000
    assert [dict(event.attributes or {})["hamilton.limit"] for event in telemetry.events("hamilton.limit.reached")] == [
        "spans"
    ]
    assert longest_attribute(telemetry) < 50_000
    assert memory() - begin < 300
    assert seconds < bare_seconds + 30, f"{bare_seconds:.1f} s became {seconds:.1f} s"


def test_names_of_10_mb_do_no_harm(telemetry: CapturedTelemetry) -> None:
    """A node with such a name, and one that reads it, run, succeed and are told apart by short names."""

    def consumer(**inputs: int) -> int:
        return sum(inputs.values())

    consumer.__name__ = "consumer"
    name, other = HUGE, HUGE + "y"
    parameters = [inspect.Parameter(text, inspect.Parameter.KEYWORD_ONLY, annotation=int) for text in (name, other)]
    consumer.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    consumer.__annotations__ = {name: int, other: int, "return": int}
    dr = driver_of(numbered(1, name), numbered(2, other), consumer, adapters=[telemetry.adapter("named")])

    assert dr.execute(["consumer", name]) == {"consumer": 3, name: 1}
    assert longest_attribute(telemetry) < 2_000
    spans = {span.name: span for span in telemetry.spans}
    assert len(spans) == 4
    assert len(spans["node consumer"].links) == 2
    assert len(telemetry.points("hamilton.node.duration")) == 3


def test_a_failure_in_a_node_of_a_huge_name_is_told(telemetry: CapturedTelemetry) -> None:
    """The node's span, metric and event bear the short name."""

    def bad() -> int:
        raise ValueError("no")

    bad.__name__ = HUGE
    with pytest.raises(ValueError, match="no"):
        driver_of(bad, adapters=[telemetry.adapter("named")]).execute([HUGE])
    assert len(telemetry.events("hamilton.node.failed")) == 1
    assert longest_attribute(telemetry) < 10_000


def test_10_000_tags_of_10_mb_do_no_harm(telemetry: CapturedTelemetry) -> None:
    """A run and a node carry the first 50 tags, shortened, the team wherever it stands; one event says so."""
    huge_key = "k" * 10_000_000
    many = {f"tag_{number}": HUGE for number in range(10_000)}
    run = {huge_key: HUGE, **many, "team": "ops"}
    function = tag(**many, bypass_reserved_namespaces_=True)(numbered(1))
    dr = driver_of(function, adapters=[telemetry.adapter("tagged", run)])
    with run_tags(**many):
        assert dr.execute(["node_1"]) == {"node_1": 1}
    for name in ("run tagged", "node node_1"):
        carried = [key for key in telemetry.span(name).attributes or {} if ".tags." in key]
        assert limits.MAX_TAGS <= len(carried) <= limits.MAX_TAGS + 1
    assert (telemetry.span("run tagged").attributes or {})["hamilton.run.tags.team"] == "ops"
    assert longest_attribute(telemetry) < 50_000
    assert [dict(event.attributes or {})["hamilton.limit"] for event in telemetry.events("hamilton.limit.reached")] == [
        "tags"
    ]


def test_beyond_the_limit_of_spans_nodes_are_part_of_their_run(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their children attach to the run's span, their attributes go nowhere, their failures are told all the same."""
    monkeypatch.setenv(SPANS, "1")

    def first() -> int:
        return 1

    def second(first: int) -> int:
        annotate(lost=True)
        trace.get_current_span().set_attribute("lost", True)
        with telemetry.tracer_provider.get_tracer("theirs").start_as_current_span("child"):
            return first

    def bad(second: int) -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        driver_of(first, second, bad, adapters=[telemetry.adapter("cut")]).execute(["bad"])
    assert tree(from_memory(telemetry.spans)) == ["run cut", "run cut > child", "run cut > node first"]
    root = telemetry.span("run cut")
    assert "lost" not in (root.attributes or {})
    (failed,) = telemetry.events("hamilton.node.failed")
    assert root.context is not None
    assert (failed.trace_id, failed.span_id) == (root.context.trace_id, root.context.span_id)
    assert sum(telemetry.points("hamilton.node.duration").values()) == 3
    assert sum(telemetry.points("hamilton.node.failures").values()) == 1
    (reached,) = telemetry.events("hamilton.limit.reached")
    assert reached.severity_text == "WARN"
    assert (reached.attributes or {})["hamilton.limit"] == "spans"


def test_the_limit_holds_for_every_run_anew(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut does not take spans from the next."""
    monkeypatch.setenv(SPANS, "2")
    dr = driver_of(*map(numbered, range(3)), adapters=[telemetry.adapter("cut")])
    for _ in range(2):
        dr.execute(["node_0", "node_1", "node_2"])
    assert len(telemetry.spans) == 6
    assert len(telemetry.events("hamilton.limit.reached")) == 2


def test_tasks_count_towards_the_limit(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parallel block of any size has no more spans than the limit; its tasks and nodes are counted exactly."""
    monkeypatch.setenv(SPANS, "5")

    def item(count: int) -> Parallelizable[int]:
        yield from range(count)

    def squared(item: int) -> int:
        return item**2

    def total(squared: Collect[int]) -> int:
        return sum(squared)

    dr = (
        driver.Builder()
        .with_modules(module_of(item, squared, total))
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_local_executor(SynchronousLocalTaskExecutor())
        .with_remote_executor(SynchronousLocalTaskExecutor())
        .with_adapters(telemetry.adapter("wide"))
        .build()
    )
    assert dr.execute(["total"], inputs={"count": 10}) == {"total": 285}
    assert len(telemetry.spans) == 6
    assert sum(telemetry.points("hamilton.task.duration").values()) == 12
    assert sum(telemetry.points("hamilton.node.duration").values()) == 12


def test_the_async_driver_has_the_same_limit(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, what a coroutine starts attaches to the run's span."""
    monkeypatch.setenv(SPANS, "1")

    async def first() -> int:
        return 1

    async def second(first: int) -> int:
        with telemetry.tracer_provider.get_tracer("theirs").start_as_current_span("child"):
            return first + 1

    async def main() -> Any:
        builder = async_driver.Builder().with_modules(module_of(first, second))
        dr = await builder.with_adapters(*telemetry.async_adapters("flow")).build()
        return await dr.execute(["second"])

    assert asyncio.run(main()) == {"second": 2}
    assert tree(from_memory(telemetry.spans)) == ["run flow", "run flow > child", "run flow > node first"]
    assert sum(telemetry.points("hamilton.node.duration").values()) == 2


def test_names_are_bounded_and_distinct() -> None:
    """A name as long as the limit stays; longer ones that differ anywhere stay different."""
    assert limits.name("a" * 200) == "a" * 200
    shortened = {limits.name(f"{'a' * 5_000}{letter}{'b' * 5_000}") for letter in "xyz"}
    assert len(shortened) == 3
    assert max(map(len, shortened)) < 300


@pytest.mark.parametrize("variable", [None, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
def test_the_applications_own_attributes_are_cut(monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    """Our providers cut what the application sets; the standard variables win."""
    if variable is not None:
        monkeypatch.setenv(variable, "100")
    expected = 100 if variable else limits.MAX_VALUE
    provider = TracerProvider(span_limits=limits.span_limits(), shutdown_on_exit=False)
    span = provider.get_tracer("theirs").start_span("span")
    span.set_attribute("huge", HUGE)
    span.add_event("event", {"huge": HUGE})
    assert len(span.attributes["huge"]) == expected  # type: ignore[attr-defined]
    assert len(span.events[0].attributes["huge"]) == expected  # type: ignore[attr-defined]
    assert limits.log_record_limits().max_log_record_attribute_length == expected


def test_the_variables_of_spans_and_of_log_records_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables for one signal count for that signal alone."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10")
    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20")
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "30")
    assert limits.span_limits().max_span_attribute_length == 10
    assert limits.span_limits().max_links == 30
    assert limits.log_record_limits().max_log_record_attribute_length == 20


def test_ended_runs_hold_no_links(telemetry: CapturedTelemetry) -> None:
    """Runs are remembered for a while for late nodes, but not the spans of all their nodes."""
    adapter = telemetry.adapter("d")
    driver_of(*map(numbered, range(3)), adapters=[adapter]).execute(["node_0", "node_1", "node_2"])
    assert [run.run.targets for run in adapter.recorder.runs.ended.values()] == [{}]


def test_definitions_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that makes ever new DAGs does not keep all their versions."""
    monkeypatch.setattr("hamilton_otel.logs.MAX_DEFINED", 3)
    provider = LoggerProvider(shutdown_on_exit=False)
    sink = LogSink(provider, "INFO")
    telemetry = CapturedTelemetry()
    adapter = telemetry.adapter("d")
    for number in range(10):
        driver_of(numbered(number, f"n{number}"), adapters=[adapter]).execute([f"n{number}"])
    for run in adapter.recorder.runs.ended.values():
        sink._define(run.run)
    assert len(sink._defined) <= 3
    telemetry.shutdown()
