import logging

import pytest
from hamilton_otel import semconv
from hamilton_otel.guard import Guard
from hamilton_otel.health import health


def test_errors_are_swallowed_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same error in the same place is counted every time and logged once."""
    guard = Guard()
    health.reset()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with guard("a place"):
                raise ValueError("secret")
    assert [observation.value for observation in health.observations(semconv.TELEMETRY_ERRORS)] == [3]
    assert [record.getMessage() for record in caplog.records] == [
        "hamilton-otel failed in a place (ValueError); the run is not affected and this is logged once."
    ]


def test_interruptions_pass() -> None:
    """KeyboardInterrupt belongs to the user and is not swallowed."""
    with pytest.raises(KeyboardInterrupt), Guard()("a place"):
        raise KeyboardInterrupt
