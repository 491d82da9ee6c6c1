import asyncio
from concurrent.futures.process import BrokenProcessPool

import pytest
import requests
from hamilton_otel import errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "system"),
        (FileNotFoundError(), "system"),
        (TimeoutError(), "system"),
        (BrokenProcessPool(), "system"),
        (requests.ConnectionError(), "system"),
        (ValueError(), "user"),
        (KeyError("x"), "user"),
        (ZeroDivisionError(), "user"),
    ],
)
def test_the_kind_says_whose_fault_it_is(error: Exception, kind: str) -> None:
    """Memory, files, network and workers are `system`; the rest is `user`."""
    assert errors.error_kind(error) == kind


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(0), asyncio.CancelledError()])
def test_interruptions_are_cancelled(error: BaseException) -> None:
    """What stops a run from outside is `cancelled`."""
    assert errors.outcome_of(error) == "cancelled"


def test_error_types_are_qualified_but_for_builtins() -> None:
    """`error.type` is module and name, for builtins the name alone."""
    assert errors.error_type(ValueError()) == "ValueError"
    assert errors.error_type(requests.ConnectionError()) == "requests.exceptions.ConnectionError"
