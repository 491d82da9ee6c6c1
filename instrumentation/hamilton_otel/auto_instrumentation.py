"""Keeps ``opentelemetry-instrument`` from what we bring for our own use: a library that measures the whole host.

It instruments with everything that is installed, and each process, however short, would send hundreds of series. Who
wants them sets the variable. Entry points ``opentelemetry_pre_instrument`` and ``opentelemetry_post_instrument``.
"""

from __future__ import annotations

import os
from typing import Final

EXCLUDED: Final = "OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS"
_ALL: Final = "*"


def before() -> None:
    """Have the system's metrics excluded, where the environment says nothing of them."""
    os.environ.setdefault(EXCLUDED, _ALL)


def after() -> None:
    """Leave the environment as it was, for the processes that this one starts."""
    if os.environ.get(EXCLUDED) == _ALL:
        del os.environ[EXCLUDED]
