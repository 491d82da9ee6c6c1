"""Hostile settings, names, tags and results: no run fails, no result changes, no hook takes long.

What a bare run does with a value is the measure: with telemetry it does the same.
"""

import inspect
import math
import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import pytest
from hamilton_otel import annotate, run_tags, settings
from hamilton_otel.settings import Settings, SettingsError
from hamilton_otel.testing import CapturedTelemetry
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from tests.unit.conftest import driver_of

BUDGET = 0.05
"""Seconds of CPU time that one hook may take, about a thousand times what it takes, in the best of three runs: Python
collects garbage when it pleases."""

fuzzed = fuzzing(
    max_examples=100,
    deadline=3_000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Panic(BaseException):
    """What a library written in another language may raise."""


def raises(*unused: Any, **named: Any) -> Any:
    raise RuntimeError("hostile")


def panics(*unused: Any, **named: Any) -> Any:
    raise Panic("hostile")


def recurses(self: Any, *unused: Any) -> Any:
    return recurses(self)


LIES: tuple[Any, ...] = (-1, 2**70, math.nan, True, None, "x" * 100_000, (), (-1, 2**70), ("a", None), float, b"\xff")
METHODS = (
    "__repr__", "__str__", "__len__", "__bool__", "__eq__", "__hash__", "__iter__", "__contains__", "__getitem__",
    "__getattr__", "__getattribute__", "__format__", "__int__", "__index__", "__float__", "__abs__", "__lt__",
    "__sizeof__", "__reduce_ex__", "__instancecheck__", "items", "keys", "encode", "isascii", "lower", "strip",
)  # fmt: skip
PROPERTIES = ("__class__", "shape", "nbytes", "columns", "dtype", "__dict__", "size", "__dataclass_fields__")
BASES = (object, str, int, float, list, tuple, dict, set)


Make = Callable[[], Any]
"""Makes a value: Hypothesis itself looks at what it is given."""


@st.composite
def hostile(draw: st.DrawFn) -> Make:
    """Return what makes an object that raises, panics, recurses or lies wherever it is looked at."""
    behaviours = st.one_of(
        st.sampled_from([raises, panics, recurses]),
        st.sampled_from(LIES).map(lambda lie: lambda *unused, **named: lie),
    )
    body: dict[str, Any] = draw(st.dictionaries(st.sampled_from(METHODS), behaviours, max_size=6))
    properties = draw(st.dictionaries(st.sampled_from(PROPERTIES), behaviours, max_size=4))
    base = draw(st.sampled_from(BASES))
    return lambda: type("Hostile", (base,), body | {name: property(get) for name, get in properties.items()})()


def cyclic() -> list[Any]:
    """Return a list that holds itself."""
    items: list[Any] = []
    items.append({"self": items})
    return items


def constant(value: Any) -> Make:
    return lambda: value


texts = st.one_of(st.text(), st.text(st.characters(codec=None), max_size=300))
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), texts).map(constant)
one = st.one_of(plain, hostile(), st.just(cyclic), st.just(lambda: list(range(1_000_000))))
values = st.one_of(one, st.lists(one, max_size=3).map(lambda makes: lambda: [make() for make in makes]))
names = st.from_regex(r"[^\W\d_]\w{0,300}", fullmatch=True).filter(
    lambda name: name.isidentifier() and "__" not in name
)


def outcome(function: Callable[[], Any]) -> tuple[type[BaseException] | None, Any]:
    """Return what *function* raises, and what it returns."""
    try:
        return None, function()
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return type(error), None


def timed(adapter: Any, seconds: list[tuple[float, str]]) -> Any:
    """Return *adapter*, which notes how long each hook takes, in CPU time."""
    for name, hook in inspect.getmembers(adapter, inspect.ismethod):
        if name.startswith(("pre_", "post_")):
            setattr(adapter, name, _timed(name, hook, seconds))
    return adapter


def _timed(name: str, hook: Callable[..., Any], seconds: list[tuple[float, str]]) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        begin = time.thread_time()
        try:
            return hook(**arguments)
        finally:
            seconds.append((time.thread_time() - begin, name))

    return call


def like_bare(telemetry: CapturedTelemetry, *functions: Callable[..., Any], output: str = "result") -> None:
    """Execute *output* without and with telemetry; both come to the same, and no hook is slow."""

    def execute(*adapters: Any) -> tuple[type[BaseException] | None, Any]:
        return outcome(lambda: driver_of(*functions, adapters=adapters).execute([output])[output])

    error, bare = execute()
    slowest: list[tuple[float, str]] = []
    while len(slowest) < 3 and not any(seconds < BUDGET for seconds, _ in slowest):
        hooks: list[tuple[float, str]] = []
        telemetry.clear()
        same_error, same = execute(timed(telemetry.adapter("fuzzed"), hooks))
        assert same_error is error
        assert same is bare
        assert len([span for span in telemetry.spans if span.name == "run fuzzed"]) == 1
        slowest.append(max(hooks))
    assert min(slowest) < (BUDGET,)


@fuzzed
@pytest.mark.parametrize("values_are_captured", ["false", "true"])
@given(make=values)
def test_any_result(telemetry: CapturedTelemetry, values_are_captured: str, make: Make) -> None:
    """Whatever a node returns is handed on as the same object, whether its value may leave the process or not."""
    value = make()

    def result() -> Any:
        return value

    with mock.patch.dict(os.environ, {"HAMILTON_OTEL_CAPTURE_VALUES": values_are_captured}):
        like_bare(telemetry, result)


@fuzzed
@given(make=values)
def test_any_input_of_a_failing_node(telemetry: CapturedTelemetry, make: Make) -> None:
    """Whatever a node had read when it failed, its own exception reaches the caller."""
    value = make()

    def given_value() -> Any:
        return value

    def result(given_value: Any) -> Any:
        raise LookupError("theirs")

    like_bare(telemetry, given_value, result)


@fuzzed
@given(make=values, behave=st.sampled_from([raises, panics, recurses, lambda self: "x" * 1_000_000]))
def test_any_exception(telemetry: CapturedTelemetry, make: Make, behave: Callable[..., Any]) -> None:
    """Whatever an exception does when it is looked at, it is the one that reaches the caller."""
    argument = make()
    kind = type("Theirs", (LookupError,), {"__str__": behave, "__repr__": behave})

    def result() -> Any:
        raise kind(argument)

    like_bare(telemetry, result)


@fuzzed
@given(make=values)
def test_any_annotation(telemetry: CapturedTelemetry, make: Make) -> None:
    """Whatever a node says about itself, it goes on."""
    value = make()

    def result() -> str:
        annotate(anything=value)
        return "done"

    like_bare(telemetry, result)


@fuzzed
@given(make_key=st.one_of(texts.map(constant), hostile()), make_value=values)
def test_any_tag(telemetry: CapturedTelemetry, make_key: Make, make_value: Make) -> None:
    """Tags of runs and nodes may be anything."""
    key, value = make_key(), make_value()
    if outcome(lambda: {key: value})[0] is not None:
        return

    def result() -> str:
        return "done"

    telemetry.clear()
    with run_tags(**{key if type(key) is str else "key": value}):
        dr = driver_of(result, adapters=[telemetry.adapter("fuzzed", {key: value, "team": value})])
        for node in dr.graph.nodes.values():
            node._tags = {key: value}
        assert dr.execute(["result"]) == {"result": "done"}
    assert {span.name for span in telemetry.spans} == {"run fuzzed", "node result"}
    assert all(len(str(item)) < 2_000 for span in telemetry.spans for item in (span.attributes or {}).items())


@fuzzed
@given(name=names)
def test_any_name_of_a_node(telemetry: CapturedTelemetry, name: str) -> None:
    """Nodes may be called anything that Hamilton takes."""

    def function() -> int:
        return 1

    function.__name__ = name
    like_bare(telemetry, function, output=name)


@fuzzed
@given(name=st.text(max_size=1_000))
def test_any_name_of_a_dag(telemetry: CapturedTelemetry, name: str) -> None:
    """A DAG's name is taken and shortened, or refused in one sentence where the adapter is made."""

    def result() -> int:
        return 1

    if not name.strip():
        with pytest.raises(SettingsError, match="is not a name"):
            telemetry.adapter(name)
        return
    adapter = telemetry.adapter(name)
    telemetry.clear()
    assert driver_of(result, adapters=[adapter]).execute(["result"]) == {"result": 1}
    assert all(len(span.name) < 300 for span in telemetry.spans)


VARIABLES = sorted(
    {name for name, _ in settings._standard_variables()}
    | set(re.findall(r'"((?:HAMILTON_)?OTEL_[A-Z_]+[A-Z])"', inspect.getsource(settings)))
    | {f"HAMILTON_OTEL_{server.upper()}_URL" for server in settings.SERVERS}
)
written = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["true", "http://[", "http://a:b", "http://:1", "a=b,=", "[", "(?P<", "1e400", "-0", "prod", "grpc"]
    ),
    st.from_regex(r"(https?|grpc)://[^\s\0]{0,20}(:\d{0,7})?", fullmatch=True),
)
VARIABLE = re.compile("|".join(sorted(VARIABLES, key=len, reverse=True)))


def refusal(**arguments: Any) -> str | None:
    """Return the sentence with which the settings are refused, None where they are taken."""
    try:
        assert isinstance(settings.load(**arguments), Settings)
    except SettingsError as error:
        return str(error)
    return None


@fuzzed
@pytest.mark.parametrize("variable", VARIABLES)
@given(value=written)
def test_any_value_of_a_setting(variable: str, value: str) -> None:
    """A setting is taken, or refused in one sentence that names it; in `prod` it never raises."""
    with mock.patch.dict(os.environ, {variable: value}):
        sentence = refusal(strict=True)
        assert refusal(profile="prod") is None
    if sentence is not None:
        assert sentence.startswith(variable)
        assert len(sentence.splitlines()) == 1


@fuzzed
@given(chosen=st.dictionaries(st.sampled_from(VARIABLES), written, max_size=8))
def test_any_values_of_settings(chosen: dict[str, str]) -> None:
    """The same for many at once: what one says does not make another raise something else."""
    with mock.patch.dict(os.environ, chosen):
        sentence = refusal()
        assert refusal(profile="prod") is None
    assert sentence is None or VARIABLE.match(sentence)


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_sentence_is_short_whatever_the_value(variable: str) -> None:
    """A long value is not repeated in full."""
    with mock.patch.dict(os.environ, {variable: "x" * 100_000}):
        assert len(refusal(strict=True) or "") < 1_000


class Unhashable:
    """Callable, with slots and without a hash, so that nothing can be remembered of it."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> int:
        return 1


@pytest.mark.parametrize("behind", [Unhashable(), len, partial(int, 1)])
def test_any_function_behind_a_node(telemetry: CapturedTelemetry, behind: Callable[..., Any]) -> None:
    """What cannot be hashed, weakly referred to, or has no source, has no version; its run is recorded."""

    def result() -> int:
        return 1

    dr = driver_of(result, adapters=[telemetry.adapter("fuzzed")])
    for node in dr.graph.nodes.values():
        node._originating_functions = (behind,)
    assert dr.execute(["result"]) == {"result": 1}
    assert "hamilton.node.version" not in (telemetry.span("node result").attributes or {})
