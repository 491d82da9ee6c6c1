import logging
from pathlib import Path

import pytest
from hamilton_otel import TelemetryAdapter, local_store
from hamilton_otel.history import HistoryError, open_store
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.unit.conftest import driver_of


def first(start: int) -> list[int]:
    return [start] * 3


def second(first: list[int]) -> int:
    if first[0] < 0:
        raise ValueError("negative")
    return len(first)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a run that succeeded and, after it, one that failed."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(local_store.span_exporter(tmp_path)))
    dr = driver_of(first, second, adapters=[TelemetryAdapter("d", tracer_provider=provider)])
    dr.execute(["second"], inputs={"start": 1})
    with pytest.raises(ValueError, match="negative"):
        dr.execute(["second"], inputs={"start": -1})
    return tmp_path


def test_the_latest_run_is_read_back_whole(store: Path) -> None:
    """Nodes come in order of their start, with outcome, inputs and rows."""
    run = open_store(store).run("latest")
    assert (run.dag, run.outcome) == ("d", "failure")
    assert [(node.name, node.outcome, node.inputs) for node in run.nodes] == [
        ("first", "success", ()),
        ("second", "failure", ("first",)),
    ]
    assert run.nodes[0].attributes["hamilton.result.rows"] == 3
    assert run.start <= run.nodes[0].start <= run.nodes[-1].end <= run.end


def test_a_run_is_found_by_the_beginning_of_its_id(store: Path) -> None:
    """Run id and trace id serve alike, whole or shortened."""
    latest = open_store(store).run("latest")
    for name in (latest.id, latest.id[:8], latest.trace_id, latest.trace_id[:8]):
        assert open_store(store).run(name) == latest


def test_an_ambiguous_or_unknown_name_is_refused(store: Path) -> None:
    """Two runs for one name, or none, is one sentence."""
    with pytest.raises(HistoryError, match="means 2 runs"):
        open_store(store).run("")
    with pytest.raises(HistoryError, match="no run in"):
        open_store(store).run("zzz")
    with pytest.raises(HistoryError, match="there are no runs"):
        open_store(store / "absent")


def test_a_cut_or_foreign_line_costs_that_line_only(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A half-written last line is skipped with one warning that names file and line."""
    (file,) = (store / "traces").glob("*.jsonl")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, '{"resourceSpans":[{"scope']))
    with caplog.at_level(logging.WARNING):
        assert open_store(store).run("latest").outcome == "failure"
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}, line {len(lines) + 1}, is not OTLP JSON and is skipped."
    ]
