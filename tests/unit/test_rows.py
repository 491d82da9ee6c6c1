"""Rows of tabular values: exact counts, next to nothing for what is no table, and no harm from what lies about it."""

import asyncio
import json
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hamilton import async_driver, driver
from hamilton.execution.executors import MultiThreadingExecutor
from hamilton.plugins.h_threadpool import FutureAdapter
from hamilton_otel import capture
from hamilton_otel.rows import MAX_CHARACTERS, MAX_NODES, RunRows
from hamilton_otel.testing import CapturedTelemetry

from tests.unit import tables_dag
from tests.unit.conftest import driver_of, module_of, run_python
from tests.unit.test_executors import totals
from tests.unit.trees import from_store


class Shaped:
    """Has the shape that it is told, or raises it."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    @property
    def shape(self) -> Any:
        if isinstance(self._shape, BaseException):
            raise self._shape
        return self._shape


class Panic(BaseException):
    """What a library written in Rust raises."""


Sized = namedtuple("Sized", ("shape", "other"))


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), 2),
        (pd.DataFrame(), 0),
        (pd.Series([1, 2, 3]), 3),
        (np.zeros((4, 5)), 4),
        (pa.table({"a": [1, 2]}), 2),
        (np.zeros((4, 5, 6)), None),
        (np.float64(1), None),
        ([1, 2, 3], None),
        ({"a": 1}, None),
        (Sized((5, 5), 1), None),
        ("text", None),
        (pd.DataFrame, None),
        (Shaped((True, 1)), 1),
        (Shaped((-1, 1)), None),
        (Shaped((2**62, 1)), None),
        (Shaped(("5", 1)), None),
        (Shaped([5, 1]), None),
        (Shaped(RuntimeError("shape")), None),
        (Shaped(Panic("shape")), None),
    ],
    ids=str,
)
def test_rows_are_those_of_tabular_values(value: Any, rows: int | None) -> None:
    """Only a `shape` of one or two believable dimensions makes a value tabular."""
    assert capture.rows(value) == rows


def frame(start: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(start), "b": range(start)})


def head(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(2)


def joined(frame: pd.DataFrame, head: pd.DataFrame, start: int) -> pa.Table:
    return pa.Table.from_pandas(pd.concat([frame, head]))


def size(joined: pa.Table) -> int:
    return int(joined.num_rows)


def listed(size: int) -> list[int]:
    return [size]


def broken(frame: pd.DataFrame) -> pd.DataFrame:
    raise ValueError("broken")


NODES = (frame, head, joined, size, listed, broken)
COUNTED = {"frame out": 5, "head in": 5, "head out": 2, "joined in": 7, "joined out": 7, "size in": 7}


def counted(telemetry: CapturedTelemetry) -> dict[str, float]:
    """Return the rows that were counted by node and direction."""
    found = {}
    for point, rows in telemetry.points("hamilton.rows").items():
        attributes = dict(point)
        assert attributes.pop("hamilton.dag.name") == "d"
        found[f"{attributes.pop('hamilton.node.name')} {attributes.pop('hamilton.rows.direction')}"] = rows
        assert attributes == {}
    return found


def of_run(telemetry: CapturedTelemetry) -> Any:
    """Return the rows that the last run tells, which are the same on its span and its event."""
    spans = [span for span in telemetry.spans if span.name.startswith("run ")]
    (ended,) = [record for record in telemetry.logs[-1:] if (record.event_name or "").startswith("hamilton.run.")]
    told = (spans[-1].attributes or {}).get("hamilton.run.rows")
    assert (ended.attributes or {}).get("hamilton.run.rows") == told
    return None if told is None else json.loads(str(told))


def test_rows_are_counted_where_nodes_read_and_make_tables(telemetry: CapturedTelemetry) -> None:
    """Both directions by node; every run adds; numbers and lists have no series."""
    dr = driver_of(*NODES, adapters=[telemetry.adapter("d")])
    for times in (1, 2):
        dr.execute(["listed"], inputs={"start": 5})
        assert counted(telemetry) == {key: rows * times for key, rows in COUNTED.items()}
        assert of_run(telemetry) == {"frame": 5, "head": 2, "joined": 7}


def test_the_team_is_an_attribute_and_teams_are_apart(telemetry: CapturedTelemetry) -> None:
    """Runs of two teams have series of their own."""
    for team in ("a", "b"):
        driver_of(frame, adapters=[telemetry.adapter("d", {"team": team})]).execute(["frame"], inputs={"start": 5})
    assert telemetry.points("hamilton.rows") == {
        frozenset(
            {
                ("hamilton.dag.name", "d"),
                ("hamilton.team", team),
                ("hamilton.node.name", "frame"),
                ("hamilton.rows.direction", "out"),
            }
        ): 5
        for team in ("a", "b")
    }


def test_a_failed_node_has_neither_read_nor_made_anything(telemetry: CapturedTelemetry) -> None:
    """Only nodes that succeed are counted; the failed run tells of those."""
    with pytest.raises(ValueError, match="broken"):
        driver_of(*NODES, adapters=[telemetry.adapter("d")]).execute(["broken"], inputs={"start": 5})
    assert counted(telemetry) == {"frame out": 5}
    assert of_run(telemetry) == {"frame": 5}


def test_a_run_without_tables_tells_nothing(telemetry: CapturedTelemetry) -> None:
    """No series, no attribute."""

    def plain(start: int) -> dict[str, int]:
        return {"start": start}

    driver_of(plain, adapters=[telemetry.adapter("d")]).execute(["plain"], inputs={"start": 5})
    assert counted(telemetry) == {}
    assert of_run(telemetry) is None


def test_objects_that_raise_do_not_reach_the_run(telemetry: CapturedTelemetry) -> None:
    """A result whose `shape` panics is returned as it is."""
    value = Shaped(Panic("shape"))

    def odd(start: int) -> Any:
        return value

    def after(odd: Any, frame: pd.DataFrame) -> Any:
        return odd

    dr = driver_of(odd, frame, after, adapters=[telemetry.adapter("d")])
    assert dr.execute(["after"], inputs={"start": 5}) == {"after": value}
    assert counted(telemetry) == {"frame out": 5, "after in": 5}


def test_the_async_driver_counts_values_not_tasks(telemetry: CapturedTelemetry) -> None:
    """A node of the async driver is counted with what it awaited."""

    async def slow_frame(start: int) -> pd.DataFrame:
        await asyncio.sleep(0)
        return pd.DataFrame({"a": range(start)})

    async def slow_size(slow_frame: pd.DataFrame) -> int:
        return len(slow_frame)

    async def main() -> None:
        builder = async_driver.Builder().with_modules(module_of(slow_frame, slow_size))
        dr = await builder.with_adapters(*telemetry.async_adapters("d")).build()
        await dr.execute(["slow_size"], inputs={"start": 5})

    asyncio.run(main())
    assert counted(telemetry) == {"slow_frame out": 5, "slow_size in": 5}
    assert of_run(telemetry) == {"slow_frame": 5}


def test_nodes_in_pool_threads_are_counted(telemetry: CapturedTelemetry) -> None:
    """Under FutureAdapter, too, a node's inputs are values."""
    dr = driver_of(*NODES, adapters=[telemetry.adapter("d"), FutureAdapter()])
    dr.execute(["listed"], inputs={"start": 5})
    assert counted(telemetry) == COUNTED
    assert of_run(telemetry) == {"frame": 5, "head": 2, "joined": 7}


def test_a_node_of_a_parallel_block_is_summed_up(telemetry: CapturedTelemetry, tmp_path: Path) -> None:
    """A run tells of all executions of a node together."""
    dr = (
        driver.Builder()
        .with_modules(tables_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(MultiThreadingExecutor(3))
        .with_adapters(telemetry.adapter("d"))
        .build()
    )
    assert dr.execute(["all_rows"], inputs={"start": 4, "path": str(tmp_path / "a.csv")}) == {"all_rows": 10}
    assert of_run(telemetry) == dict.fromkeys(("column_raw", "column", "table", "part_of_all"), 10)
    assert counted(telemetry)["table out"] == 10


PROCESSES = """
import multiprocessing, pickle
import cloudpickle  # as Ray and Dask do: Hamilton's checks and savers are closures
from concurrent.futures import ProcessPoolExecutor
from hamilton import driver
from hamilton.execution.executors import MultiProcessingExecutor
import hamilton_otel
from tests.unit import tables_dag

def call(pickled):
    function, task = pickle.loads(pickled)
    return function(task)

class Pool(ProcessPoolExecutor):
    def submit(self, function, task):
        return super().submit(call, cloudpickle.dumps((function, task)))

class Executor(MultiProcessingExecutor):
    def create_pool(self):
        return Pool(self.max_tasks, mp_context=multiprocessing.get_context("fork"))

if __name__ == "__main__":
    hamilton_otel.configure(local_store="store", exit_timeout=10)
    dr = (
        driver.Builder()
        .with_modules(tables_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(Executor(2))
        .with_adapters(hamilton_otel.TelemetryAdapter("tables"))
        .build()
    )
    print(dr.execute(["all_rows"], inputs={"start": 4, "path": "saved.csv"}))
"""


def test_worker_processes_count_what_they_execute(tmp_path: Path) -> None:
    """Rows, checks and artifacts of nodes in workers are counted once; the run tells of what came back to it."""
    pytest.importorskip("cloudpickle")
    done = run_python(PROCESSES, tmp_path)
    assert (done.returncode, done.stdout) == (0, "{'all_rows': 10}\n"), done.stderr
    store = tmp_path / "store"
    rows = totals(store, "hamilton.rows")
    assert (rows["table"], rows["saved"], rows["part_of_all"]) == (20, 10, 20)
    assert totals(store, "hamilton.data_quality.checks") == {"column": 4}
    assert totals(store, "hamilton.artifact.operation.duration") == {"saved success": 4}
    assert totals(store, "hamilton.artifact.size") == {"saved": 4}
    (run,) = [span for span in from_store(store) if span.name == "run tables"]
    assert json.loads(run.attributes["hamilton.run.rows"]) == {"part_of_all": 10}


def test_the_series_are_bounded(telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit rows are counted together; none is lost."""
    monkeypatch.setenv("HAMILTON_OTEL_CARDINALITY_LIMIT", "3")
    driver_of(*NODES, adapters=[telemetry.adapter("d")]).execute(["listed"], inputs={"start": 5})
    points = telemetry.points("hamilton.rows")
    assert len(points) == 3
    assert sum(points.values()) == sum(COUNTED.values())


def test_what_a_run_tells_is_bounded() -> None:
    """Of ten thousand tables the first two hundred are told, whose names fit."""
    short, long = RunRows(), RunRows()
    for number in range(10_000):
        short.add(f"n{number}", number)
        long.add(f'"ü{"n" * 200}{number}', 10**12)
    (told,) = short.attributes().values()
    assert json.loads(str(told)) == {f"n{number}": number for number in range(MAX_NODES)}
    (told,) = long.attributes().values()
    assert MAX_CHARACTERS - 500 < len(str(told)) <= MAX_CHARACTERS
    assert len(json.loads(str(told))) > 30


def test_threads_lose_no_rows() -> None:
    """Whichever threads add to a run's rows at once, the sum is right."""
    rows = RunRows()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: rows.add("n", number), range(5_000)))
    assert rows.attributes() == {"hamilton.run.rows": f'{{"n":{sum(range(5_000))}}}'}
