import dataclasses
import itertools
import json
import pickle
import time
from datetime import date
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hamilton_otel import CapturePolicy, capture


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
        described = capture.DEFAULT.describe_exception(error)
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


@dataclasses.dataclass
class Login:
    user: str
    password: str
    note: str = dataclasses.field(default="hidden", repr=False)


class Point(NamedTuple):
    x: int
    api_key: str


class Boastful(str):
    def __repr__(self) -> str:
        raise RuntimeError("asked")

    __str__ = __repr__


class Endless(list[int]):
    def __iter__(self) -> Any:
        return itertools.count()


def cyclic() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


VALUES = capture.Capture(CapturePolicy(values=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (0.5, "0.5"),
        ("café", '"café"'),
        (Boastful("plain"), '"plain"'),
        ([1, "a", None], '[1, "a", null]'),
        ((1,), "(1)"),
        ({3}, "{3}"),
        ({"a": {"b": [1]}, 2: "c"}, '{"a": {"b": [1]}, 2: "c"}'),
        (date(2013, 1, 1), '"2013-01-01"'),
        (Login("u", "p"), 'Login(user="u", password="[redacted]")'),
        (Point(1, "k"), 'Point(x=1, api_key="[redacted]")'),
        ([("user", "u"), ("password", "p")], '[("user", "u"), ("password", "[redacted]")]'),
        ({"token": ["a", "b"], "n": 1}, '{"token": "[redacted]", "n": 1}'),
        ("redis://:pw@host", '"redis://:[redacted]@host"'),
        (list(range(100)), "[" + ", ".join(map(str, range(20))) + ", ...]"),
        (cyclic(), "[1, [1, [1, [1, [1, [..., ...]]]]]]"),
        (b"raw", "bytes"),
        (2**3_000, "int"),
        (pd.DataFrame({"a": [1, 2]}), "pandas.DataFrame [2 x 1]"),
        pytest.param(Hostile(), "tests.unit.test_capture.Hostile", id="hostile"),
    ],
)
def test_values_are_written_where_they_are_allowed(value: Any, text: str) -> None:
    """Built-in types and dataclasses are written, bounded and without secrets; others by type and shape."""
    assert VALUES.summarize("node", value)["hamilton.result.value"] == text


def test_no_value_is_written_by_default() -> None:
    """Without a policy neither results nor inputs tell their values."""
    assert capture.DEFAULT.summarize("node", 5) == {"hamilton.result.type": "int"}
    assert capture.DEFAULT.run_inputs({"a": 5}) == {}
    assert json.loads(capture.DEFAULT.node_inputs({"a": 5, "b": [1]})) == {"a": "int", "b": "list [1]"}


def test_inputs_tell_their_values_by_name_where_that_is_allowed() -> None:
    """Values stand under the input's name, which may say that they are secrets."""
    assert VALUES.run_inputs({"a": 5, "api_key": "k"}) == {
        "hamilton.run.input.a": "5",
        "hamilton.run.input.api_key": '"[redacted]"',
    }
    described = json.loads(VALUES.node_inputs({"a": 5, "api_key": "k", "t": pd.DataFrame({"a": [1]})}))
    assert described == {"a": "int = 5", "api_key": 'str = "[redacted]"', "t": "pandas.DataFrame [1 x 1]"}


def wide() -> Any:
    value: Any = "leaf"
    for _ in range(12):
        value = dict.fromkeys(range(50), value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a" * 10_000_000, id="text"),
        pytest.param(list(range(1_000_000)), id="list"),
        pytest.param(Endless(range(1_000_000)), id="endless"),
        pytest.param(wide(), id="wide"),
        pytest.param([[[]] * 50] * 50, id="empty"),
        pytest.param({"a" * 100_000: 1}, id="key"),
    ],
)
def test_huge_values_take_no_time_and_little_room(value: Any) -> None:
    """What is written of a value is bounded in length and in time, however large or deep the value is."""
    began = time.process_time()
    text = str(VALUES.summarize("node", value)["hamilton.result.value"])
    assert time.process_time() - began < 0.5
    assert len(text) <= 1_003
    assert len(VALUES.node_inputs(dict.fromkeys(map(str, range(100)), value))) < 16_000


def test_limits_of_text_and_items_are_the_policys() -> None:
    """`max_text` and `max_items` bound values, messages and tags."""
    short = capture.Capture(CapturePolicy(values=True, max_text=20, max_items=2))
    assert short.summarize("node", [1, 2, 3])["hamilton.result.value"] == "[1, 2, ...]"
    assert len(str(short.summarize("node", "a" * 100)["hamilton.result.value"])) == 23
    assert short.exception_message(ValueError("a" * 50)).startswith("aaaaaaaaaa ... (30 characters left out)")
    assert "left out" in str(short.attributes({"tag": "a" * 50})["tag"])


def test_a_policy_survives_pickling() -> None:
    """Worker processes get the same policy."""
    policy = CapturePolicy(values=True, redact_patterns=(r"EMP-\d+",))
    assert pickle.loads(pickle.dumps(policy)) == policy
