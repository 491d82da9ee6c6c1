"""What our encoding of fast spans says is what OpenTelemetry's own says of the same spans."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hamilton_otel import limits, semconv, span_json
from hamilton_otel.capture import DEFAULT, Capture
from hamilton_otel.dag import Dag, NodeInfo
from hamilton_otel.fast_spans import FastSpan, NodeSpans, fast_path
from hamilton_otel.settings import CapturePolicy
from hamilton_otel.span_encoding import encode
from hamilton_otel.span_ids import DerivedIds
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common import trace_encoder as json_encoder
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, TraceState

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.just("x" * 20_000)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUES, max_size=20)
SUMMARIES = st.dictionaries(TEXT.filter(bool), TEXT | st.integers(0, 2**63 - 1), max_size=5)
IDS = st.integers(1, 2**64 - 1)
TRACES = st.integers(1, 2**128 - 1)
TIMES = st.integers(1, 2**62)
STATES = st.sampled_from([TraceState(), TraceState([("vendor", "value"), ("other", "1")])])


def provider_of(resource: Resource | None = None) -> TracerProvider:
    return TracerProvider(
        sampler=sampling.ALWAYS_ON,
        resource=resource or Resource({"service.name": "s", "n": 1}, "https://example.org/1"),
        id_generator=DerivedIds(),
        span_limits=limits.span_limits(),
        shutdown_on_exit=False,
    )


PROVIDER = provider_of()


def spans_of(
    parent: SpanContext, targets: Any = None, task_id: str | None = None, of: TracerProvider = PROVIDER
) -> NodeSpans:
    """Return what makes the spans of a run, or of a task in it, below *parent*."""
    tracer = of.get_tracer(semconv.SCOPE, "1.0", "https://example.org/2", {"scope": "x"})
    around = SimpleNamespace(span=NonRecordingSpan(parent), id=task_id)
    run: Any = SimpleNamespace(
        id="run-id",
        dag=Dag("d", "v" * 64, {}),
        targets={} if targets is None else targets,
        capture=DEFAULT,
        span=around.span,
    )
    path = fast_path(tracer)
    assert path is not None
    return path.of(run if task_id is None else around, run)  # type: ignore[arg-type]


def span_of(
    spans: NodeSpans,
    info: NodeInfo,
    summary: dict[str, Any] | None = None,
    started_at: int = 10**18,
    duration: int = 0,
    cache_result: str | None = None,
) -> FastSpan:
    """Return the span of a node that has ended."""
    node: Any = SimpleNamespace(
        info=info,
        started_at=started_at,
        duration=duration,
        outcome="success",
        cache_result=cache_result,
        summary=lambda: summary or {},
        span=None,
    )
    assert spans.start(node)
    assert node.span.finish(node)
    assert type(node.span) is FastSpan
    return node.span


def info_of(attributes: dict[str, Any] | None = None, dependencies: Sequence[str] = (), name: str = "n") -> NodeInfo:
    return NodeInfo(name, f"node {name}", None, "int", {}, False, tuple(dependencies), attributes or {})


def sorted_json(found: Any) -> Any:
    """Return *found* with its attributes in order."""
    if isinstance(found, list):
        return [sorted_json(item) for item in found]
    if not isinstance(found, dict):
        return found
    ordered = {key: sorted_json(value) for key, value in found.items()}
    if "attributes" in ordered:
        ordered["attributes"].sort(key=lambda item: item["key"])
    return ordered


def assert_equal(spans: Sequence[FastSpan]) -> None:
    """Compare what both say, message by message; OpenTelemetry's comes last, because it touches the spans."""
    ours = ExportTraceServiceRequest.FromString(encode(spans))
    ours_in_json = json.loads(span_json.encode(spans))
    assert not any(span.is_full for span in spans)
    assert sorted_json(ours_in_json) == sorted_json(json.loads(json.dumps(json_encoder.encode_spans(spans).to_dict())))
    theirs = encode_spans(spans)
    for request in (ours, theirs):
        for found in [found for r in request.resource_spans for s in r.scope_spans for found in s.spans]:
            found.attributes.sort(key=lambda item: item.key)
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


@settings(max_examples=60, deadline=None)
@given(
    name=TEXT,
    constant=ATTRIBUTES,
    summary=SUMMARIES,
    started_at=TIMES,
    duration=st.integers(0, 2**62),
    cache_result=st.sampled_from([None, "hit", "miss"]),
    task_id=st.none() | TEXT,
)
def test_attributes_names_and_times_are_encoded_alike(
    name: str,
    constant: dict[str, Any],
    summary: dict[str, Any],
    started_at: int,
    duration: int,
    cache_result: str | None,
    task_id: str | None,
) -> None:
    """Any name, attributes, times, task and result of the cache."""
    constant = {f"c.{key}": value for key, value in constant.items()}
    summary = {f"s.{key}": value for key, value in summary.items()}
    spans = spans_of(SpanContext(5, 6, False, TraceFlags(1)), task_id=task_id)
    assert_equal([span_of(spans, info_of(constant, name=name), summary, started_at, duration, cache_result)])


@settings(max_examples=60, deadline=None)
@given(
    trace_id=TRACES,
    span_id=IDS,
    is_remote=st.booleans(),
    flags=st.integers(0, 255),
    state=STATES,
    local=st.lists(IDS, max_size=120),
    remote=st.lists(IDS, max_size=5),
)
def test_parents_and_links_are_encoded_alike(
    trace_id: int, span_id: int, is_remote: bool, flags: int, state: TraceState, local: list[int], remote: list[int]
) -> None:
    """Any parent, and links to spans of this process and of others, up to the limit."""
    parent = SpanContext(trace_id, span_id, is_remote, TraceFlags(flags), state)
    targets: dict[str, dict[str | None, Any]] = {
        "a": {str(number): target for number, target in enumerate(local)},
        "b": {str(number): Link(SpanContext(trace_id, target, True)) for number, target in enumerate(remote)},
        "c": {None: Link(SpanContext(trace_id, 7, False))},
    }
    assert_equal([span_of(spans_of(parent, targets), info_of(dependencies=["a", "none", "b", "c"]))])


@pytest.mark.parametrize(("first", "second"), [(True, 1), (1, 1.0), (0.0, -0.0), (False, 0)])
def test_values_that_python_takes_for_equal_stay_apart(first: Any, second: Any) -> None:
    """A boolean, a number and a float that are equal are not encoded as one another: a node may have all as tags."""
    spans = spans_of(SpanContext(5, 6, False, TraceFlags(1)))
    for value in (first, second):
        assert_equal([span_of(spans, info_of({"constant": value}))])


@pytest.mark.parametrize(
    "result",
    [True, 1, 1.5, "x", b"x", [True], {}, np.True_, np.float64(1), np.ones((1, 2)), pd.DataFrame({"a": [1]}),
     SimpleNamespace(shape=(True, False), nbytes=True), type("Odd", (), {"shape": (True, 1.0), "nbytes": True})()],
    ids=lambda result: type(result).__name__,
)  # fmt: skip
@pytest.mark.parametrize("values", [False, True])
def test_what_is_said_of_a_result_is_text_and_integers(result: Any, values: bool) -> None:
    """Encoded results are remembered by what they hold, so nothing may be equal there that is not encoded alike."""
    summary = Capture.of(CapturePolicy(values=values)).summarize("n", result)
    assert {type(value) for value in summary.values()} <= {str, int}


def test_many_spans_of_several_runs_are_one_request() -> None:
    """A batch holds spans of several runs, providers and others than fast ones, each once."""
    mine = spans_of(SpanContext(5, 6, False, TraceFlags(1)))
    other = spans_of(SpanContext(7, 8, False, TraceFlags(1)), of=provider_of(Resource({"service.name": "other"})))
    info = info_of({"a": 1})
    touched = PROVIDER.get_tracer("library").start_span("child")
    touched.end()
    fast = [span_of(spans, info, {"n": number}) for spans in (mine, other, mine) for number in range(200)]
    request = ExportTraceServiceRequest.FromString(encode([*fast[:300], touched, *fast[300:]]))  # type: ignore[list-item]
    found = [
        ({item.key: item.value.string_value for item in resource.resource.attributes}["service.name"], span.name)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sorted(found) == [("other", "node n")] * 200 + [("s", "child")] + [("s", "node n")] * 400
    assert encode([]) == b""


def test_a_span_that_is_touched_before_its_export_is_encoded_alike() -> None:
    """What was looked at after its end is exported as what was not."""
    spans = spans_of(SpanContext(5, 6, False, TraceFlags(1)))
    untouched = span_of(spans, info_of({"a": "b"}), {"c": 1})
    before = encode([untouched])
    assert untouched.name == "node n"
    assert encode([untouched]) == before
