import pickle
import sys
from typing import Any

import hamilton_otel
import pytest
from hamilton import driver, lifecycle
from hamilton.graph_types import HamiltonGraph
from hamilton.io.materialization import to
from hamilton_otel import current
from hamilton_otel.guard import guard
from hamilton_otel.testing import CapturedTelemetry
from hamilton_otel.tracing import TracingSink
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from tests.unit.conftest import driver_of


def raw(start: int) -> int:
    return start


def doubled(raw: int) -> int:
    return raw * 2


def total(raw: int, doubled: int) -> int:
    return raw + doubled


def broken(doubled: int) -> int:
    raise ValueError(f"cannot use {doubled}")


def unreachable(doubled: int) -> int:
    raise ConnectionResetError("peer went away")


def interrupted(doubled: int) -> int:
    raise KeyboardInterrupt


def left(doubled: int) -> int:
    sys.exit(3)


ALL = (raw, doubled, total, broken, unreachable, interrupted, left)


def test_one_run_is_one_trace_with_each_executed_node_a_child(telemetry: CapturedTelemetry) -> None:
    """A run is a root span whose children are the nodes that were executed, and nothing else."""
    driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute(["total"], inputs={"start": 1})
    root = telemetry.span("run sums")
    nodes = [span for span in telemetry.spans if span is not root]
    assert root.parent is None
    assert sorted(span.name for span in nodes) == ["node doubled", "node raw", "node total"]
    assert {span.parent.span_id for span in nodes if span.parent} == {root.context.span_id}
    assert {span.context.trace_id for span in telemetry.spans} == {root.context.trace_id}


def test_a_node_links_to_the_spans_of_its_inputs(telemetry: CapturedTelemetry) -> None:
    """Links lead from a node to the nodes that it reads."""
    driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute(["total"], inputs={"start": 1})
    linked = {link.context.span_id for link in telemetry.span("node total").links}
    assert linked == {telemetry.span(f"node {name}").context.span_id for name in ("raw", "doubled")}


def test_success_leaves_the_status_unset(telemetry: CapturedTelemetry) -> None:
    """A run and its nodes that succeed have no status and no error attributes."""
    driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute(["total"], inputs={"start": 1})
    for span in telemetry.spans:
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes is not None
        assert span.attributes["hamilton.outcome"] == "success"
        assert "error.type" not in span.attributes


@pytest.mark.parametrize(
    ("output", "error", "kind"),
    [("broken", ValueError, "user"), ("unreachable", ConnectionResetError, "system")],
)
def test_a_failure_is_told_by_the_failing_node_and_the_run_alone(
    telemetry: CapturedTelemetry, output: str, error: type[Exception], kind: str
) -> None:
    """The node that raised and its run carry ERROR, the error's type and kind, and one exception event; no other."""
    with pytest.raises(error):
        driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute([output], inputs={"start": 1})
    failed = {f"node {output}", "run sums"}
    for span in telemetry.spans:
        attributes = span.attributes or {}
        exceptions = [event for event in span.events if event.name == "exception"]
        if span.name in failed:
            assert span.status.status_code is StatusCode.ERROR
            assert attributes["error.type"] == error.__name__
            assert attributes["hamilton.error.kind"] == kind
            assert len(exceptions) == 1
            assert (exceptions[0].attributes or {})["exception.type"] == error.__name__
        else:
            assert span.status.status_code is StatusCode.UNSET
            assert not exceptions


@pytest.mark.parametrize(("output", "error"), [("interrupted", KeyboardInterrupt), ("left", SystemExit)])
def test_an_interruption_is_cancelled_and_no_failure(
    telemetry: CapturedTelemetry, output: str, error: type[BaseException]
) -> None:
    """KeyboardInterrupt and SystemExit, which Hamilton reports as success, are the outcome `cancelled`."""
    with pytest.raises(error):
        driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute([output], inputs={"start": 1})
    for name in (f"node {output}", "run sums"):
        assert (telemetry.span(name).attributes or {})["hamilton.outcome"] == "cancelled"
        assert telemetry.span(name).status.status_code is StatusCode.UNSET
    assert telemetry.points("hamilton.run.failures") == {}
    assert len(telemetry.events("hamilton.run.cancelled")) == 1


def test_a_run_inside_an_except_block_is_no_failure(telemetry: CapturedTelemetry) -> None:
    """An exception that the caller is already handling is not taken for the run's own."""
    dr = driver_of(*ALL, adapters=[telemetry.adapter("sums")])
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        dr.execute(["total"], inputs={"start": 1})
    assert (telemetry.span("run sums").attributes or {})["hamilton.outcome"] == "success"


def test_a_node_runs_inside_its_own_span(telemetry: CapturedTelemetry) -> None:
    """The node's span is current in its body, and afterwards nothing is left attached."""
    seen: list[str] = []

    def looks(start: int) -> int:
        seen.append(trace.get_current_span().name)  # type: ignore[attr-defined]
        return start

    driver_of(looks, adapters=[telemetry.adapter("sums")]).execute(["looks"], inputs={"start": 1})
    assert seen == ["node looks"]
    assert current.execution() is None
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_run_is_a_child_of_the_callers_span(telemetry: CapturedTelemetry) -> None:
    """Inside a span of the application, the run is its child."""
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request"):
        driver_of(*ALL, adapters=[telemetry.adapter("sums")]).execute(["raw"], inputs={"start": 1})
    parent = telemetry.span("run sums").parent
    assert parent is not None
    assert parent.span_id == telemetry.span("request").context.span_id


def test_a_nested_driver_is_a_child_of_the_node_that_runs_it(telemetry: CapturedTelemetry) -> None:
    """A driver that a node executes belongs to that node's span, and the outer run goes on as before."""
    inner = driver_of(raw, doubled, adapters=[telemetry.adapter("inner")])

    def outer(start: int) -> int:
        return int(inner.execute(["doubled"], inputs={"start": start})["doubled"])

    def after(outer: int) -> int:
        return outer + 1

    driver_of(outer, after, adapters=[telemetry.adapter("outer")]).execute(["after"], inputs={"start": 1})
    parent = telemetry.span("run inner").parent
    assert parent is not None
    assert parent.span_id == telemetry.span("node outer").context.span_id
    assert {span.context.trace_id for span in telemetry.spans} == {telemetry.span("run outer").context.trace_id}


def test_spans_say_what_ran(telemetry: CapturedTelemetry) -> None:
    """Spans carry the DAG, its version, the run, its tags, the node's version, type, code and the result's shape."""
    dr = driver_of(*ALL, adapters=[telemetry.adapter("sums", {"team": "ops"})])
    dr.execute(["doubled"], inputs={"start": 1})
    run = telemetry.span("run sums").attributes or {}
    node = telemetry.span("node doubled").attributes or {}
    assert run["hamilton.run.tags.team"] == "ops"
    assert run["hamilton.run.outputs"] == ("doubled",)
    assert run["hamilton.run.inputs"] == ("start",)
    assert node["hamilton.run.id"] == run["hamilton.run.id"]
    assert node["hamilton.dag.version"] == run["hamilton.dag.version"]
    assert node["hamilton.node.type"] == "int"
    assert node["hamilton.result.type"] == "int"
    assert str(node["code.function.name"]).endswith(".doubled")
    assert node["code.file.path"] == __file__


def test_values_do_not_leave_the_process(telemetry: CapturedTelemetry) -> None:
    """Neither spans nor log events hold the value of an input or a result."""

    def secret(password: str) -> str:
        return password * 2

    driver_of(secret, adapters=[telemetry.adapter("vault")]).execute(["secret"], inputs={"password": "hunter22"})
    assert "hunter22" not in repr([span.to_json() for span in telemetry.spans])
    assert "hunter22" not in repr([(record.body, dict(record.attributes or {})) for record in telemetry.logs])


def test_without_providers_the_adapter_does_nothing() -> None:
    """Where nobody has configured telemetry, a run leaves no state behind and no context attached."""
    adapter = hamilton_otel.TelemetryAdapter("idle")
    assert driver_of(raw, adapters=[adapter]).execute(["raw"], inputs={"start": 1}) == {"raw": 1}
    assert len(adapter.recorder.runs) == 0


def test_runs_leave_no_state_behind(telemetry: CapturedTelemetry) -> None:
    """After success and after failure alike no run is kept."""
    adapter = telemetry.adapter("sums")
    dr = driver_of(*ALL, adapters=[adapter])
    dr.execute(["total"], inputs={"start": 1})
    with pytest.raises(ValueError, match="cannot use"):
        dr.execute(["broken"], inputs={"start": 1})
    assert len(adapter.recorder.runs) == 0


def test_materialize_is_a_run_like_any_other(telemetry: CapturedTelemetry, tmp_path: Any) -> None:
    """`materialize()` gives one run whose nodes include the materializer's."""

    def report(start: int) -> dict[str, int]:
        return {"start": start}

    dr = driver_of(report, adapters=[telemetry.adapter("saved")])
    dr.materialize(to.json(id="save", dependencies=["report"], path=str(tmp_path / "report.json")), inputs={"start": 1})
    assert "node save" in [span.name for span in telemetry.spans]
    assert (telemetry.span("run saved").attributes or {})["hamilton.outcome"] == "success"


def test_a_node_whose_end_is_never_told_is_closed_with_its_run(telemetry: CapturedTelemetry) -> None:
    """Another adapter that raises in its pre-node hook leaves no span open and no context attached."""

    class Hostile(lifecycle.NodeExecutionHook):
        def run_before_node_execution(self, **kwargs: Any) -> None:
            raise RuntimeError("hostile")

        def run_after_node_execution(self, **kwargs: Any) -> None: ...

    with pytest.raises(RuntimeError, match="hostile"):
        driver_of(raw, adapters=[telemetry.adapter("sums"), Hostile()]).execute(["raw"], inputs={"start": 1})
    assert sorted(span.name for span in telemetry.spans) == ["node raw", "run sums"]
    assert current.execution() is None


@pytest.mark.parametrize("event", ["run_started", "run_finished", "node_started", "node_finished"])
@pytest.mark.parametrize("output", ["total", "broken"])
def test_a_raising_sink_changes_nothing_for_the_user(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch, event: str, output: str
) -> None:
    """Whatever a sink raises, the run's result or own exception is that of a run without telemetry."""

    def fail(*arguments: Any) -> None:
        raise RuntimeError("telemetry is broken")

    monkeypatch.setattr(guard, "reraise", False)
    monkeypatch.setattr(TracingSink, event, fail)
    dr = driver_of(*ALL, adapters=[telemetry.adapter("sums")])
    if output == "total":
        assert dr.execute(["total"], inputs={"start": 1}) == {"total": 3}
        assert sum(telemetry.points("hamilton.run.duration").values()) == 1
    else:
        with pytest.raises(ValueError, match="cannot use 2"):
            dr.execute(["broken"], inputs={"start": 1})


def test_an_adapter_pickles_to_its_name_and_tags(telemetry: CapturedTelemetry) -> None:
    """An adapter crosses to another process in a few hundred bytes, without providers or open runs."""
    pickled = pickle.dumps(telemetry.adapter("sums", {"team": "ops"}))
    assert len(pickled) < 400
    restored = pickle.loads(pickled)
    assert (restored.dag_name, restored.tags) == ("sums", {"team": "ops"})


@pytest.mark.parametrize("name", ["", "   ", None])
def test_an_empty_dag_name_is_refused(name: Any) -> None:
    """A DAG without a name is refused with one sentence when the adapter is made."""
    with pytest.raises(hamilton_otel.SettingsError, match="dag_name"):
        hamilton_otel.TelemetryAdapter(name)


def test_the_version_of_a_dag_is_hamiltons_own(telemetry: CapturedTelemetry) -> None:
    """`hamilton.dag.version` is what Hamilton's own graph says, so that it can be compared with the Hamilton UI."""
    dr: driver.Driver = driver_of(*ALL, adapters=[telemetry.adapter("sums")])
    dr.execute(["raw"], inputs={"start": 1})
    expected = HamiltonGraph.from_graph(dr.graph).version
    assert (telemetry.span("run sums").attributes or {})["hamilton.dag.version"] == expected
