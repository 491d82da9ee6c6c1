"""Checks of `@check_output`: counted by result, on the check's span, and told where they fail."""

import asyncio
from typing import Any

import pandas as pd
import pytest
from hamilton import async_driver, driver
from hamilton.data_quality.base import AsyncDataValidator, DataValidationError, DataValidator, ValidationResult
from hamilton.function_modifiers import check_output, check_output_custom, subdag, value
from hamilton_otel.settings import CapturePolicy
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of, module_of


class Says(DataValidator):
    """Returns, or raises, what it is told."""

    def __init__(self, result: Any, name: str = "says", importance: str = "warn") -> None:
        super().__init__(importance)
        self._result, self._name = result, name

    def applies_to(self, datatype: type[type]) -> bool:
        return True

    def description(self) -> str:
        return "Says what it is told."

    def name(self) -> str:
        return self._name

    def validate(self, dataset: Any) -> ValidationResult:
        if isinstance(self._result, BaseException):
            raise self._result
        result: ValidationResult = self._result
        return result


class Refuses:
    """Has no truth value."""

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    __str__ = __bool__  # type: ignore[assignment]


FAILED = ValidationResult(False, "the password=hunter2 is wrong", {"rows": ["SECRETVALUE"]})


@check_output(range=(0, 10), data_type=int, importance="warn")
def checked(start: int) -> pd.Series:
    return pd.Series([start])


def checks(telemetry: CapturedTelemetry) -> dict[str, float]:
    """Return the counted checks as node, check and result."""
    names = ("hamilton.node.name", "hamilton.data_quality.check", "hamilton.data_quality.result")
    return {
        " ".join(str(dict(point)[name]) for name in names): count
        for point, count in telemetry.points("hamilton.data_quality.checks").items()
    }


def test_checks_are_counted_by_node_check_and_result(telemetry: CapturedTelemetry) -> None:
    """Each validator of `@check_output` counts under the node that it checks; the attributes are the catalogue's."""
    dr = driver_of(checked, adapters=[telemetry.adapter("d", {"team": "ops"})])
    for start in (5, 50):
        dr.execute(["checked"], inputs={"start": start})
    assert checks(telemetry) == {
        "checked range_validator pass": 1,
        "checked range_validator fail": 1,
        "checked data_type_validator pass": 2,
    }
    for point in telemetry.points("hamilton.data_quality.checks"):
        assert len(point) == 5
        assert point > {("hamilton.dag.name", "d"), ("hamilton.team", "ops")}


def test_a_check_tells_its_result_on_its_span_and_an_event_if_it_failed(telemetry: CapturedTelemetry) -> None:
    """The message is there without secrets; diagnostics are nowhere."""

    @check_output_custom(Says(FAILED), Says(ValidationResult(True, "fine"), "agrees"))
    def custom(start: int) -> int:
        return start

    driver_of(custom, adapters=[telemetry.adapter("d")]).execute(["custom"], inputs={"start": 5})
    attributes = dict(telemetry.span("node custom_says").attributes or {})
    assert attributes["hamilton.data_quality.check"] == "says"
    assert attributes["hamilton.data_quality.result"] == "fail"
    assert attributes["hamilton.data_quality.message"] == "the password=[redacted] is wrong"
    assert attributes["hamilton.outcome"] == "success"
    passed = dict(telemetry.span("node custom_agrees").attributes or {})
    assert (passed["hamilton.data_quality.result"], passed["hamilton.data_quality.message"]) == ("pass", "fine")
    (failed,) = telemetry.events("hamilton.data_quality.failed")
    assert failed.severity_text == "WARN"
    assert dict(failed.attributes or {}) == {
        "hamilton.dag.name": "d",
        "hamilton.run.id": attributes["hamilton.run.id"],
        "hamilton.node.name": "custom",
        "hamilton.data_quality.check": "says",
        "hamilton.data_quality.result": "fail",
        "hamilton.data_quality.message": "the password=[redacted] is wrong",
    }
    span = telemetry.span("node custom_says").context
    assert span is not None
    assert (failed.trace_id, failed.span_id) == (span.trace_id, span.span_id)
    told = [span.attributes for span in telemetry.spans] + [record.attributes for record in telemetry.logs]
    assert "SECRETVALUE" not in str([dict(attributes or {}) for attributes in told])


def test_a_message_is_cut(telemetry: CapturedTelemetry) -> None:
    """However long a message is, it has the policy's length."""

    @check_output_custom(Says(ValidationResult(False, "x" * 100_000)))
    def custom(start: int) -> int:
        return start

    adapter = telemetry.adapter("d")
    adapter.capture = CapturePolicy(max_text=50)
    driver_of(custom, adapters=[adapter]).execute(["custom"], inputs={"start": 5})
    (failed,) = telemetry.events("hamilton.data_quality.failed")
    assert len(str((failed.attributes or {})["hamilton.data_quality.message"])) < 150


def test_a_check_that_fails_the_run_is_counted_all_the_same(telemetry: CapturedTelemetry) -> None:
    """With importance `fail` the run has Hamilton's exception, and the check its count."""

    @check_output(range=(0, 10), importance="fail")
    def strict(start: int) -> int:
        return start

    with pytest.raises(DataValidationError):
        driver_of(strict, adapters=[telemetry.adapter("d")]).execute(["strict"], inputs={"start": 50})
    assert checks(telemetry) == {"strict range_validator fail": 1}
    assert len(telemetry.events("hamilton.data_quality.failed")) == 1


def test_checks_with_the_same_name_are_apart(telemetry: CapturedTelemetry) -> None:
    """Hamilton numbers validators of one name; so do counts."""

    @check_output_custom(Says(FAILED), Says(FAILED))
    def twice(start: int) -> int:
        return start

    driver_of(twice, adapters=[telemetry.adapter("d")]).execute(["twice"], inputs={"start": 5})
    assert checks(telemetry) == {"twice says fail": 1, "twice says_1 fail": 1}


def test_a_check_in_a_subdag_belongs_to_the_node_there(telemetry: CapturedTelemetry) -> None:
    """The namespace, which Hamilton's tag lacks, is part of the node's name; a validator's own dots are none."""

    @check_output_custom(Says(FAILED, "my.check"))
    def inner(start: int) -> int:
        return start

    inside = module_of(inner)

    @subdag(inside, inputs={"start": value(1)})
    def outer_inner(inner: int) -> int:
        return inner

    driver_of(outer_inner, adapters=[telemetry.adapter("d")]).execute(["outer_inner"])
    assert checks(telemetry) == {"outer_inner.inner my.check fail": 1}


@pytest.mark.parametrize(
    "result", [None, "passed", ValidationResult(Refuses(), "m"), pd.DataFrame()], ids=["none", "text", "bool", "frame"]
)
def test_what_is_no_result_is_not_counted(telemetry: CapturedTelemetry, result: Any) -> None:
    """A validator of the user's may return anything: the node is as it would be without telemetry."""
    validator = Says(result)

    @check_output_custom(validator)
    def custom(start: int) -> int:
        return start

    driver_of(custom, adapters=[telemetry.adapter("d")]).execute(["custom_says"], inputs={"start": 5})
    assert checks(telemetry) == {}
    assert "hamilton.data_quality.result" not in (telemetry.span("node custom_says").attributes or {})


def test_a_message_that_cannot_be_read_is_no_harm(telemetry: CapturedTelemetry) -> None:
    """The result counts, whatever the message's methods do."""

    @check_output_custom(Says(ValidationResult(True, Refuses())))
    def custom(start: int) -> int:
        return start

    driver_of(custom, adapters=[telemetry.adapter("d")]).execute(["custom"], inputs={"start": 5})
    assert checks(telemetry) == {"custom says pass": 1}


def test_a_validator_that_raises_is_a_failed_node(telemetry: CapturedTelemetry) -> None:
    """It has found nothing."""

    @check_output_custom(Says(ValueError("broken")))
    def custom(start: int) -> int:
        return start

    with pytest.raises(ValueError, match="broken"):
        driver_of(custom, adapters=[telemetry.adapter("d")]).execute(["custom"], inputs={"start": 5})
    assert checks(telemetry) == {}
    attributes = telemetry.span("node custom_says").attributes or {}
    assert (attributes["hamilton.outcome"], attributes["hamilton.data_quality.check"]) == ("failure", "says")


def test_the_async_driver_counts_checks(telemetry: CapturedTelemetry) -> None:
    """Validators that are awaited count like others."""

    class Awaited(Says, AsyncDataValidator):
        async def validate(self, dataset: Any) -> ValidationResult:
            await asyncio.sleep(0)
            return FAILED

    @check_output_custom(Awaited(None))
    def custom(start: int) -> int:
        return start

    async def main() -> None:
        builder = async_driver.Builder().with_modules(module_of(custom))
        dr = await builder.with_adapters(*telemetry.async_adapters("d")).build()
        await dr.execute(["custom"], inputs={"start": 5})

    asyncio.run(main())
    assert checks(telemetry) == {"custom says fail": 1}


def test_checks_count_in_cached_runs(
    telemetry: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A run that takes a check's result from the cache rests on it, so it counts."""
    monkeypatch.chdir(tmp_path)
    builder = driver.Builder().with_modules(module_of(checked)).with_adapters(telemetry.adapter("d"))
    dr = builder.with_cache(path="cache").build()
    for times in (1, 2):
        dr.execute(["checked"], inputs={"start": 50})
        assert checks(telemetry)["checked range_validator fail"] == times
