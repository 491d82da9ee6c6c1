"""Stands in for a Collector where a test decides what is answered: a real one fails when it likes."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_REQUESTS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass
class Receiver:
    """What has been accepted; `answer` says which status a request gets, and may wait."""

    url: str = ""
    answer: Callable[[str], int] = lambda path: 200
    accepted: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def spans(self) -> list[str]:
        """Return the names of the spans that were accepted, each span once."""
        found = {
            span.span_id: span.name
            for path, request in self.accepted
            if path == "/v1/traces"
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }
        return list(found.values())

    def bodies(self) -> list[str]:
        """Return the bodies of the log records that were accepted."""
        return [
            record.body.string_value
            for path, request in self.accepted
            if path == "/v1/logs"
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def total(self, metric: str) -> float:
        """Return the sum of the accepted points of a delta counter, or of a histogram's counts."""
        return sum(
            float(getattr(point, "count", 0) or getattr(point, "as_int", 0) or getattr(point, "as_double", 0))
            for path, request in self.accepted
            if path == "/v1/metrics"
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in (*found.sum.data_points, *found.histogram.data_points)
        )


@contextmanager
def receiving(answer: Callable[[str], int] = lambda path: 200, port: int = 0) -> Iterator[Receiver]:
    """Serve on *port* (0: any) until the block ends."""
    receiver = Receiver(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.asked.append(self.path)
            receiver.headers.append(dict(self.headers))
            status = receiver.answer(self.path)
            if status < 400:
                receiver.accepted.append((self.path, _parsed(self.path, self.headers, body)))
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return

        def log_message(self, *arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()


def _parsed(path: str, headers: Any, body: bytes) -> Any:
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    if "json" not in headers["Content-Type"]:
        return _REQUESTS[path].FromString(body)
    from google.protobuf.json_format import ParseDict
    from hamilton_otel.delivery.transport import _with_binary_ids

    return ParseDict(_with_binary_ids(json.loads(body)), _REQUESTS[path]())
