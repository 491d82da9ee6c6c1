"""How much longer a process takes to end because of telemetry: `python -m benchmarks.exits`, written as a table.

Each way that a receiver can fail, with the SDK's own processors and with ours, many times the batch of one export
queued. Not for the cost of a node.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .machine import describe

RESULTS = Path(__file__).with_name("results") / "exits.json"
SPANS = 2_000
MEASURED = """
import atexit, os, time
def end():
    os.write(1, f"took {time.monotonic() - began:.3f}".encode())
atexit.register(end)  # the first to be registered is the last to be called
"""
PROGRAM = """
from opentelemetry import trace, metrics
tracer = trace.get_tracer("exits")
metrics.get_meter("exits").create_counter("spans").add(1)
for _ in range({spans}):
    tracer.start_span("span").end()
began = time.monotonic()
"""
STOCK = """
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry import metrics, trace
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
"""
OURS = """
import hamilton_otel
hamilton_otel.configure()
"""


@contextmanager
def receiver(answer: str) -> Iterator[str]:
    """Yield the URL of a receiver that accepts, or fails in the way of *answer*."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            release.wait({"hangs": 120.0, "answers after 3 s": 3.0}.get(answer, 0.0))
            try:
                self.send_response(503 if answer == "is unavailable (503)" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return

        def log_message(self, *arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    if answer == "refuses":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{unused.getsockname()[1]}"
        return
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        release.set()
        server.shutdown()


def seconds(setup: str, url: str) -> float:
    """Return how long the end of a program took that was set up so."""
    with tempfile.TemporaryDirectory() as spool:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED + setup + PROGRAM.format(spans=SPANS)],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "HAMILTON_OTEL_SPOOL": spool},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    found = re.search(r"took ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    return float(found.group(1))


def main(rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3) -> None:
    """Measure, print a table, and write the figures beside this file."""
    console = Console()
    answers = ("accepts", "refuses", "hangs", "is unavailable (503)", "answers after 3 s")
    figures = {}
    for answer in track(answers, "Measuring", console=console, transient=True):
        with receiver(answer) as url:
            figures[answer] = {
                name: statistics.median(seconds(setup, url) for _ in range(rounds))
                for name, setup in (("OpenTelemetry's processors", STOCK), ("ours", OURS))
            }
    table = Table("the receiver", *next(iter(figures.values())), title=f"Seconds to end with {SPANS} spans queued")
    for answer, by_setup in figures.items():
        table.add_row(answer, *(f"{figure:.2f}" for figure in by_setup.values()))
    console.print(table)
    measured = {"machine": describe(), "spans": SPANS, "rounds": rounds, "seconds": figures}
    RESULTS.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
