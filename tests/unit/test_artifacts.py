"""What Hamilton's savers and loaders move: sizes, durations and events, with real files."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hamilton import driver
from hamilton.data_quality.base import ValidationResult
from hamilton.function_modifiers import check_output_custom, dataloader, datasaver, load_from, save_to, source
from hamilton.io import utils
from hamilton.io.materialization import from_, to
from hamilton_otel.semconv import ARTIFACT_SIZES
from hamilton_otel.settings import CapturePolicy
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of, module_of
from tests.unit.test_data_quality import Says

NODE, OUTCOME = "hamilton.node.name", "hamilton.outcome"
SAVED = "hamilton.artifact.saved"
OPERATION, FORMAT = "hamilton.artifact.operation", "hamilton.artifact.format"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frame(start: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(start), "b": range(start)})


@save_to.csv(path=source("path"), output_name_="saved")
def table(start: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(start)})


@load_from.csv(path=source("path"), inject_="raw")
def loaded(raw: pd.DataFrame) -> int:
    return len(raw)


def operations(telemetry: CapturedTelemetry) -> dict[str, float]:
    """Return how many operations were measured, by node, operation and outcome."""
    return _by(telemetry, "hamilton.artifact.operation.duration", NODE, OPERATION, OUTCOME)


def sizes(telemetry: CapturedTelemetry) -> dict[str, float]:
    """Return how many sizes were measured, by node and format."""
    return _by(telemetry, "hamilton.artifact.size", NODE, FORMAT)


def _by(telemetry: CapturedTelemetry, metric: str, *names: str) -> dict[str, float]:
    found = {}
    for point, count in telemetry.points(metric).items():
        attributes = dict(point)
        assert set(attributes) == {"hamilton.dag.name", *names}
        found[" ".join(str(attributes[name]) for name in names)] = count
    return found


def test_a_saver_is_measured_and_told(telemetry: CapturedTelemetry) -> None:
    """A CSV file that `@save_to` writes: duration, size, rows; on the node's own span, and in an event."""
    dr = driver_of(table, adapters=[telemetry.adapter("d")])
    dr.execute(["saved"], inputs={"start": 5, "path": "very-secret.csv"})
    size = Path("very-secret.csv").stat().st_size
    assert operations(telemetry) == {"saved save success": 1}
    assert sizes(telemetry) == {"saved csv": 1}
    about = {
        "hamilton.artifact.operation": "save",
        "hamilton.artifact.format": "csv",
        "hamilton.artifact.size": size,
        "hamilton.artifact.rows": 5,
    }
    attributes = dict(telemetry.span("node saved").attributes or {})
    assert about.items() <= attributes.items()
    (event,) = telemetry.events(SAVED)
    assert event.severity_text == "INFO"
    identity = {"hamilton.dag.name": "d", "hamilton.run.id": attributes["hamilton.run.id"], NODE: "saved"}
    assert dict(event.attributes or {}) == {**identity, **about}
    told = [span.attributes for span in telemetry.spans] + [record.attributes for record in telemetry.logs]
    assert "very-secret" not in str([dict(attributes or {}) for attributes in told])


def test_a_load_is_counted_once(telemetry: CapturedTelemetry) -> None:
    """Of a loader's two nodes the one that loads counts; the one that selects is a node like any other."""
    pd.DataFrame({"a": range(7)}).to_csv("in.csv", index=False)
    dr = driver_of(loaded, adapters=[telemetry.adapter("d")])
    assert dr.execute(["loaded"], inputs={"path": "in.csv"}) == {"loaded": 7}
    assert operations(telemetry) == {"loaded.load_data.raw load success": 1}
    (event,) = telemetry.events("hamilton.artifact.loaded")
    attributes = dict(event.attributes or {})
    assert attributes["hamilton.artifact.size"] == Path("in.csv").stat().st_size
    assert attributes["hamilton.artifact.rows"] == 7
    assert sum(OPERATION in (span.attributes or {}) for span in telemetry.spans) == 1


def test_materializers_are_measured(telemetry: CapturedTelemetry) -> None:
    """`from_` and `to` with Parquet, which pyarrow reads and writes."""
    pd.DataFrame({"a": range(7)}).to_parquet("in.parquet")

    def doubled(raw: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([raw, raw])

    dr = driver_of(doubled, adapters=[telemetry.adapter("d")])
    dr.materialize(
        from_.parquet(target="raw", path="in.parquet", engine="pyarrow"),
        to.parquet(id="out", dependencies=["doubled"], path="out.parquet", engine="pyarrow"),
        to.pickle(id="pickled", dependencies=["doubled"], path="out.pickle"),
    )
    assert operations(telemetry) == {
        "load_data.raw load success": 1,
        "out save success": 1,
        "pickled save success": 1,
    }
    assert sizes(telemetry) == {"load_data.raw parquet": 1, "out parquet": 1, "pickled pickle": 1}
    rows = [(event.attributes or {}).get("hamilton.artifact.rows") for event in telemetry.events(SAVED)]
    assert sorted(rows, key=str) == [14, 14]


def test_functions_that_save_and_load_are_measured(telemetry: CapturedTelemetry) -> None:
    """`@dataloader` and `@datasaver` with pyarrow; their metadata tell what Hamilton's own do, or nothing."""
    pq.write_table(pa.table({"a": [1, 2, 3]}), "in.parquet")

    @dataloader()
    def read(path: str) -> tuple[pa.Table, dict[str, Any]]:
        return pq.read_table(path), utils.get_file_metadata(path)

    @datasaver()
    def write(read: pa.Table) -> dict:  # type: ignore[type-arg]
        pq.write_table(read, "out.parquet")
        return {"destination": "somewhere", "rows": 5}

    driver_of(read, write, adapters=[telemetry.adapter("d")]).execute(["write"], inputs={"path": "in.parquet"})
    assert operations(telemetry) == {"read.loader load success": 1, "write save success": 1}
    assert sizes(telemetry) == {"read.loader loader": 1}
    (saved,) = telemetry.events(SAVED)
    assert (saved.attributes or {})[FORMAT] == "write"
    assert "hamilton.artifact.size" not in (saved.attributes or {})
    assert "somewhere" not in str(dict(saved.attributes or {}))


def test_a_saver_that_fails_is_a_failure(telemetry: CapturedTelemetry) -> None:
    """Its duration counts as one, nothing was saved, and its span says what it was about."""
    dr = driver_of(table, adapters=[telemetry.adapter("d")])
    with pytest.raises(OSError, match="missing"):
        dr.execute(["saved"], inputs={"start": 5, "path": "missing/out.csv"})
    assert operations(telemetry) == {"saved save failure": 1}
    assert sizes(telemetry) == {}
    assert telemetry.events(SAVED) == []
    assert (telemetry.span("node saved").attributes or {})[FORMAT] == "csv"


def test_the_path_is_told_where_values_are_allowed(telemetry: CapturedTelemetry) -> None:
    """And not without redaction."""
    adapter = telemetry.adapter("d")
    adapter.capture = CapturePolicy(values=True)
    dr = driver_of(table, adapters=[adapter])
    dr.execute(["saved"], inputs={"start": 5, "path": "token=abcdef123456.csv"})
    (event,) = telemetry.events(SAVED)
    assert (event.attributes or {})["hamilton.artifact.path"] == "token=[redacted]"


def test_the_size_of_a_directory_is_not_that_of_what_is_in_it(telemetry: CapturedTelemetry) -> None:
    """A partitioned dataset has rows but no size."""
    dr = driver_of(frame, adapters=[telemetry.adapter("d")])
    saver = to.parquet(id="out", dependencies=["frame"], path="out", engine="pyarrow", partition_cols=["a"])
    dr.materialize(saver, inputs={"start": 3})
    assert Path("out").is_dir()
    assert operations(telemetry) == {"out save success": 1}
    assert sizes(telemetry) == {}
    (event,) = telemetry.events(SAVED)
    assert (event.attributes or {})["hamilton.artifact.rows"] == 3


def test_what_stays_in_the_process_is_no_artifact(telemetry: CapturedTelemetry) -> None:
    """`to.memory` saves nothing, `from_.literal` loads nothing."""
    dr = driver_of(frame, adapters=[telemetry.adapter("d")])
    dr.materialize(from_.literal(target="start", value=3), to.memory(id="out", dependencies=["frame"]))
    assert operations(telemetry) == {}
    assert telemetry.events(SAVED) == []


def test_a_checked_saver_saves_once(telemetry: CapturedTelemetry) -> None:
    """`@check_output` copies the tags of the node that it wraps: the original counts."""

    @check_output_custom(Says(ValidationResult(True, "fine")))
    @datasaver()
    def write(start: int) -> dict:  # type: ignore[type-arg]
        Path("out.txt").write_text("x")
        return dict(utils.get_file_metadata("out.txt"))

    driver_of(write, adapters=[telemetry.adapter("d")]).execute(["write"], inputs={"start": 3})
    assert operations(telemetry) == {"write_raw save success": 1}
    assert sizes(telemetry) == {"write_raw write": 1}


def test_what_the_cache_had_was_not_loaded(telemetry: CapturedTelemetry) -> None:
    """A loader that the cache answers has moved nothing."""
    pd.DataFrame({"a": range(7)}).to_csv("in.csv", index=False)
    builder = driver.Builder().with_modules(module_of(loaded)).with_adapters(telemetry.adapter("d"))
    dr = builder.with_cache(path="cache", default_loader_behavior="default").build()
    for _ in range(2):
        dr.execute(["loaded"], inputs={"path": "in.csv"})
    assert sum(operations(telemetry).values()) == 1
    assert len(telemetry.events("hamilton.artifact.loaded")) == 1


class Panic(BaseException):
    """What a library written in Rust raises."""


class Odd:
    """Raises whatever it is asked."""

    def __eq__(self, other: object) -> bool:
        raise Panic

    __hash__ = None  # type: ignore[assignment]

    def __index__(self) -> int:
        raise Panic


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"file_metadata": None, "sql_metadata": []},
        {"file_metadata": {"size": 2**80, "path": Odd()}, "dataframe_metadata": {"rows": -1}},
        {"file_metadata": {"size": Odd(), "path": "x"}, "dataframe_metadata": {"rows": True}},
        {"file_metadata": {"size": 5}},
        {1: 2, "file_metadata": {"size": "5"}},
    ],
    ids=str,
)
def test_odd_metadata_is_no_harm(telemetry: CapturedTelemetry, metadata: dict[str, Any]) -> None:
    """Whatever a saver returns is the run's result; what cannot be read of it is left out."""

    @datasaver()
    def write(start: int) -> dict:  # type: ignore[type-arg]
        return metadata

    dr = driver_of(write, adapters=[telemetry.adapter("d")])
    assert dr.execute(["write"], inputs={"start": 3})["write"] is metadata
    assert operations(telemetry) == {"write save success": 1}
    assert len(telemetry.events(SAVED)) == 1
    assert sizes(telemetry) == {}


def test_sizes_have_boundaries_from_a_kibibyte_to_a_hundred_gibibytes() -> None:
    """Few enough for Prometheus."""
    boundaries = ARTIFACT_SIZES.boundaries or ()
    assert list(boundaries) == sorted(boundaries)
    assert (boundaries[0], boundaries[-1], len(boundaries)) == (2**10, 100 * 2**30, 9)
