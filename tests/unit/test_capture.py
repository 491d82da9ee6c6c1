import json
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hamilton_otel import capture


class Hostile:
    """Raises whenever it is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __len__(self) -> int:
        raise RuntimeError("len")


class Unreadable(Exception):
    """Its message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("str")


@pytest.mark.parametrize(
    ("value", "rows", "columns"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), 2, 2),
        (pd.Series([1, 2, 3]), 3, None),
        (np.zeros((4, 5)), 4, 5),
        (pa.table({"a": [1, 2]}), 2, 1),
        ([1, 2, 3], 3, None),
        ({"a": 1}, 1, None),
        ("text", None, None),
        (5, None, None),
        pytest.param(Hostile(), None, None, id="hostile"),
    ],
)
def test_results_are_summarized_by_shape(value: Any, rows: int | None, columns: int | None) -> None:
    """Tables, arrays and containers tell rows and columns; everything else only its type."""
    summary = capture.summarize(value)
    assert summary["hamilton.result.type"]
    assert summary.get("hamilton.result.rows") == rows
    assert summary.get("hamilton.result.columns") == columns


def test_an_unreadable_exception_is_described_all_the_same() -> None:
    """An exception whose `__str__` raises still has its type and a stack trace."""
    try:
        raise Unreadable
    except Unreadable as error:
        described = capture.describe_exception(error)
    assert str(described["exception.type"]).endswith("Unreadable")
    assert "could not be read" in str(described["exception.message"])
    assert "test_capture.py" in str(described["exception.stacktrace"])


def test_long_text_is_cut_in_the_middle() -> None:
    """Beginning and end are kept, and the text says how much is missing."""
    text = "a" * 5_000 + "z" * 5_000
    short = capture.shorten(text, 100)
    assert short.startswith("a" * 50)
    assert short.endswith("z" * 50)
    assert "9900 characters left out" in short


def test_bounded_json_stays_valid() -> None:
    """A list that is too long is cut between items."""
    text, cut = capture.bounded_json(range(1_000), 50)
    assert cut
    assert len(text) <= 50
    assert json.loads(text) == list(range(len(json.loads(text))))


class Lazy:
    """Answers to every name, as proxies of remote objects do."""

    asked: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        Lazy.asked.append(name)
        return 1


class Panics:
    """Raises what is no Exception, as libraries written in Rust do."""

    @property
    def shape(self) -> Any:
        raise BaseException("panic")


def test_a_proxy_is_not_asked() -> None:
    """Only what a result's type declares is looked at: asking a proxy may take any time."""
    assert capture.summarize(Lazy()) == {"hamilton.result.type": "tests.unit.test_capture.Lazy"}
    assert Lazy.asked == []


def test_a_panic_stays_here() -> None:
    """A BaseException that is no interruption does not leave the summary."""
    assert capture.summarize(Panics()) == {"hamilton.result.type": "tests.unit.test_capture.Panics"}


@pytest.mark.parametrize("value", ["caf\udce9.csv", 2**70, pytest.param(Hostile(), id="hostile")])
def test_tags_can_always_be_encoded(value: Any) -> None:
    """Text that is no UTF-8, integers of more than 64 bits and objects without text become text that can be sent."""
    text = capture.tag(value)
    assert isinstance(text, str)
    assert text.encode()
