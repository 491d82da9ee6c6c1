"""The fast path for the spans of nodes: what is exported is what the public API would have exported, or it is not used.

Scenarios run both ways; what is decoded of their OTLP output must be equal.
"""

import asyncio
import copy
import gc
import json
import logging
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import grpc
import hamilton_otel
import pandas as pd
import pytest
from hamilton import ad_hoc_utils, async_driver, driver
from hamilton.execution.executors import MultiThreadingExecutor, SynchronousLocalTaskExecutor
from hamilton.function_modifiers import check_output, save_to, tag
from hamilton.function_modifiers import value as hamilton_value
from hamilton.htypes import Collect, Parallelizable
from hamilton.lifecycle import GracefulErrorAdapter
from hamilton.plugins.h_threadpool import FutureAdapter
from hamilton_otel import current, fast_spans, health, links, semconv
from hamilton_otel.delivery import fast_exporters
from hamilton_otel.fast_spans import FastSpan
from hamilton_otel.log_bridges import RunContextProcessor
from hamilton_otel.settings import CapturePolicy
from hamilton_otel.span_ids import DerivedIds
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, sampling
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import INVALID_SPAN, SpanContext, Status, StatusCode

from tests.unit.conftest import run_python
from tests.unit.delivery.receiver import receiving
from tests.unit.paths import SETTING, Way, normalised, spans_in

Make = Callable[..., Way]
OTHER = SpanContext(0xA, 0xB, True)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Make]:
    """Make a way for spans; what is made ends with the test."""
    made: list[Way] = []

    def make(fast: bool = True, **options: Any) -> Way:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(Way(fast, directory, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def scenario_of(*functions: Callable[..., Any]) -> ModuleType:
    """Return *functions* as a Hamilton module, which has the same name both ways."""
    sys.modules.pop("scenario", None)
    made: ModuleType = ad_hoc_utils.create_temporary_module(*functions, module_name="scenario")
    return made


def execute(at: Way, *functions: Callable[..., Any], adapters: Iterable[Any] = (), **options: Any) -> Any:
    """Execute the last of *functions*."""
    adapter = at.adapter(**options)
    dr = driver.Builder().with_modules(scenario_of(*functions)).with_adapters(adapter, *adapters).build()
    return dr.execute([functions[-1].__name__], inputs={"start": 1})


def a(start: int) -> int:
    return start


def b(a: int) -> int:
    return a + 1


def c(a: int) -> int:
    return a + 2


def d(a: int, b: int, c: int) -> int:
    return a + b + c


def fails(b: int) -> int:
    raise ValueError("sécret=ü password=hunter2")


def interrupted(b: int) -> int:
    raise KeyboardInterrupt


def span() -> Any:
    return trace.get_current_span()


def fan_out(at: Way) -> None:
    nodes = {f"n{i}": f"def n{i}(a: int) -> int: return a" for i in range(120)}
    namespace: dict[str, Any] = {}
    for code in nodes.values():
        exec(code, namespace)
    exec(f"def last({', '.join(f'{name}: int' for name in nodes)}) -> int: return 1", namespace)
    execute(at, a, *(namespace[name] for name in nodes), namespace["last"])


def failure(at: Way) -> None:
    with pytest.raises(ValueError):
        execute(at, a, b, fails)


def cancelled(at: Way) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(at, a, b, interrupted)


def in_node(act: Callable[[Any], object]) -> Callable[[Way], None]:
    """Return a scenario in which a node does something with its span."""

    def scenario(at: Way) -> None:
        def b(a: int) -> int:
            act(span())
            return a

        execute(at, a, b, d_of_b)

    return scenario


def d_of_b(b: int) -> int:
    return b


def many_attributes(own: Any) -> None:
    for number in range(124):
        own.set_attribute(f"user.{number}", number)


def raises_into_span(own: Any) -> None:
    try:
        raise LookupError("not there")
    except LookupError as error:
        own.record_exception(error, {"more": 1}, escaped=True)


def as_context_manager(own: Any) -> None:
    with suppress(RuntimeError), own:
        raise RuntimeError("in a with block")


TOUCHES: dict[str, Callable[[Any], object]] = {
    "set_attribute": lambda own: own.set_attribute("user", 1),
    "set_attributes": lambda own: own.set_attributes(
        {"a": [1, 2], "b": ["x"], "c": b"raw", "d": 1.5, "e": True, "": 1}
    ),
    "many attributes": many_attributes,
    "annotate": lambda own: hamilton_otel.annotate(rows=3, text="x" * 3_000, password="hunter2", other=object),
    "add_event": lambda own: own.add_event("happened", {"k": "v"}, 2**60),
    "record_exception": raises_into_span,
    "error status": lambda own: own.set_status(StatusCode.ERROR, "said so"),
    "ok status": lambda own: own.set_status(Status(StatusCode.OK)),
    "update_name": lambda own: own.update_name("node renamed"),
    "add_link": lambda own: own.add_link(OTHER, {"why": "because"}),
    "ends": lambda own: own.end(),
    "ends at another time": lambda own: own.end(own.start_time),
    "as a context manager": as_context_manager,
    "looks": lambda own: (own.name, own.attributes, own.links, own.is_recording(), own.to_json()),
    "asks for its context": lambda own: (own.get_span_context(), own.is_recording()),
    "asks for what is not there": lambda own: hasattr(own, "nothing_like_this"),
}


def touched_later(at: Way) -> None:
    held: list[Any] = []

    def b(a: int) -> int:
        held.append(span())
        return a

    execute(at, a, b, d_of_b)
    (own,) = held
    assert not own.is_recording()
    own.set_attribute("too", "late")
    own.add_event("late")
    own.update_name("late")
    own.set_status(StatusCode.ERROR)
    own.end()


def children(at: Way) -> None:
    def b(a: int) -> int:
        with at.tracer.start_as_current_span("child", attributes={"x": 1}, links=[trace.Link(OTHER)]):
            at.tracer.start_span("grandchild").end()
        context = otel_context.get_current()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: at.tracer.start_span("in a thread", context).end()).result()
        return a

    execute(at, a, b, d_of_b)


def retries(at: Way) -> None:
    def b(a: int) -> int:
        hamilton_otel.record_retry(TimeoutError("again"))
        hamilton_otel.record_retry(TimeoutError("and again"))
        return a

    execute(at, a, b, d_of_b)


def cache(at: Way) -> None:
    for _ in range(2):
        builder = driver.Builder().with_modules(scenario_of(a, b, c, d)).with_adapters(at.adapter())
        assert builder.with_cache(path=str(at.directory)).build().execute(["d"], inputs={"start": 1}) == {"d": 6}


def count(start: int) -> int:
    return 3


def item(count: int) -> Parallelizable[int]:
    yield from range(count)


def squared(item: int, count: int) -> int:
    span().is_recording()
    return item * item


def shifted(squared: int, item: int) -> int:
    if item == 1:
        span().set_attribute("touched", True)
    return squared + 1


def total(shifted: Collect[int], count: int) -> int:
    return sum(shifted)


def tasks(executor: Callable[[], Any]) -> Callable[[Way], None]:
    def scenario(at: Way) -> None:
        builder = driver.Builder().enable_dynamic_execution(allow_experimental_mode=True)
        builder = builder.with_modules(scenario_of(count, item, squared, shifted, total))
        dr = builder.with_remote_executor(executor()).with_adapters(at.adapter()).build()
        assert dr.execute(["total"], inputs={"start": 1}) == {"total": 8}

    return scenario


def threads(at: Way) -> None:
    execute(at, a, b, c, d, adapters=[FutureAdapter()])


def asynchronously(at: Way) -> None:
    async def b(a: int) -> int:
        await asyncio.sleep(0)
        with at.tracer.start_as_current_span("child"):
            await asyncio.sleep(0)
        span().set_attribute("user", "async")
        return a

    async def c(a: int) -> int:
        await asyncio.sleep(0)
        return a

    async def main() -> None:
        adapters = hamilton_otel.async_adapters("d", **at.providers)
        dr = await async_driver.Builder().with_modules(scenario_of(a, b, c, d)).with_adapters(*adapters).build()
        await dr.execute(["d"], inputs={"start": 1})

    asyncio.run(main())


def nested(at: Way) -> None:
    def b(a: int) -> int:
        dr = driver.Builder().with_modules(scenario_of(a_inner, inner)).with_adapters(at.adapter("inside")).build()
        return int(dr.execute(["inner"], inputs={"start": 1})["inner"])

    execute(at, a, b, d_of_b)


def a_inner(start: int) -> int:
    return start


def inner(a_inner: int) -> int:
    hamilton_otel.annotate(where="inside")
    return a_inner


def graceful(at: Way) -> None:
    execute(at, a, b, fails, after_failure, adapters=[GracefulErrorAdapter(error_to_catch=ValueError)])


def after_failure(fails: int, a: int) -> int:
    return a


@tag(n="1", flag="true", text="ü\u2028\x00 𝄞", long="x" * 5_000, bad="\udcff", password="hunter2")
def ünicode(start: int) -> str:
    return "ü"


ünicode.__name__ = "ünicode_" + "x" * 300


def tags(at: Way) -> None:
    given = {"text": "ü", "n": 1, "f": 1.5, "flag": True, "big": 2**70, "none": None, "nan": float("nan"), "": "empty"}
    with hamilton_otel.run_tags(commit="abc"):
        execute(at, ünicode, tags=given)


def values(at: Way) -> None:
    execute(at, a, b, c, d, capture=CapturePolicy(values=True))


@save_to.pickle(path=hamilton_value("out.pickle"), output_name_="saved")
@check_output(data_type=int, importance="warn")
def table(start: int) -> pd.Series:
    return pd.Series([start, 2])


@save_to.json(path=hamilton_value("missing/out.json"), output_name_="not_saved")
def late(saved: dict, table: pd.Series) -> dict:  # type: ignore[type-arg]
    return {}


def roles(at: Way) -> None:
    dr = driver.Builder().with_modules(scenario_of(table, late)).with_adapters(at.adapter()).build()
    with pytest.raises(FileNotFoundError):
        dr.execute(["not_saved"], inputs={"start": 1})


def inputs(at: Way) -> None:
    dr = driver.Builder().with_modules(scenario_of(a, b, c, d)).with_adapters(at.adapter()).build()
    dr.execute(["d", "c"], inputs={"start": 1}, overrides={"b": 10})


def few_spans(at: Way) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAMILTON_OTEL_MAX_SPANS_PER_RUN", "2")
        execute(at, a, b, c, d)


def remote_parent(flags: str) -> Callable[[Way], None]:
    def scenario(at: Way) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRACEPARENT", f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}")
            patch.setenv("TRACESTATE", "vendor=value,other=1")
            execute(at, a, b, c, d)
            children(at)
            in_node(TOUCHES["add_link"])(at)

    return scenario


def twice(at: Way) -> None:
    dr = driver.Builder().with_modules(scenario_of(a, b, c, d)).with_adapters(at.adapter()).build()
    for start in (1, 2):
        dr.execute(["d"], inputs={"start": start})


def asynchronously_not_sampled(at: Way) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
        asynchronously(at)


SCENARIOS: dict[str, Callable[[Way], object]] = {
    "chain": lambda at: execute(at, a, b, d_of_b),
    "diamond": lambda at: execute(at, a, b, c, d),
    "fan-out": fan_out,
    "two runs": twice,
    "failure": failure,
    "cancelled": cancelled,
    **{f"user {name}": in_node(touch) for name, touch in TOUCHES.items()},
    "touched later": touched_later,
    "children": children,
    "retries": retries,
    "cache": cache,
    "tasks": tasks(SynchronousLocalTaskExecutor),
    "tasks in threads": tasks(lambda: MultiThreadingExecutor(3)),
    "threads": threads,
    "async": asynchronously,
    "nested": nested,
    "graceful": graceful,
    "tags": tags,
    "values": values,
    "checks and artifacts": roles,
    "inputs and overrides": inputs,
    "max spans": few_spans,
    "remote parent": remote_parent("01"),
    "remote parent, random": remote_parent("03"),
    "remote parent, not sampled": remote_parent("00"),
}


@pytest.fixture(autouse=True)
def swallowed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is counted anew, so that errors of the telemetry can be seen."""
    health.health.reset()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.filterwarnings("ignore")
def test_both_ways_export_the_same(way: Make, name: str) -> None:
    """Spans, links, events, status, attributes, child spans, durations and exemplars are equal, whatever happens."""
    fast, slow = (way(fast=fast).run(SCENARIOS[name]) for fast in (True, False))
    assert "FastSpan" not in slow.kinds
    assert (fast.kinds["FastSpan"] > 0) == ("not sampled" not in name)
    of_fast, of_slow = fast.normalised(), slow.normalised()
    assert of_fast[0] == of_slow[0]
    assert of_fast[1] == of_slow[1]
    assert bool(of_fast[0][0]) == ("not sampled" not in name)


def test_async_nodes_that_are_not_sampled_have_no_children_that_are(way: Make) -> None:
    """What a node of an async run makes belongs to the run's trace, so it is not sampled where the run is not."""
    fast, slow = (way(fast=fast).run(asynchronously_not_sampled) for fast in (True, False))
    assert fast.normalised() == slow.normalised()
    assert fast.spans() == []


@pytest.mark.parametrize(
    "sampler",
    [
        sampling.ALWAYS_ON,
        sampling.ALWAYS_OFF,
        sampling.DEFAULT_OFF,
        sampling.DEFAULT_ON,
        sampling.ParentBasedTraceIdRatio(0),
    ],
    ids=["always_on", "always_off", "parentbased_always_off", "parentbased_always_on", "parentbased_traceidratio"],
)
@pytest.mark.parametrize("name", ["diamond", "children", "async", "tasks", "nested", "remote parent, not sampled"])
def test_both_ways_sample_the_same(way: Make, name: str, sampler: sampling.Sampler) -> None:
    """Under every sampler that the fast path accepts, the same is sampled, and the durations are complete."""
    fast, slow = (way(fast=fast, sampler=sampler).run(SCENARIOS[name]) for fast in (True, False))
    assert fast.normalised() == slow.normalised()


class Foreign(SpanProcessor):
    """A processor that the application has added: it notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.told.append(f"{span.name} starts")

    def on_end(self, span: ReadableSpan) -> None:
        self.told.append(f"{span.name} ends")


class OtherSampler(sampling.Sampler):
    """A sampler of the application's own, which says something."""

    def should_sample(self, *args: Any, **options: Any) -> sampling.SamplingResult:
        given = options.get("attributes") or (args[4] if len(args) > 4 else None) or {}
        return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, {**given, "sampled": "by us"})

    def get_description(self) -> str:
        return "ours"


class OtherIds(DerivedIds):
    """Ids of the application's own."""

    def generate_span_id(self) -> int:
        return super().generate_span_id() | 1 << 63


FALLBACKS: dict[str, dict[str, Any]] = {
    "sampler": {"sampler": OtherSampler()},
    "parentbased sampler with others": {
        "sampler": sampling.ParentBased(sampling.ALWAYS_ON, local_parent_sampled=OtherSampler())
    },
    "recording without sampling": {"sampler": sampling.StaticSampler(sampling.Decision.RECORD_ONLY)},
    "few attributes": {"span_limits": SpanLimits(max_span_attributes=8)},
    "short attributes": {"span_limits": SpanLimits(max_span_attribute_length=50)},
    "attributes as long as what we shorten": {"span_limits": SpanLimits(max_span_attribute_length=1_000)},
    "few links": {"span_limits": SpanLimits(max_links=1)},
    "random ids": {"id_generator": RandomIdGenerator()},
    "other derived ids": {"id_generator": OtherIds()},
}


def kind_of_node_span(at: Way) -> type:
    """Return the type of the span that is current in a node."""
    kinds: list[type] = []

    def b(a: int) -> int:
        kinds.append(type(span()))
        return a

    at.run(lambda at: execute(at, a, b, d_of_b))
    return kinds[-1]


@pytest.mark.parametrize("name", FALLBACKS)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_proven_takes_the_public_api(way: Make, name: str) -> None:
    """With another sampler, low limits or other ids, spans are the SDK's, and what is exported is unchanged."""
    fast, slow = (way(fast=fast, **FALLBACKS[name]) for fast in (True, False))
    assert kind_of_node_span(fast) is not FastSpan
    assert kind_of_node_span(slow) is not FastSpan
    for one in (fast, slow):
        one.run(tags)
        one.run(fan_out)
    assert fast.normalised() == slow.normalised()


def test_by_default_the_fast_path_is_taken(way: Make) -> None:
    """With our providers and nothing set, spans of nodes are fast; with the setting false they are not."""
    assert kind_of_node_span(way()) is FastSpan
    assert kind_of_node_span(way(fast=False)) is not FastSpan


@pytest.mark.parametrize("value", ["true", "TRUE", " true "])
def test_the_sdks_metrics_of_itself_take_the_public_api(way: Make, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Where the SDK is to count its spans, it has to make them."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", value)
    assert kind_of_node_span(way()) is not FastSpan


def test_an_unproven_version_of_the_sdk_takes_the_public_api(way: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that the tests have not compared gets no fast spans, nor our encoding."""
    monkeypatch.setattr(fast_spans, "SDK_VERSION", "99.0.0")
    assert kind_of_node_span(way()) is not FastSpan


def test_a_processor_added_between_two_runs_hears_of_the_next(way: Make) -> None:
    """A foreign processor is told of every span from the next run on, as by the SDK."""
    at = way()
    assert kind_of_node_span(at) is FastSpan
    foreign = Foreign()
    at.tracer_provider.add_span_processor(foreign)
    assert kind_of_node_span(at) is not FastSpan
    nodes = ["node a", "node b", "node d_of_b"]
    assert foreign.told == [
        "run d starts", *[f"{node} {what}" for node in nodes for what in ("starts", "ends")], "run d ends",
    ]  # fmt: skip


def test_a_processor_added_while_a_run_goes_on_hears_of_spans_that_are_touched(way: Make) -> None:
    """What a foreign processor hears of that run is in order; the export is complete and holds each span once."""
    at, foreign = way(), Foreign()

    def b(a: int) -> int:
        at.tracer_provider.add_span_processor(foreign)
        span().set_attribute("touched", True)
        return a

    at.run(lambda at: execute(at, a, b, d_of_b))
    assert sorted(span.name for span in at.spans()) == ["node a", "node b", "node d_of_b", "run d"]
    assert foreign.told[0] == "node b ends"


def test_a_processor_of_another_kind_takes_the_public_api(way: Make) -> None:
    """A provider whose processors are not all our queues gets spans of the SDK."""
    at = way()
    at.tracer_provider.add_span_processor(Foreign())
    assert kind_of_node_span(at) is not FastSpan


@contextmanager
def a_node(at: Way, sampled_span: list[Any] | None = None) -> Iterator[Any]:
    """Run a node in another thread that waits until the block ends; its span is what the block gets."""
    entered, leave, held = threading.Event(), threading.Event(), []

    def b(a: int) -> int:
        held.append(span())
        entered.set()
        assert leave.wait(20)
        return a

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(at.run, lambda at: execute(at, a, b, d_of_b))
        assert entered.wait(20)
        try:
            yield held[0]
        finally:
            leave.set()
            done.result(20)


def public(of: Any) -> dict[str, Any]:
    """Return what the public methods and properties of a span say, without ids and times."""
    found: dict[str, Any] = {}
    for name in sorted({name for name in dir(type(of)) if not name.startswith("_")} & set(dir(Span))):
        value = getattr(of, name) if name != "instrumentation_info" else None
        found[name] = "method" if callable(value) else value
    found["recording"] = of.is_recording()
    found["json"] = sorted(json.loads(of.to_json()))
    found["same context"] = of.context == of.get_span_context()
    for name in ("context", "parent", "start_time", "end_time"):
        found[name] = type(found[name]).__name__
    found["attributes"] = {**found["attributes"], semconv.RUN_ID: ""}
    found["links"] = [(link.context.trace_state, link.context.trace_flags, link.attributes) for link in found["links"]]
    return found


@pytest.mark.parametrize("traced", [False, True], ids=["a root", "with a remote parent"])
def test_a_fast_span_is_a_span(way: Make, monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    """Whoever asks finds the type, methods and values of a span of the SDK, while it goes on and when it has ended."""
    if traced:
        monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03")
        monkeypatch.setenv("TRACESTATE", "vendor=value")
    before, after = [], []
    for fast in (True, False):
        with a_node(way(fast=fast)) as own:
            assert isinstance(own, Span)
            assert isinstance(own, ReadableSpan)
            assert isinstance(own, trace.Span)
            before.append(public(own))
        after.append(public(own))
    assert before[0] == before[1]
    assert after[0] == after[1]


def test_a_fast_span_that_nobody_touched_says_the_same_when_it_has_ended(way: Make) -> None:
    """A span that is looked at only after its end has all that the SDK's has."""
    found = []
    for fast in (True, False):
        with a_node(way(fast=fast)) as own:
            pass
        found.append(public(own))
    assert found[0] == found[1]


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_fast_span_does_not_have_is_missing(way: Make, ended: bool) -> None:
    """Unknown names raise AttributeError, also in copies; known ones do not."""
    with a_node(way()) as own:
        if not ended:
            assert not hasattr(own, "nothing_like_this")
            assert not hasattr(own, "__nothing__")
    for one in (own, copy.copy(own)):
        with pytest.raises(AttributeError, match="nothing_like_this"):
            _ = one.nothing_like_this
    with pytest.raises(TypeError):
        pickle.dumps(own)


def test_a_copy_says_the_same(way: Make) -> None:
    """`copy.copy` of a span that nobody has touched gives a span, as with the SDK."""
    with a_node(way()) as own:
        twin = copy.copy(own)
        assert (twin.name, twin.get_span_context()) == (own.name, own.get_span_context())
        assert dict(twin.attributes) == dict(own.attributes)


def test_many_threads_touch_a_span_at_once(way: Make) -> None:
    """What each of eight threads sets is exported, once."""
    at = way()
    with a_node(at) as own:
        together = threading.Barrier(8)

        def touch(number: int) -> None:
            together.wait(20)
            own.set_attribute(f"user.{number}", number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(touch, range(8)))
    (found,) = [span for span in at.spans() if span.name == "node b"]
    assert {item.key for item in found.attributes if item.key.startswith("user.")} == {f"user.{n}" for n in range(8)}


def test_a_span_that_is_touched_while_it_ends_is_exported_once_and_has_ended(way: Make) -> None:
    """Whoever wins, each span is exported once, and does not record afterwards."""
    at, stop = way(), threading.Event()
    spans: list[Any] = []

    def touches() -> None:
        seen = 0
        while not stop.is_set() or seen < len(spans):
            if seen < len(spans):
                spans[seen].set_attribute("user", 1)
                seen += 1

    def made(number: int) -> Callable[[int], int]:
        def node(a: int) -> int:
            spans.append(span())
            return a

        node.__name__ = f"n{number}"
        return node

    nodes = [made(number) for number in range(300)]
    dr = driver.Builder().with_modules(scenario_of(a, *nodes)).with_adapters(at.adapter()).build()
    toucher = threading.Thread(target=touches)
    toucher.start()
    at.run(lambda at: dr.execute([node.__name__ for node in nodes], inputs={"start": 1}))
    stop.set()
    toucher.join(20)
    names = [found.name for found in at.spans() if found.name.startswith("node n")]
    assert sorted(names) == sorted({f"node n{number}" for number in range(300)})
    assert not any(one.is_recording() for one in spans)


class Touching(dict[str, Any]):
    """A result summary during whose making another hand touches the span, as another thread may at that moment."""


@pytest.mark.parametrize("moment", ["summary", "remember"])
def test_a_span_that_becomes_full_while_it_ends_keeps_what_was_set(
    way: Make, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """What is set before the span has ended is exported, even where that has begun to end."""
    at, held = way(), []

    def b(a: int) -> int:
        held.append(span())
        return a

    def touch(original: Callable[..., Any]) -> Callable[..., Any]:
        def touching(*arguments: Any) -> Any:
            if held and held[0].is_recording():
                held[0].set_attribute("user", 1)
            return original(*arguments)

        return touching

    if moment == "summary":
        monkeypatch.setattr(
            "hamilton_otel.events.NodeExecution.summary", touch(hamilton_otel.events.NodeExecution.summary)
        )
    else:
        monkeypatch.setattr("hamilton_otel.links.remember", touch(hamilton_otel.links.remember))
    at.run(lambda at: execute(at, a, b, d_of_b))
    (found,) = [span for span in at.spans() if span.name == "node b"]
    assert not held[0].is_recording()
    if moment == "summary":
        assert "user" in {item.key for item in found.attributes}


def test_a_span_that_ends_while_another_thread_makes_it_whole_has_ended(
    way: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is not lost on the one who looked at it meanwhile, and it is exported once."""
    at = way()
    begun, ended = threading.Event(), threading.Event()
    make = links.as_links

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert ended.wait(20)
        return make(*arguments)

    with ThreadPoolExecutor(1) as pool:
        with a_node(at) as own:
            monkeypatch.setattr(links, "as_links", slowly)
            touched = pool.submit(own.set_attribute, "user", 1)
            assert begun.wait(20)
        ended.set()
        touched.result(20)
    assert not own.is_recording()
    assert own.attributes[semconv.OUTCOME] == "success"
    own.end()
    at.run(lambda at: None)
    assert [span.name for span in at.spans()].count("node b") == 1


def test_a_forked_process_can_touch_a_span_while_another_thread_of_its_parent_did(way: Make) -> None:
    """The lock under which a span becomes whole does not stay held in a child."""
    with a_node(way()) as own, own.spans.path.lock:
        got: list[int] = []

        def forks() -> None:
            child = os.fork()
            if child == 0:
                threading.Timer(5, lambda: os._exit(1)).start()
                own.set_attribute("in", "child")
                os._exit(0)
            got.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        forker = threading.Thread(target=forks)
        forker.start()
        forker.join(20)
    assert got == [0]


def test_no_reference_cycles_are_left(way: Make) -> None:
    """What runs leave is freed without the garbage collector."""
    at = way()
    dr = driver.Builder().with_modules(scenario_of(a, b, c, d)).with_adapters(at.adapter()).build()

    def run(at: Way) -> None:
        for _ in range(20):
            dr.execute(["d"], inputs={"start": 1})

    at.run(run)
    at.metrics()
    at.requests.clear()
    gc.collect()
    gc.disable()
    try:
        at.run(run)
        at.metrics()
        at.requests.clear()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [found for found in gc.garbage if type(found).__module__.startswith(("hamilton_otel", "opentelemetry"))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert [type(found).__name__ for found in ours] == []


class Data:
    """Something of the user's that is large."""


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_queued_spans_and_waiting_durations_do_not_hold_what_nodes_made(way: Make, touched: bool, fails: bool) -> None:
    """Inputs and results are freed when the run has ended, whatever is not exported yet."""
    at = way()
    at.queue.outlet._send = lambda batch: False
    known: list[weakref.ref[Any]] = []

    def made(start: int) -> Data:
        data = Data()
        known.append(weakref.ref(data))
        return data

    def read(made: Data) -> Data:
        data = Data()
        known.append(weakref.ref(data))
        if touched:
            span().set_attribute("user", 1)
        if fails:
            raise ValueError("no")
        return data

    def run(at: Way) -> None:
        dr = driver.Builder().with_modules(scenario_of(made, read)).with_adapters(at.adapter()).build()
        with suppress(ValueError):
            dr.execute(["read"], inputs={"start": 1})

    logging.disable()  # pytest keeps what is logged
    run(at)
    logging.disable(logging.NOTSET)
    gc.collect()
    assert len(known) == 2
    assert [found() for found in known] == [None, None]


def logs_of() -> tuple[InMemoryLogRecordExporter, LoggerProvider]:
    kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(RunContextProcessor())
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    return kept, provider


UNSEEN: dict[str, dict[str, Any]] = {
    "metrics only": {},
    "sampled out": {"sampler": sampling.ALWAYS_OFF},
    "with a span": {},
    "custom sampler": {"sampler": OtherSampler()},
}


def unseen(way: Make, name: str) -> Way:
    at = way(**UNSEEN[name])
    if name == "metrics only":
        del at.providers["tracer_provider"]
    return at


@pytest.mark.parametrize("name", UNSEEN)
def test_a_node_is_known_to_what_runs_in_it_with_or_without_a_span(way: Make, name: str) -> None:
    """Log records and retries belong to the node, in nested runs and in threads that inherit the context too."""
    at = unseen(way, name)
    kept, provider = logs_of()
    logger = provider.get_logger("users")
    said: list[str] = []

    def say(body: str) -> None:
        logger.emit(LogRecord(body=body, context=otel_context.get_current()))
        said.append(body)
        hamilton_otel.annotate(said=body)

    def inside(start: int) -> int:
        say("inside")
        return start

    def b(a: int) -> int:
        import contextvars

        say("before")
        inner = driver.Builder().with_modules(scenario_of(inside)).with_adapters(at.adapter("inner")).build()
        inner.execute(["inside"], inputs={"start": 1})
        say("after")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, say, "in a thread").result()
            pool.submit(say, "in a thread without context").result()
        with at.tracer.start_as_current_span("child"):
            say("in a child")
        hamilton_otel.record_retry(TimeoutError())
        return a

    at.run(lambda at: execute(at, a, b, d_of_b))
    say("outside")
    found = {
        data.log_record.body: (data.log_record.attributes or {}).get(semconv.NODE_NAME)
        for data in kept.get_finished_logs()
    }
    assert found == {
        "before": "b",
        "inside": "inside",
        "after": "b",
        "in a thread": "b",
        "in a thread without context": None,
        "in a child": "b",
        "outside": None,
    }
    (retried,) = [
        point
        for request in at.metrics()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "hamilton.node.retries"
        for point in metric.sum.data_points
    ]
    assert retried.as_int == 1
    assert current.execution() is None
    assert span() is INVALID_SPAN


@pytest.mark.parametrize("name", UNSEEN)
def test_what_carries_the_trace_carries_the_node(way: Make, name: str) -> None:
    """A thread that is given only OpenTelemetry's context (as its instrumentation of threads does) knows the node."""
    at = unseen(way, name)
    found: list[Any] = []

    def b(a: int) -> int:
        context = otel_context.get_current()

        def work() -> None:
            token = otel_context.attach(context)
            node = current.node()
            found.append(node and node.info.name)
            otel_context.detach(token)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()
        return a

    at.run(lambda at: execute(at, a, b, d_of_b))
    assert found == ["b"]


PROGRAM = """
import sys
from hamilton import driver
from hamilton.execution.executors import MultiProcessingExecutor
import hamilton_otel
from opentelemetry import trace
from tests.unit import parallel_dag, plain_dag

if __name__ == "__main__":
    hamilton_otel.configure(exit_timeout=20)
    plain = driver.Builder().with_modules(plain_dag).with_adapters(hamilton_otel.TelemetryAdapter("plain")).build()
    plain.execute(["c"], inputs={"start": 1})
    try:
        plain.execute(["c"], inputs={"start": 1, "fail": True})
    except ValueError:
        pass
    if "plain" in sys.argv:  # gRPC does not get on with processes that fork
        sys.exit()
    builder = driver.Builder().enable_dynamic_execution(allow_experimental_mode=True).with_modules(parallel_dag)
    builder = builder.with_remote_executor(MultiProcessingExecutor(2))
    builder.with_adapters(hamilton_otel.TelemetryAdapter("parallel")).build().execute(["total"], inputs={"start": 3})
"""


@contextmanager
def receiving_grpc() -> Iterator[tuple[str, list[Any]]]:
    """Stand in for a Collector that speaks gRPC."""
    requests: list[Any] = []
    kinds: dict[str, Any] = {"Trace": ExportTraceServiceRequest, "Metrics": ExportMetricsServiceRequest}

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            called = handler_call_details.method

            def accept(request: bytes, context: Any) -> bytes:
                for name, kind in kinds.items():
                    if f"{name}Service" in called:
                        requests.append(kind.FromString(request))
                return ExportTraceServiceResponse().SerializeToString()

            return grpc.unary_unary_rpc_method_handler(accept)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://localhost:{port}", requests
    finally:
        server.stop(None).wait()


def test_configured_processes_deliver_the_same(tmp_path: Path) -> None:
    """Over HTTP and gRPC, with worker processes, a receiver gets the same from fast spans as from the public API."""

    def run(directory: str, fast: bool, url: str, protocol: str) -> None:
        (tmp_path / directory).mkdir()
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            SETTING: str(fast).lower(),
        }
        done = run_python(PROGRAM, tmp_path / directory, *(["plain"] if protocol == "grpc" else []), **environment)
        assert done.returncode == 0, done.stderr

    with receiving() as slow, receiving() as fast, receiving_grpc() as (url, over_grpc), ThreadPoolExecutor(3) as pool:
        list(
            pool.map(
                lambda given: run(*given),
                [
                    ("slow", False, slow.url, "http/protobuf"),
                    ("fast", True, fast.url, "http/protobuf"),
                    ("grpc", True, url, "grpc"),
                ],
            )
        )
        found = []
        for requests in ([given for _, given in slow.accepted], [given for _, given in fast.accepted], over_grpc):
            spans = [request for request in requests if isinstance(request, ExportTraceServiceRequest)]
            metrics = [request for request in requests if isinstance(request, ExportMetricsServiceRequest)]
            found.append(normalised(spans, metrics))
    (spans, origins), durations = found[0]
    assert found[1][0][0] == spans
    assert found[1][0][1] == origins
    assert found[1][1] == durations
    assert len(spans) == 2 * 4 + 16
    plain = [span for span in spans if " > run plain" in span["path"]]
    assert found[2] == ((plain, origins), [point for point in durations if "plain" in point[0]])


class Client:
    """Stands in for the exporter's HTTP client: it keeps what it is to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def export(self, serialized: bytes) -> Any:
        self.sent.append(serialized)
        return SimpleNamespace(success=True, error=None)

    def shutdown(self) -> None: ...


def test_our_exporter_leaves_to_its_base_what_it_can(way: Make) -> None:
    """Batches without a fast span, and all after its shutdown, take the way of OpenTelemetry's exporter."""
    exporter = fast_exporters.fast_exporter(OTLPSpanExporter)(endpoint="http://127.0.0.1:9")
    exporter._client = client = Client()
    at = way()
    at.queue.outlet._send = lambda batch: exporter.export(batch).name == "SUCCESS"
    at.run(lambda at: execute(at, a, b))
    assert [span.name for span in spans_in(map(ExportTraceServiceRequest.FromString, client.sent))] != []
    sent = len(client.sent)
    exporter._max_request_size = 1
    with a_node(way(fast=False)) as slow:
        pass
    assert exporter.export([slow]).name == "FAILURE"
    exporter.shutdown()
    with a_node(way()) as fast:
        pass
    assert exporter.export([fast]).name == "FAILURE"
    assert len(client.sent) == sent


@pytest.mark.parametrize("version", ["SDK_VERSION", "opentelemetry.exporter.otlp.proto.http.version.__version__"])
def test_exporters_of_an_unproven_version_are_left_alone(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Our exporters replace methods of theirs, so only with versions for which that is proven."""
    assert fast_exporters.fast_exporter(OTLPSpanExporter) is not OTLPSpanExporter
    if version == "SDK_VERSION":
        monkeypatch.setattr(fast_exporters, version, "99.0.0")
    else:
        monkeypatch.setattr(version, "99.0.0")
    assert fast_exporters.fast_exporter(OTLPSpanExporter) is OTLPSpanExporter
    assert fast_exporters.fast_exporter(ConsoleSpanExporter) is ConsoleSpanExporter
