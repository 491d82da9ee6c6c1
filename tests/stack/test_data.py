"""Rows, data quality and artifacts as they are seen in the real servers."""

import json
from pathlib import Path

import pytest

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.test_runs import finish, start


@pytest.fixture
def dag(stack: Stack, tmp_path: Path) -> str:
    """A DAG of which two processes have sent a run: a table of ten rows, which fails a check and is saved."""
    finish(*(start(stack, "tables", dag="tables", path=str(tmp_path / f"{number}.csv")) for number in range(2)))
    return "tables"


def test_prometheus_and_loki_have_rows_checks_and_artifacts(stack: Stack, dag: str) -> None:
    """Counts are exact over processes; events carry what they are about; the run's rows pass the Collector whole."""
    selector = f'hamilton_dag_name="{dag}"'
    expected = {
        f'hamilton_rows_total{{{selector},hamilton_node_name="table",hamilton_rows_direction="out"}}': 20,
        f'hamilton_rows_total{{{selector},hamilton_node_name="saved",hamilton_rows_direction="in"}}': 20,
        f'hamilton_data_quality_checks_total{{{selector},hamilton_node_name="column",'
        'hamilton_data_quality_check="range_validator",hamilton_data_quality_result="fail"}': 2,
        f'hamilton_artifact_size_bytes_count{{{selector},hamilton_node_name="saved",'
        'hamilton_artifact_format="csv"}': 2,
        f'hamilton_artifact_operation_duration_seconds_count{{{selector},hamilton_node_name="saved",'
        'hamilton_artifact_operation="save",hamilton_outcome="success"}': 2,
    }

    def matches() -> bool:
        assert {query: backends.value(stack, query) for query in expected} == expected
        return True

    eventually(matches)

    def lines(event: str, count: int) -> list[dict[str, str]]:
        query = f'{{service_name="{dag}"}} | event_name="{event}"'

        def found() -> list[dict[str, str]]:
            labels = [labels for labels, _ in backends.logs(stack, query)]
            return labels if len(labels) == count else []

        return eventually(found)

    saved, *_ = lines("hamilton.artifact.saved", 2)
    assert (saved["hamilton_node_name"], saved["hamilton_artifact_format"]) == ("saved", "csv")
    assert int(saved["hamilton_artifact_size"]) > 0
    failed = lines("hamilton.data_quality.failed", 2)
    assert {(line["hamilton_node_name"], line["hamilton_data_quality_check"]) for line in failed} == {
        ("column", "range_validator")
    }
    completed = lines("hamilton.run.completed", 2)
    assert [json.loads(line["hamilton_run_rows"])["table"] for line in completed] == [10, 10]
