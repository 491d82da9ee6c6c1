"""Turns log records and metrics into lines of OTLP JSON, and counts what a line holds.

A line is one export request, as OpenTelemetry's file exporter writes it. Not for spans (``span_json.py``) nor for
where lines are kept (``spool.py``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.exporter.otlp.json.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.json.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData

_LISTS: Final = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}
_KINDS: Final = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")


def of_logs(batch: Sequence[ReadableLogRecord]) -> bytes:
    """Return *batch* as a line."""
    return _line(encode_logs(batch).to_dict())


def of_metrics(batch: Sequence[MetricsData]) -> bytes:
    """Return the deltas of *batch* as a line, empty where it has none.

    What states how things are (a gauge, a cumulative sum) would be wrong by the time that it is replayed: a process
    that died long ago would seem to live.
    """
    resources = [_deltas(resource) for data in batch for resource in data.resource_metrics]
    kept = [resource for resource in resources if resource.scope_metrics]
    return _line(encode_metrics(MetricsData(kept)).to_dict()) if kept else b""


def items_in(signal: str, line: bytes) -> int:
    """Return how many spans, log records or data points *line* holds; raise ValueError where it is not OTLP JSON."""
    outer, middle, inner = _LISTS[signal]
    try:
        found = [
            item for resource in json.loads(line)[outer] for scope in resource.get(middle, ()) for item in scope[inner]
        ]
        if signal != "metrics":
            return len(found)
        return sum(len(metric[kind]["dataPoints"]) for metric in found for kind in _KINDS if kind in metric)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no {outer}: {error}") from None


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _deltas(resource: Any) -> Any:
    scopes = [
        replace(scope, metrics=[metric for metric in scope.metrics if _is_delta(metric)])
        for scope in resource.scope_metrics
    ]
    return replace(resource, scope_metrics=[scope for scope in scopes if scope.metrics])


def _is_delta(metric: Any) -> bool:
    return getattr(metric.data, "aggregation_temporality", None) is AggregationTemporality.DELTA
