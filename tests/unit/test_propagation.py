import json
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hamilton_otel import propagation
from hamilton_otel.guard import guard
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = f"00-{TRACE}-{SPAN}-01"


def value(start: int) -> int:
    return start


def run_and_parent(telemetry: CapturedTelemetry) -> tuple[str, str | None]:
    driver_of(value, adapters=[telemetry.adapter("d")]).execute(["value"], inputs={"start": 1})
    span = telemetry.span("run d")
    return f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}" if span.parent else None


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": W3C},
        {"Traceparent": W3C},
        [("traceparent", W3C.encode())],
        {"b3": f"{TRACE}-{SPAN}-1"},
        {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": "1"},
    ],
    ids=["w3c", "title case", "kafka", "b3", "b3 multi"],
)
def test_a_run_continues_the_trace_of_a_message(telemetry: CapturedTelemetry, headers: Any) -> None:
    """W3C and B3 headers, as a mapping or as Kafka's list of byte pairs, make the sender's span the run's parent."""
    with propagation.incoming(headers):
        assert run_and_parent(telemetry) == (TRACE, SPAN)


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, [("traceparent", b"\xff")], [None]])
def test_headers_without_a_trace_change_nothing(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch, headers: Any
) -> None:
    """Missing and malformed headers leave the run a root."""
    monkeypatch.setattr(guard, "reraise", False)
    with propagation.incoming(headers):
        assert run_and_parent(telemetry)[1] is None


def test_a_run_continues_the_trace_of_the_environment(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRACEPARENT names the parent where no span is current; a current span wins."""
    monkeypatch.setenv("TRACEPARENT", W3C)
    assert run_and_parent(telemetry) == (TRACE, SPAN)


def test_a_current_span_wins_over_the_environment(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program itself has made current is nearer than its environment."""
    monkeypatch.setenv("TRACEPARENT", W3C)
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request") as request:
        assert run_and_parent(telemetry)[1] == f"{request.get_span_context().span_id:016x}"


def test_a_node_hands_its_trace_on(telemetry: CapturedTelemetry) -> None:
    """`inject()` fills a message's headers, `environment()` a child process's variables, with the node's span."""
    seen: dict[str, Any] = {}

    def sends(start: int) -> int:
        seen["headers"] = propagation.inject()
        code = "import json, os; print(json.dumps(os.environ.get('TRACEPARENT')))"
        child = {**os.environ, **propagation.environment()}
        done = subprocess.run([sys.executable, "-c", code], env=child, capture_output=True, text=True, check=True)
        seen["child"] = json.loads(done.stdout)
        return start

    driver_of(sends, adapters=[telemetry.adapter("d")]).execute(["sends"], inputs={"start": 1})
    context = telemetry.span("node sends").context
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    assert seen == {"headers": {"traceparent": expected}, "child": expected}


def test_a_carried_run_is_small(telemetry: CapturedTelemetry) -> None:
    """What travels to a worker with each task is a few hundred bytes."""
    adapter = telemetry.adapter("sums", {"team": "ops"})
    sizes: list[int] = []

    def looks(start: int) -> int:
        sizes.append(len(pickle.dumps(adapter)))
        return start

    driver_of(looks, adapters=[adapter]).execute(["looks"], inputs={"start": 1})
    assert sizes[0] < 700
