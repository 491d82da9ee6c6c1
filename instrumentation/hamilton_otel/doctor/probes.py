"""Sends a span, a log line of the same trace and a count the way of all telemetry, and looks them up in the servers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any, Final

from hamilton_otel import semconv
from hamilton_otel.delivery.endpoint import Endpoint
from hamilton_otel.version import VERSION

from .reach import Trouble
from .receivers import send
from .servers import Server

SERVICE: Final = "hamilton-otel-doctor"
"""The service of the probes."""
_POLL_SECONDS: Final = 0.5
_LOKI_AROUND: Final = 300 * 10**9
_DELTA: Final = 1

Tell = Callable[[str], object]


class Probes:
    """The probes of one examination.

    Each method takes the server to look in, returns what it found, and raises :class:`Trouble` where the probe has not
    arrived *timeout* seconds after it was sent. *tell* is called while it waits.
    """

    def __init__(self, receivers: Mapping[str, Endpoint], environment: str, timeout: float, tell: Tell) -> None:
        self._receivers = receivers
        self._timeout = timeout
        self._tell = tell
        self._ids = {"traceId": token_hex(16), "spanId": token_hex(8)}
        resource = {"service.name": SERVICE, "deployment.environment.name": environment}
        self._resource = {"attributes": [{"key": k, "value": {"stringValue": v}} for k, v in resource.items()]}

    def span(self, jaeger: Server) -> str:
        """Send a span and find it in Jaeger."""
        jaeger.reach(self._timeout)
        now = time.time_ns()
        times = {"startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now)}
        self._send("traces", "Spans", {"spans": [{**self._ids, **times, "name": "probe", "kind": 1}]})
        path = f"/api/traces/{self._ids['traceId']}"
        seconds = self._await("span", jaeger, lambda: jaeger.ask(path, self._timeout))
        return f"a span arrived after {seconds:.1f} s: trace {self._ids['traceId']}"

    def line(self, loki: Server) -> str:
        """Send a log line and find it in Loki."""
        loki.reach(self._timeout)
        now = time.time_ns()
        severity = {"severityNumber": 9, "severityText": "INFO"}
        body = {"body": {"stringValue": "Probe of hamilton-otel doctor"}}
        self._send("logs", "Logs", {"logRecords": [{**self._ids, **severity, **body, "timeUnixNano": str(now)}]})
        query = f'{{service_name="{SERVICE}"}} | trace_id="{self._ids["traceId"]}"'
        path, span = "/loki/api/v1/query_range", {"start": now - _LOKI_AROUND, "end": now + _LOKI_AROUND}
        seconds = self._await("line", loki, lambda: loki.ask(path, self._timeout, query=query, **span)["result"])
        return f"a log line of the same trace arrived after {seconds:.1f} s"

    def count(self, prometheus: Server) -> str:
        """Count one probe and see that Prometheus counts it."""
        prometheus.reach(self._timeout)
        before = self._counted(prometheus)
        self._send("metrics", "Metrics", {"metrics": [_one_more_probe()]})
        # Not "more than before": a Collector that was started anew counts from zero.
        seconds = self._await("count", prometheus, lambda: self._counted(prometheus) not in (0, before))
        return f"the count went from {before} to {self._counted(prometheus)} after {seconds:.1f} s"

    def _counted(self, prometheus: Server) -> int:
        query = f'sum({semconv.TELEMETRY_PROBES.prometheus_name}{{job="{SERVICE}"}})'
        result = prometheus.ask("/api/v1/query", self._timeout, query=query)["result"]
        return round(float(result[0]["value"][1])) if result else 0

    def _send(self, signal: str, kind: str, content: Mapping[str, Any]) -> None:
        scoped = {"scope": {"name": semconv.SCOPE, "version": VERSION}, **content}
        request = {f"resource{kind}": [{"resource": self._resource, f"scope{kind}": [scoped]}]}
        send(self._receivers[signal], json.dumps(request).encode(), self._timeout)

    def _await(self, what: str, server: Server, found: Callable[[], object]) -> float:
        """Return after how many seconds the probe was *found*."""
        started = time.monotonic()
        while not found():
            left = self._timeout - (time.monotonic() - started)
            if left <= 0:
                raise _lost(what, server, self._timeout)
            self._tell(f"waiting {left:.0f} s at the most for the {what} in {server.name}")
            time.sleep(min(_POLL_SECONDS, left))
        return time.monotonic() - started


def _one_more_probe() -> dict[str, Any]:
    metric, now = semconv.TELEMETRY_PROBES, time.time_ns()
    point = {"asInt": "1", "startTimeUnixNano": str(now - 1_000_000), "timeUnixNano": str(now)}
    counted = {"aggregationTemporality": _DELTA, "isMonotonic": True, "dataPoints": [point]}
    return {"name": metric.name, "unit": metric.unit, "description": metric.meaning, "sum": counted}


def _lost(what: str, server: Server, timeout: float) -> Trouble:
    detail = f"the {what} was accepted but is not in {server.name} at {server} after {timeout:g} s"
    if what == "count":
        return Trouble(detail, f"see at {server}/targets that it scrapes the Collector, or wait longer with --timeout")
    return Trouble(detail, f"see in the Collector's log where it sends to, or correct {server.setting}")
