"""Adapters of others that need a server and a package of their own.

Not for Hamilton's OpenTelemetryTracer, which needs neither (``variants.py``).
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Sequence
from time import sleep
from typing import Any

from .adapters import DAG

Peer = tuple[Sequence[Any], Callable[[], object]]
"""Adapters for a driver, and what waits until they have sent what they have."""


class NotInstalled(Exception):
    """A variant cannot be measured here; the message says why."""


def hamilton_tracker(url: str) -> Peer:
    """Return the tracker of the Hamilton UI, which is played by the receiver at *url*."""
    try:
        adapters = importlib.import_module("hamilton_sdk.adapters")
    except ImportError as error:
        raise NotInstalled(f"apache-hamilton-sdk is not installed: {error}") from error
    logging.getLogger("hamilton_sdk").setLevel(logging.ERROR)
    tracker = adapters.HamiltonTracker(
        project_id=1, username="benchmark", dag_name=DAG, hamilton_api_url=url, hamilton_ui_url=url
    )

    def flush() -> None:  # it has none; the last hundred items may still be on their way
        while not tracker.client.data_queue.empty():
            sleep(0.01)

    return [tracker], flush


def datadog(url: str) -> Peer:
    """Return Hamilton's tracer for Datadog, whose agent is played by the receiver at *url*."""
    os.environ.update(
        DD_TRACE_AGENT_URL=url,
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
    )
    logging.getLogger("hamilton.plugins.h_ddog").disabled = True  # it logs what it raises
    try:
        tracer = importlib.import_module("ddtrace").tracer
        adapter = importlib.import_module("hamilton.plugins.h_ddog").DDOGTracer("benchmark")
    except ImportError as error:
        raise NotInstalled(f"ddtrace below 3 is not installed: {error}") from error
    return [adapter], tracer.flush
