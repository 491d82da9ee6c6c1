"""The pytest plugin (entry point ``pytest11``): the fixture ``hamilton_telemetry``.

What it gives is in ``testing.py``, which is imported when the first test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import CapturedTelemetry


@pytest.fixture
def hamilton_telemetry() -> Iterator[CapturedTelemetry]:
    """Telemetry of the DAGs under test, kept in memory.

    .. code-block:: python

        def test_prices(hamilton_telemetry):
            adapter = hamilton_telemetry.adapter("prices")
            dr = driver.Builder().with_modules(prices).with_adapters(adapter).build()
            dr.execute(["total"], inputs={"path": "prices.csv"})
            assert hamilton_telemetry.span("node total").attributes["hamilton.outcome"] == "success"
    """
    from .testing import CapturedTelemetry

    captured = CapturedTelemetry()
    yield captured
    captured.shutdown()
