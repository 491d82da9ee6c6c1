import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from hamilton import driver
from hamilton_otel import TelemetryAdapter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from typer.testing import CliRunner

from benchmarks.nodes import __main__ as commands
from benchmarks.nodes import measure, plan, run
from benchmarks.nodes.adapters import NoOp
from benchmarks.nodes.check import regressions
from benchmarks.nodes.child import MeasurementFailed
from benchmarks.nodes.figures import Bound, Figure, figures
from benchmarks.nodes.graphs import SHAPES, Graph
from benchmarks.nodes.peers import NotInstalled, hamilton_tracker
from benchmarks.nodes.plan import Plan
from benchmarks.nodes.receiver import receiving
from benchmarks.nodes.run import Found, carry_out
from benchmarks.nodes.variants import Subject

THREAD = Figure("thread", "ours / floor", 0.5, Bound(0.6, 0.35))
TRACER = Figure("tracer", "the tracer / ours", 9.0, Bound(8, 20, at_least=True))


def tiny(**changes: Any) -> Plan:
    """Return the tiny plan without what needs the network or servers."""
    whole = plan.tiny()
    return replace(whole, comparisons=[c for c in whole.comparisons if not c.peer], flights=None, **changes)


def test_every_variant_gives_figures() -> None:
    """With graphs of ten nodes every configuration is measured, nothing fails, and nothing is lost."""
    found = carry_out(tiny(), at_once=4)
    assert found.failed == {}
    assert set(found.comparisons) == {*plan.CONFIGURATIONS, "unconfigured"}
    made = {figure.name: figure for figure in figures(found)}
    assert {"thread", "process", "public thread", "sampled out", "disabled", "size", "async", "import"} <= set(made)
    assert {"OpenTelemetryTracer", "threads", "busy", "metrics only", "unconfigured"} <= set(made)
    assert made["lost"].value == 0
    for name, answer in found.comparisons.items():
        for task, kinds in answer["tasks"].items():
            assert all(nanoseconds > 0 for times in kinds.values() for nanoseconds in _flat(times)), (name, task)


def _flat(times: dict[str, list[list[float]]]) -> list[float]:
    return [taken for at_depths in times.values() for at_depth in at_depths for taken in at_depth]


@pytest.fixture
def found() -> Found:
    """What a plan of one comparison finds: ours costs half of the floor, and three times the empty hooks."""
    whole = tiny(imports=0, losses=None)
    small = replace(whole, comparisons=whole.comparisons[:1])
    times = {"bare": [[10.0]], "no-op": [[15.0]], "floor": [[40.0]], "ours": [[25.0]], "OpenTelemetryTracer": [[160.0]]}
    tasks = {plan.FIGURE: {"thread": times, "process": times}}
    return Found(small, {"all signals": {"tasks": tasks, "missing": {}, "lost": {"floor": 0, "ours": 0}}})


def test_figures_are_ratios_of_costs(found: Found) -> None:
    """A figure compares what two variants take over the bare driver; what was not measured has none."""
    assert {figure.name: figure.value for figure in figures(found)} == {
        "thread": 0.5,
        "process": 0.5,
        "OpenTelemetryTracer": 10.0,
    }


def test_the_results_are_shown_and_written(
    found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints a table that marks what holds, and writes figures, machine and microseconds."""
    found.missing["DDOGTracer"] = "ddtrace is not installed"
    monkeypatch.setattr(commands, "carry_out", lambda *_, **__: found)
    done = CliRunner().invoke(commands.app, ["--tiny", "--results", str(tmp_path / "nodes.json")])
    assert done.exit_code == 0, done.output
    assert "✓" in done.output
    assert "ddtrace is not installed" in done.output
    written = json.loads((tmp_path / "nodes.json").read_text())
    assert written["figures"]["thread"] | {"meaning": ""} == {
        "meaning": "",
        "value": 0.5,
        "required": 0.6,
        "aimed": 0.35,
        "at_least": False,
        "holds": True,
        "reaches": False,
    }
    assert written["machine"]["cores"] >= 1
    node = written["comparisons"]["all signals"]["microseconds_per_node"]["figure"]["thread"]
    assert node["ours"] == {"typical": 0.025, "at_worst_depth": 0.025, "over_bare": 0.015, "to_floor": 0.5}


@pytest.mark.parametrize("before", [{"thread": 0.5, "tracer": 9.0}, {"thread": 0.3, "tracer": 20.0}, {}])
def test_check_passes(before: dict[str, float]) -> None:
    """Figures that are as before, that hold in spite of being worse, or that are new are no regression."""
    assert regressions([THREAD, TRACER], before) == []


@pytest.mark.parametrize(
    ("figure", "before"), [(replace(THREAD, value=0.9), 0.4), (replace(TRACER, value=5.0), 12.0)], ids=str
)
def test_check_finds_what_is_clearly_worse(figure: Figure, before: float) -> None:
    """A figure that misses what is required and is worse by half is named, with both values and what to do."""
    (sentence,) = regressions([figure], {figure.name: before})
    for part in (figure.name, f"{figure.value:g}", f"{before:g}", "make bench"):
        assert part in sentence


def test_check_bears_with_what_never_held() -> None:
    """A figure that misses what is required as it did before is no regression."""
    assert regressions([replace(THREAD, value=3.8)], {"thread": 3.5}) == []


@pytest.mark.parametrize(("before", "code"), [(0.5, 0), (0.1, 1)])
def test_check_ends_with_the_verdict(
    before: float, code: int, found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command ends with 1 where a figure is clearly worse than the committed one, and with 0 otherwise."""
    found.comparisons["all signals"]["tasks"][plan.FIGURE]["thread"]["ours"] = [[10 + 30 * 0.7]]
    found.comparisons["all signals"]["tasks"][plan.FIGURE]["thread"]["OpenTelemetryTracer"] = [[1000.0]]
    monkeypatch.setattr(commands, "carry_out", lambda *_, **__: found)
    results = tmp_path / "nodes.json"
    results.write_text(json.dumps({"figures": {"thread": {"value": before}}}))
    done = CliRunner().invoke(commands.app, ["check", "--results", str(results)])
    assert done.exit_code == code, done.output


def test_a_comparison_counts_only_if_the_floor_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the floor has lost spans its comparison fails, and says so; the others go on."""
    monkeypatch.setattr(run, "compare", lambda comparison, *_: {"tasks": {}, "missing": {}, "lost": _lost(comparison)})

    def _lost(comparison: Any) -> dict[str, int]:
        return {"floor": 3 if comparison.name == "disabled" else 0}

    found = carry_out(tiny(imports=0, losses=None))
    assert list(found.failed) == ["disabled"]
    assert "3 spans" in found.failed["disabled"]
    assert "all signals" in found.comparisons


def test_a_peer_that_fails_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be measured of another adapter is named with the reason, and is no failure."""

    def broken(comparison: Any, *_: object) -> dict[str, Any]:
        raise MeasurementFailed("no network")

    monkeypatch.setattr(run, "compare", broken)
    peers = [comparison for comparison in plan.tiny().comparisons if comparison.peer]
    found = carry_out(replace(tiny(imports=0, losses=None), comparisons=peers))
    assert (found.failed, found.missing) == ({}, dict.fromkeys(["HamiltonTracker", "DDOGTracer"], "no network"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant whose package is not installed says which."""
    monkeypatch.setitem(sys.modules, "hamilton_sdk", None)
    with pytest.raises(NotInstalled, match="apache-hamilton-sdk"):
        hamilton_tracker("http://127.0.0.1:9")


def test_the_empty_hooks_are_those_of_ours() -> None:
    """The no-op adapter has each hook that our adapter has, and no other."""

    def hooks(adapter: type) -> set[type]:
        return {kind for kind in adapter.__mro__ if kind.__module__ == "hamilton.lifecycle.base"}

    assert hooks(NoOp) == hooks(TelemetryAdapter)


def test_the_receiver_counts_each_span_once() -> None:
    """Spans are counted by path, from an exporter as from the spool; what cannot be read is counted as well."""
    span = Span(span_id=bytes(range(8)))
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    line = {"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": name * 16} for name in "ab"]}]}]}
    with receiving() as receiver:
        for _ in range(2):
            _post(f"{receiver.url}/floor/v1/traces", request.SerializeToString(), "application/x-protobuf")
        _post(f"{receiver.url}/ours/v1/traces", json.dumps(line).encode(), "application/json")
        _post(f"{receiver.url}/ours/v1/traces", b"\x0a\xff", "application/x-protobuf")
        _post(f"{receiver.url}/ours/v1/metrics", b"", "application/x-protobuf")
        assert receiver.spans() == {"floor": 1, "ours": 2, "unreadable": 1}


def _post(url: str, body: bytes, kind: str) -> None:
    with urlopen(Request(url, body, {"Content-Type": kind})) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 10, 45])
def test_graphs_execute(shape: str, size: int, tmp_path: Path) -> None:
    """A graph has as many nodes as it says, in an order in which Hamilton can execute them."""
    graph = Graph(shape, size)
    built = driver.Builder().with_modules(graph.module(tmp_path)).build()
    assert len(built.list_available_variables()) == size
    assert built.execute(graph.outputs) == dict.fromkeys(graph.outputs, 1)


def test_a_slow_moment_or_an_unlucky_depth_changes_no_ratio() -> None:
    """Variants are compared within each pass, and medians are taken, so that what slows all of them cancels out."""
    calm = {"bare": [10.0] * 3, "floor": [30.0] * 3, "ours": [20.0] * 3}
    slow = {name: [taken[0], 3 * taken[1], taken[2]] for name, taken in calm.items()}
    unlucky = {"bare": [10.0] * 3, "floor": [30.0] * 3, "ours": [120.0] * 3}
    times = {name: [calm[name], slow[name], unlucky[name]] for name in calm}
    assert measure.ratio(times, "ours", "floor") == 0.5
    assert measure.worst(times["ours"]) == 120.0


def test_variants_take_turns() -> None:
    """Each pass executes every variant, at one depth of the stack, and begins with another of them."""
    order: list[str] = []

    def cost(subject: Subject, frames: int) -> float:
        order.append(f"{subject.sends_to} {frames}")
        return 1.0

    subjects = {name: Subject(lambda: None, 1, sends_to=name) for name in ("a", "b")}
    times = measure.in_turns(subjects, cost, seconds=0, passes=3, depths=2)
    names, frames = zip(*(entry.split() for entry in order), strict=True)
    assert names == ("a", "b", "b", "a", "a", "b")
    assert _pairs(frames) == [(frames[0],) * 2, (frames[2],) * 2, (frames[0],) * 2]
    assert {name: [len(at_depth) for at_depth in taken] for name, taken in times.items()} == {"a": [2, 1], "b": [2, 1]}


def _pairs(values: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(values[index : index + 2]) for index in range(0, len(values), 2)]
