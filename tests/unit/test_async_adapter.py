"""The async driver: true timings, one trace for each run, and the context inside the body."""

import asyncio
from collections.abc import Callable
from typing import Any

import hamilton_otel
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hamilton import async_driver
from hamilton_otel import current
from hamilton_otel.testing import CapturedTelemetry
from opentelemetry import trace

from tests.unit.conftest import module_of
from tests.unit.trees import from_memory, tree

PAUSE = 0.05


async def build(telemetry: CapturedTelemetry, *functions: Callable[..., Any]) -> async_driver.AsyncDriver:
    builder = async_driver.Builder().with_modules(module_of(*functions))
    return await builder.with_adapters(*telemetry.async_adapters("flow")).build()


async def first(start: int) -> int:
    await asyncio.sleep(PAUSE)
    return start


async def second(first: int) -> int:
    await asyncio.sleep(PAUSE)
    return first + 1


def plain(second: int) -> int:
    return second * 2


async def bad(first: int) -> int:
    raise ValueError("no")


def test_spans_cover_the_bodies_and_not_the_waits(telemetry: CapturedTelemetry) -> None:
    """A node's span begins when its inputs are there and lasts as long as its body; links lead to its inputs."""

    async def main() -> Any:
        dr = await build(telemetry, first, second, plain)
        return await dr.execute(["plain"], inputs={"start": 1})

    assert asyncio.run(main()) == {"plain": 4}
    spans = {span.name: span for span in from_memory(telemetry.spans)}
    assert tree(list(spans.values())) == [
        "run flow",
        "run flow > node first",
        "run flow > node plain",
        "run flow > node second",
    ]
    for name in ("node first", "node second"):
        assert PAUSE <= (spans[name].end - spans[name].start) / 1e9 < 20 * PAUSE
    assert spans["node second"].start >= spans["node first"].end
    assert spans["node second"].links == (spans["node first"].id,)
    assert telemetry.points("hamilton.node.duration")


def test_spans_made_in_a_body_are_its_children(telemetry: CapturedTelemetry) -> None:
    """What a library records inside a coroutine node belongs to that node, also after an await."""
    tracer = telemetry.tracer_provider.get_tracer("library")

    async def fetches(start: int) -> int:
        with tracer.start_as_current_span("before"):
            await asyncio.sleep(0)
        with tracer.start_as_current_span("after"):
            hamilton_otel.annotate(rows=1)
        hamilton_otel.annotate(rows=2)
        return start

    async def main() -> None:
        await (await build(telemetry, fetches)).execute(["fetches"], inputs={"start": 1})

    asyncio.run(main())
    assert tree(from_memory(telemetry.spans)) == [
        "run flow",
        "run flow > node fetches",
        "run flow > node fetches > after",
        "run flow > node fetches > before",
    ]
    assert (telemetry.span("node fetches").attributes or {})["rows"] == 2


def test_concurrent_runs_in_one_loop_do_not_mix(telemetry: CapturedTelemetry) -> None:
    """Ten runs of one driver at once are ten traces, each whole; afterwards nothing is current or open."""

    async def main() -> None:
        dr = await build(telemetry, first, second, plain)
        await asyncio.gather(*(dr.execute(["plain"], inputs={"start": number}) for number in range(10)))
        assert current.execution() is None
        assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(main())
    spans = from_memory(telemetry.spans)
    traces = {span.trace for span in spans}
    assert len(traces) == 10
    for one in traces:
        assert len(tree([span for span in spans if span.trace == one])) == 4


def test_a_failure_is_on_the_failing_node_and_the_run_alone(telemetry: CapturedTelemetry) -> None:
    """The user sees their own exception; the node that raised and the run are failures, the node before is not."""

    async def main() -> None:
        await (await build(telemetry, first, bad)).execute(["bad"], inputs={"start": 1})

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    outcomes = {span.name: (span.attributes or {})["hamilton.outcome"] for span in telemetry.spans}
    assert outcomes == {"node first": "success", "node bad": "failure", "run flow": "failure"}


def test_cancellation_is_cancelled(telemetry: CapturedTelemetry) -> None:
    """A run that is cancelled while a node waits is `cancelled`, and so is that node."""

    async def main() -> None:
        begun = asyncio.Event()

        async def endless(start: int) -> int:
            begun.set()
            await asyncio.sleep(60)
            return start

        dr = await build(telemetry, endless)
        task = asyncio.create_task(dr.execute(["endless"], inputs={"start": 1}))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(main())
    outcomes = {span.name: (span.attributes or {})["hamilton.outcome"] for span in telemetry.spans}
    assert outcomes == {"node endless": "cancelled", "run flow": "cancelled"}
    assert len(telemetry.events("hamilton.run.cancelled")) == 1


def test_a_sibling_that_outlives_its_failed_run_ends_as_itself(telemetry: CapturedTelemetry) -> None:
    """A coroutine that goes on after its run has failed has its own outcome."""

    async def lasting(start: int) -> int:
        await asyncio.sleep(PAUSE)
        return start

    async def quick(start: int) -> int:
        raise ValueError("quick")

    async def main() -> None:
        dr = await build(telemetry, lasting, quick)
        with pytest.raises(ValueError, match="quick"):
            await dr.execute(["quick", "lasting"], inputs={"start": 1})
        await asyncio.sleep(3 * PAUSE)

    asyncio.run(main())
    outcomes = {span.name: (span.attributes or {})["hamilton.outcome"] for span in telemetry.spans}
    assert outcomes == {"node lasting": "success", "node quick": "failure", "run flow": "failure"}


def test_a_run_nests_under_the_request_that_it_serves(telemetry: CapturedTelemetry) -> None:
    """In a FastAPI handler, the run is a child of the span of the request."""
    app = FastAPI()
    tracer = telemetry.tracer_provider.get_tracer("server")

    @app.get("/")
    async def handler() -> Any:
        dr = await build(telemetry, first)
        return await dr.execute(["first"], inputs={"start": 1})

    @app.middleware("http")
    async def traced(request: Any, call_next: Any) -> Any:
        with hamilton_otel.propagation.incoming(request.headers), tracer.start_as_current_span("GET /"):
            return await call_next(request)

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with TestClient(app) as client:
        assert client.get("/", headers={"traceparent": parent}).json() == {"first": 1}
    request = telemetry.span("GET /")
    run = telemetry.span("run flow")
    assert run.parent is not None
    assert run.parent.span_id == request.context.span_id
    assert f"{run.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


def test_without_a_tracer_nodes_are_still_counted() -> None:
    """Where the application has metrics alone, the async driver's nodes are measured all the same."""
    telemetry = CapturedTelemetry()

    async def main() -> Any:
        adapters = hamilton_otel.async_adapters("flow", meter_provider=telemetry.meter_provider)
        builder = async_driver.Builder().with_modules(module_of(first, second))
        dr = await builder.with_adapters(*adapters).build()
        return await dr.execute(["second"], inputs={"start": 1})

    assert asyncio.run(main()) == {"second": 2}
    assert sum(telemetry.points("hamilton.node.duration").values()) == 2
    telemetry.shutdown()
