# mypy: disable-error-code="import-untyped,misc"
import importlib
import re
import runpy
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import structlog
from hamilton import driver
from hamilton.lifecycle import NodeExecutionHook

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights"
SAMPLE = ["--rows", "5000"]


class Recorder(NodeExecutionHook):
    """Notes which nodes ran and which of them failed."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failed: list[str] = []

    def run_before_node_execution(self, **future_kwargs: Any) -> None:
        pass

    def run_after_node_execution(self, *, node_name: str, success: bool, **future_kwargs: Any) -> None:
        self.ran.append(node_name)
        if not success:
            self.failed.append(node_name)


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The example's script, imported as Python does when it is run."""
    names = ("pipeline", "flight_delays", "faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE)
        yield importlib.import_module("pipeline")
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _own_structlog_configuration() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def sample(example: Any) -> pd.DataFrame:
    """Flights read once for all tests that do not test the reading."""
    table: pd.DataFrame = example.flight_delays.flights(rows=5000)
    return table


def _run(module: Any, sample: pd.DataFrame) -> Recorder:
    recorder = Recorder()
    dr = driver.Builder().with_modules(module).with_adapters(recorder).build()
    with suppress(ValueError):
        dr.execute(["evaluation", "delays_by_carrier", "delays_by_hour"], overrides={"flights": sample})
    return recorder


def _nodes(module: Any) -> dict[str, Any]:
    graph = driver.Builder().with_modules(module).build().graph
    return {name: node for name, node in graph.nodes.items() if not node.user_defined}


def test_model_beats_both_guesses_on_all_flights(example: Any) -> None:
    """On all flights the model errs less than either guess, by as much as the README says."""
    dr = driver.Builder().with_modules(example.flight_delays).build()
    result = dr.execute(["flights", "evaluation", "delays_by_carrier", "delays_by_hour"])
    errors = result["evaluation"]
    assert len(result["flights"]) == 336_776
    assert list(errors.index) == ["model", "departure_delay", "training_mean"]
    assert errors["mae"].idxmin() == errors["rmse"].idxmin() == "model"
    readme = (EXAMPLE / "README.md").read_text()
    assert all(f"| {mae:.1f} | {rmse:.1f} |" in readme for mae, rmse in errors.to_numpy())
    assert result["delays_by_carrier"]["flights"].sum() == result["delays_by_hour"]["flights"].sum() == 327_346


def test_run_prints_the_result_and_saves_readable_parquet(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run says how good the forecast is and saves predictions from the split date on."""
    assert example.main([*SAMPLE, "--output", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr()
    accuracy, place = printed.out.splitlines()
    model, guess = map(float, re.findall(r"\d+\.\d", accuracy))
    assert model < guess
    predictions = pd.read_parquet(place.removeprefix("Predictions: "))
    assert predictions["date"].min() >= pd.Timestamp("2013-10-01")
    assert predictions[["arrival_delay", "predicted_delay"]].notna().all(axis=None)
    assert {path.stem for path in (tmp_path / "new").iterdir()} == set(example.TABLES)
    assert "joined weather" in printed.err


def test_run_as_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, example: Any) -> None:
    """The file itself can be run, and a success exits with 0."""
    monkeypatch.setattr(sys, "argv", ["pipeline.py", *SAMPLE, "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(EXAMPLE / "pipeline.py"), run_name="__main__")
    assert exit_.value.code == 0


def test_graph_is_the_one_in_the_readme(example: Any) -> None:
    """The picture in the README has exactly the nodes and edges of the dataflow and its parquet savers."""
    nodes = _nodes(example.flight_delays)
    edges = {(source.name, node.name) for node in nodes.values() for source in node.dependencies}
    edges = {(source, target) for source, target in edges if source in nodes}
    edges |= {(table, f"save_{table}") for table in example.TABLES}
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE))
    assert drawn == edges
    assert 15 <= len({name for edge in edges for name in edge}) <= 25


@pytest.mark.parametrize(("kind", "error"), [("user", ValueError), ("system", ConnectionError)])
def test_failure_is_raised_by_the_run(example: Any, tmp_path: Path, kind: str, error: type[Exception]) -> None:
    """A failing run ends with the node's own exception."""
    with pytest.raises(error):
        example.main([*SAMPLE, "--fail", "flights", "--error", kind, "--output", str(tmp_path)])


@pytest.mark.parametrize(("node", "shown"), [("delay_model", "delay_model"), ("arrival_delay", "arrival_delay_raw")])
def test_failure_is_that_of_the_named_node(example: Any, sample: pd.DataFrame, node: str, shown: str) -> None:
    """Only the named node fails; what it depends on has run, what depends on it has not."""
    recorder = _run(example.faults.failing(example.flight_delays, node, "user"), sample)
    assert recorder.failed == [shown]
    assert "enriched_flights" in recorder.ran
    assert "predictions" not in recorder.ran


def test_faults_leave_the_graph_and_the_module_alone(example: Any) -> None:
    """A dataflow with a fault has the nodes, tags, types and inputs of the one without, which stays whole."""
    original = _nodes(example.flight_delays)
    for name in example.faults.nodes(example.flight_delays):
        module = example.faults.slow(example.faults.failing(example.flight_delays, name, "user"), name, 1)
        changed = _nodes(module)
        assert module.__name__ == "flight_delays"
        assert changed.keys() == original.keys()
        for key, node in original.items():
            assert (changed[key].tags, changed[key].type) == (node.tags, node.type)
            assert changed[key].input_types == node.input_types
    assert not hasattr(example.flight_delays.delay_model, "__wrapped__")


def test_slow_node_waits_once_for_the_given_time(
    example: Any, sample: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow node waits just as long as asked and then does its work."""
    waits: list[float] = []
    module = example.faults.slow(example.flight_delays, "delay_model", 2.5)
    monkeypatch.setattr(time, "sleep", waits.append)
    recorder = _run(module, sample)
    assert waits == [2.5]
    assert not recorder.failed
    assert "evaluation" in recorder.ran


def test_loop_goes_on_after_a_failure_and_exits_with_1(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failed run of a loop is logged, the pause is kept between runs, and the exit code tells."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    arguments = ["--fail", "flights", "--loop", "3", "--every", "7", "--output", str(tmp_path)]
    assert example.main(arguments) == 1
    assert [record.getMessage() for record in caplog.records if record.name == "pipeline"] == [
        "run 1 failed",
        "run 2 failed",
        "run 3 failed",
    ]
    assert waits == [7.0, 7.0]


def test_interrupt_ends_an_endless_loop_quietly(example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the pause of an endless loop gives the usual exit code and no traceback."""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert example.main(["--fail", "flights", "--loop", "forever", "--output", str(tmp_path)]) == 130


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fail", "nope"], r"--fail: invalid choice: 'nope' \(choose from .*delay_model.*\)"),
        (["--slow-node", "nope"], r"--slow-node: invalid choice: 'nope' \(choose from .*delay_model.*\)"),
        (["--rows", "3"], "--rows: 3 flights cannot train a model, use 500 or more"),
        (["--loop", "0"], "--loop: '0' is neither a positive whole number nor 'forever'"),
        (["--slow", "-1"], "--slow: '-1' is not a number of seconds from zero up"),
        (["--output", __file__], "--output: cannot create .*test_flights.py: File exists"),
    ],
)
def test_wrong_argument_is_one_sentence_and_exit_code_2(
    example: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """A wrong argument is refused with its name and the remedy."""
    with pytest.raises(SystemExit) as exit_:
        example.main(arguments)
    assert exit_.value.code == 2
    assert re.search(sentence, capsys.readouterr().err)
