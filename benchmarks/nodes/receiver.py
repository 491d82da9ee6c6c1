"""A receiver in a process of its own, which accepts everything and counts spans by the first part of the path.

So its CPU is nobody's cost, and what a variant loses shows. It answers Hamilton's tracker and Datadog's as well. Not a
Collector: it keeps nothing but the ids of spans.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final
from urllib.request import urlopen

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_OTLP: Final = ("v1/traces", "v1/metrics", "v1/logs")


class Receiver:
    """A running receiver at *url*, seen from outside."""

    def __init__(self, url: str) -> None:
        self.url = url

    def spans(self) -> dict[str, int]:
        """Return how many different spans came, by the first part of the path.

        Requests that could not be read are counted under ``unreadable``.
        """
        with urlopen(f"{self.url}/counts", timeout=60) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Yield a receiver that runs meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Receiver(process.stdout.readline().strip())
    finally:
        process.stdin.close()  # it ends with its standard input, and so never outlives us
        process.wait(30)
        process.stdout.close()


def serve() -> None:
    """Print the URL and serve until standard input ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        sys.stdin.read()
        server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.ids: dict[str, set[bytes]] = {}
        self.unreadable = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        prefix, _, rest = self.path.strip("/").partition("/")
        if rest == "v1/traces":  # counted before it is answered, so that whoever waits for the answer finds it counted
            try:
                ids = _ids_of_json(body) if self.headers["Content-Type"] == "application/json" else _ids(body)
                self.server.ids.setdefault(prefix, set()).update(ids)
            except (DecodeError, ValueError, KeyError):
                self.server.unreadable += 1
        self._answer(b"" if rest in _OTLP else b'{"id": 1}')

    do_PUT = do_POST

    def do_GET(self) -> None:
        if self.path != "/counts":
            self._answer(b'{"id": 1}')
            return
        counts = {prefix: len(ids) for prefix, ids in self.server.ids.items()}
        self._answer(json.dumps({**counts, "unreadable": self.server.unreadable}).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


def _ids(body: bytes) -> Iterator[bytes]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield span.span_id


def _ids_of_json(body: bytes) -> Iterator[bytes]:
    """Return the ids in what our spool holds, which is delivered as it is."""
    for resource in json.loads(body)["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield bytes.fromhex(span["spanId"])


if __name__ == "__main__":
    serve()
