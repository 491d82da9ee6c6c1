"""Records what an observed process sends and makes copies of it, each as if another process had sent it just now.

So that senders cost next to nothing. Not for sending (``load.py``) nor for the cost of observing.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

NODES = 18
HOST = "127.0.0.1"
ANSWER = 0.03
"""Seconds to an answer while recording: about as long as a busy Collector takes, so that batches are as large."""
AROUND = 10**12
"""Nanoseconds around the last span's end within which eight bytes are taken for a time."""
_LENGTH_AND_ID = re.compile(rb"(?s)(?<=[\x08\x10])(?=(.{8}))")
PROGRAM = """
import sys
import hamilton_otel, orders
from hamilton import driver
hamilton_otel.configure(profile="ci", service_name="capacity")
adapter = hamilton_otel.TelemetryAdapter("orders", tags={"team": "benchmarks"})
dr = driver.Builder().with_modules(orders).with_adapters(adapter).build()
for _ in range(int(sys.argv[1])):
    dr.execute(["feature_19"], inputs={"feature_0": [1.0, 2.0], "feature_1": [3.0, 4.0]})
"""
_NODE = '''
@tag(stage="features", owner="forecasting")
def feature_{number}(feature_{one}: list[float], feature_{two}: list[float]) -> list[float]:
    """Feature {number} of each order."""
    return [x + y for x, y in zip(feature_{one}, feature_{two})]
'''


@dataclass(frozen=True)
class Request:
    """A request as it was sent: path, body before compression, bytes with headers as they were on the wire."""

    path: str
    body: bytes
    wire: int


@dataclass(frozen=True)
class Recording:
    """All that one process sent that executed *nodes* nodes."""

    requests: Sequence[Request]
    nodes: int
    spans: int

    @property
    def wire(self) -> int:
        """Bytes of all requests."""
        return sum(request.wire for request in self.requests)

    @property
    def trace_wire(self) -> int:
        """Bytes of the requests that carry spans."""
        return sum(request.wire for request in self.requests if request.path == "/v1/traces")


def record(runs: int, *, compressed: bool = False) -> Recording:
    """Return what a process sends that executes so many runs of ``NODES`` nodes as fast as it can."""
    requests: list[Request] = []

    def keep(path: str, headers: Message, body: bytes) -> None:
        plain = gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body
        time.sleep(ANSWER)
        requests.append(Request(path, plain, len(f"POST {path} HTTP/1.1\r\n") + len(headers.as_bytes()) + len(body)))

    with receiver(keep) as port, tempfile.TemporaryDirectory() as directory:
        nodes = (_NODE.format(number=n, one=n - 1, two=n - 2) for n in range(2, NODES + 2))
        Path(directory, "orders.py").write_text("from hamilton.function_modifiers import tag\n" + "\n".join(nodes))
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(runs)],
            env={
                **{name: value for name, value in os.environ.items() if "OTEL_" not in name},
                "PYTHONPATH": os.pathsep.join(filter(None, [directory, os.environ.get("PYTHONPATH")])),
                "HAMILTON_OTEL_SPOOL": "none",
                "HAMILTON_OTEL_EXIT_TIMEOUT": "60",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip" if compressed else "none",
            },
            check=True,
            timeout=120,
        )
    return Recording(requests, runs * NODES, sum(1 for _ in _spans(requests)))


def _spans(requests: Iterable[Request]) -> Iterator[Span]:
    for resource in _resources(requests):
        for scope in resource.scope_spans:
            yield from scope.spans


def _resources(requests: Iterable[Request]) -> Iterator[ResourceSpans]:
    for request in requests:
        if request.path == "/v1/traces":
            yield from ExportTraceServiceRequest.FromString(request.body).resource_spans


@contextmanager
def receiver(received: Callable[[str, Message, bytes], object]) -> Iterator[int]:
    """Accept every HTTP request; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            received(self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class Copies:
    """Makes copies of a recording, each as if another process had sent it just now."""

    def __init__(self, recording: Recording) -> None:
        spans = list(_spans(recording.requests))
        resource = next(_resources(recording.requests)).resource
        self._instance = next(
            each.value.string_value.encode() for each in resource.attributes if each.key == "service.instance.id"
        )
        ids = {id_[:8] for span in spans for id_ in (span.trace_id, span.span_id)}
        self._recorded = max(span.end_time_unix_nano for span in spans)
        around = range(self._recorded - AROUND, self._recorded + AROUND)
        # Two upper bytes of a time in nanoseconds stay the same for three days.
        times = re.compile(b"(?s)(?=(.{6}%b))" % re.escape(self._recorded.to_bytes(8, "little")[6:]))
        self._templates = [
            _Template(
                request.path,
                request.body,
                _marks(request.body, _LENGTH_AND_ID, ids.__contains__),
                _marks(request.body, times, lambda eight: int.from_bytes(eight, "little") in around),
            )
            for request in recording.requests
        ]

    def make(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and body of each request of one more process."""
        nonce, later = uuid.uuid4().int >> 64, time.time_ns() - self._recorded
        name = str(uuid.uuid4()).encode()
        for template in self._templates:
            yield template.path, template.changed(nonce, later).replace(self._instance, name)


class _Template:
    """A request as one large number; *ids* and *times* have a one where an id or a time begins.

    So one multiplication by a random number, or by the time that has passed, changes them all.
    """

    def __init__(self, path: str, body: bytes, ids: bytes, times: bytes) -> None:
        self.path = path
        self._size = len(body)
        self._body, self._ids, self._times = (int.from_bytes(each, "little") for each in (body, ids, times))

    def changed(self, nonce: int, later: int) -> bytes:
        return ((self._body + self._times * later) ^ (self._ids * nonce)).to_bytes(self._size, "little")


def _marks(body: bytes, pattern: re.Pattern[bytes], wanted: Callable[[bytes], bool]) -> bytes:
    marks = bytearray(len(body))
    for found in pattern.finditer(body):
        if wanted(found[1]):
            marks[found.start()] = 1
    return bytes(marks)
