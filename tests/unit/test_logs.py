import json
import logging
from typing import Any

import pandas as pd
import pytest
import structlog
from hamilton_otel import log_bridges, logs
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of


def table(start: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [start] * 3, "b": [1] * 3})


def bad(table: pd.DataFrame) -> int:
    raise ValueError("no")


def test_a_runs_events_carry_its_trace(telemetry: CapturedTelemetry) -> None:
    """Started and completed events have the run's trace and span, its duration, counts and tags."""
    dr = driver_of(table, adapters=[telemetry.adapter("d", {"commit": "abc"})])
    dr.execute(["table"], inputs={"start": 1})
    context = telemetry.span("run d").context
    (started,), (completed,) = (telemetry.events(f"hamilton.run.{name}") for name in ("started", "completed"))
    for event in (started, completed):
        assert (event.trace_id, event.span_id) == (context.trace_id, context.span_id)
    attributes = dict(completed.attributes or {})
    assert completed.body == "Run completed"
    assert attributes["hamilton.run.node_count"] == 1
    assert attributes["hamilton.run.tags.commit"] == "abc"
    assert attributes["hamilton.outcome"] == "success"


def test_a_failing_node_tells_the_shapes_of_its_inputs(telemetry: CapturedTelemetry) -> None:
    """The node-failed event has the error and types and shapes of the inputs, and the span of that node."""
    with pytest.raises(ValueError, match="no"):
        driver_of(table, bad, adapters=[telemetry.adapter("d")]).execute(["bad"], inputs={"start": 1})
    (event,) = telemetry.events("hamilton.node.failed")
    attributes = dict(event.attributes or {})
    assert event.span_id == telemetry.span("node bad").context.span_id
    assert json.loads(str(attributes["hamilton.node.inputs"])) == {"table": "pandas.DataFrame [3 x 2]"}
    assert attributes["exception.type"] == "ValueError"
    assert "ValueError: no" in str(attributes["exception.stacktrace"])


def test_a_dag_is_defined_once_with_its_edges(telemetry: CapturedTelemetry) -> None:
    """The definition of a DAG's nodes and edges is written once per version and process."""
    dr = driver_of(table, adapters=[telemetry.adapter("d")])
    dr.execute(["table"], inputs={"start": 1})
    dr.execute(["table"], inputs={"start": 1})
    (event,) = telemetry.events("hamilton.dag.defined")
    attributes = dict(event.attributes or {})
    assert json.loads(str(attributes["hamilton.dag.edges"])) == [["start", "table"]]
    assert {node["name"] for node in json.loads(str(attributes["hamilton.dag.nodes"]))} == {"start", "table"}


def test_a_definition_that_is_cut_has_edges_between_its_nodes_only(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grafana's graph fails as a whole on an edge to a node that it was not given."""
    monkeypatch.setattr(logs, "MAX_DEFINITION", 200)
    driver_of(table, bad, adapters=[telemetry.adapter("d")]).execute(["table"], inputs={"start": 1})
    (event,) = telemetry.events("hamilton.dag.defined")
    attributes = dict(event.attributes or {})
    nodes = {node["name"] for node in json.loads(str(attributes["hamilton.dag.nodes"]))}
    assert 0 < len(nodes) < 3
    assert all(set(edge) <= nodes for edge in json.loads(str(attributes["hamilton.dag.edges"])))
    assert attributes["hamilton.dag.truncated"]


@pytest.fixture
def bridged(telemetry: CapturedTelemetry) -> Any:
    """Telemetry to which the user's own logging goes."""
    log_bridges.install(telemetry.logger_provider)
    yield telemetry
    log_bridges.uninstall()
    structlog.reset_defaults()


def test_the_users_own_lines_carry_the_nodes_span(bridged: CapturedTelemetry) -> None:
    """Lines of structlog and logging inside a node have its span, run and DAG."""

    def talks(start: int) -> int:
        structlog.get_logger().info("from structlog", rows=3)
        logging.getLogger("user").warning("from logging")
        return start

    driver_of(talks, adapters=[bridged.adapter("d")]).execute(["talks"], inputs={"start": 1})
    span = bridged.span("node talks")
    for body in ("from structlog", "from logging"):
        (record,) = [record for record in bridged.logs if record.body == body]
        attributes = dict(record.attributes or {})
        assert record.span_id == span.context.span_id
        assert attributes["hamilton.node.name"] == "talks"
        assert attributes["hamilton.run.id"] == (span.attributes or {})["hamilton.run.id"]


def test_structlog_over_logging_is_taken_once(bridged: CapturedTelemetry) -> None:
    """A structlog line that goes out through logging is one record, the one with its fields."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.stdlib.LoggerFactory()
    )
    structlog.get_logger("user").warning("once", rows=3)
    records = [record for record in bridged.logs if "once" in str(record.body)]
    assert [dict(record.attributes or {}) for record in records] == [{"rows": 3}]


def test_hamiltons_banner_of_input_values_is_left_out(bridged: CapturedTelemetry) -> None:
    """Hamilton's own error log, which prints a node's inputs in full, is not forwarded."""
    with pytest.raises(ValueError, match="no"):
        driver_of(table, bad, adapters=[bridged.adapter("d")]).execute(["bad"], inputs={"start": 1})
    assert not [record for record in bridged.logs if "Node inputs" in str(record.body)]


def test_the_users_long_lines_are_shortened(bridged: CapturedTelemetry) -> None:
    """A message or stack trace of megabytes is cut before it leaves the process."""
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError:
        logging.getLogger("user").exception("y" * 1_000_000)
    (record,) = bridged.logs
    sizes = [len(str(record.body)), *(len(str(value)) for value in dict(record.attributes or {}).values())]
    assert max(sizes) < 10_000


def test_many_outputs_fit_into_the_events_of_a_run(telemetry: CapturedTelemetry) -> None:
    """A run of thousands of outputs names as many as Loki takes."""
    functions = []
    for number in range(1_000):
        scope: dict[str, Any] = {}
        exec(f"def output_number_{number}(start: int) -> int:\n    return start", scope)
        functions.append(scope[f"output_number_{number}"])
    dr = driver_of(*functions, adapters=[telemetry.adapter("d")])
    dr.execute([function.__name__ for function in functions], inputs={"start": 1})
    (event,) = telemetry.events("hamilton.run.completed")
    assert len(json.loads(str((event.attributes or {})["hamilton.run.outputs"]))) >= 100
    assert len(str(event.attributes)) < 10_000
