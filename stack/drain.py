"""Stops the Collector without losing a count: no new telemetry, one more scrape, and only then the end.

The totals that Prometheus scrapes live in the Collector's memory; a plain stop loses what it took since the last
scrape. At SIGTERM it first closes its intake, HTTP before gRPC, and waits there for the calls in progress. So one call
that has been opened and sends nothing keeps it, closed, until Prometheus has been. Not for starting anything.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import requests

from .errors import StackError

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
#: Longer than what the Collector holds back before its totals grow: batch/serialise in collector/config.yaml.
SETTLE_SECONDS = 1.0
TARGETS = 'up{job=~"collector-(aggregated|live)"}'

Say = Callable[[str], object]


@dataclass(frozen=True)
class Drain:
    """Which Collector, which Prometheus, and how many seconds each step may take."""

    otlp_grpc: str
    prometheus: str
    certificate: Path | None = None
    timeout: float = 60

    def stop(self, stop: Callable[[], object], say: Say = lambda step: None) -> None:
        """Call *stop*, which has to make the Collector stop, and return when that loses nothing any more."""
        targets = len(self._scrapes())
        if not targets:
            raise StackError(
                f"Prometheus at {self.prometheus} does not scrape the Collector ({TARGETS} is 1 nowhere), so nothing "
                "was stopped: let it scrape the Collector first, or name another one with --prometheus."
            )
        with self._channel() as channel, _held_open(channel, self.otlp_grpc):
            say("Stopping the intake")
            stop()
            self._wait(
                lambda: not _answers(channel),
                f"The Collector at {self.otlp_grpc} still takes telemetry: check that the command stops this one.",
            )
            closed = self._query("time()")[0]
            say("The intake is closed; waiting for Prometheus to scrape the last counts")
            self._wait(
                lambda: sum(scrape > closed + SETTLE_SECONDS for scrape in self._scrapes()) >= targets,
                "Counts since the last scrape are lost, because Prometheus did not scrape the Collector again: "
                "look at its page of targets, and give the Collector longer to stop than a scrape interval.",
            )
        say("Every count is in Prometheus; the Collector ends")

    def _channel(self) -> grpc.Channel:
        if not self.certificate:
            return grpc.insecure_channel(self.otlp_grpc)
        try:
            authority = self.certificate.read_bytes()
        except OSError as error:
            raise StackError(
                f"--certificate is {self.certificate}, which cannot be read ({error.strerror}): name the file of the "
                "authority that signed the Collector's certificate."
            ) from error
        return grpc.secure_channel(self.otlp_grpc, grpc.ssl_channel_credentials(authority))

    def _scrapes(self) -> list[float]:
        """When the Collector's pages of totals were scraped last, by Prometheus' clock."""
        return self._query(f"timestamp({TARGETS}) and {TARGETS} == 1")

    def _query(self, expression: str) -> list[float]:
        try:
            response = requests.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=10)
            response.raise_for_status()
            result = response.json()["data"]["result"]
        except (requests.RequestException, ValueError, KeyError) as error:
            raise StackError(
                f"Prometheus does not answer at {self.prometheus}: start it or name another one with --prometheus."
            ) from error
        samples: Sequence[Sequence[object]] = (
            [result] if expression == "time()" else [series["value"] for series in result]
        )
        return [float(str(sample[1])) for sample in samples]

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self.timeout
        while not condition():
            if time.monotonic() > deadline:
                raise StackError(f"{otherwise} (Waited for {self.timeout:.0f} s.)")
            time.sleep(0.1)


@contextmanager
def _held_open(channel: grpc.Channel, address: str) -> Iterator[None]:
    """Hold a call open that the Collector has begun to handle."""
    released = threading.Event()

    def nothing_yet() -> Iterator[bytes]:
        released.wait()
        yield b""

    if not _answers(channel):
        raise StackError(
            f"The Collector does not answer over gRPC at {address}, so nothing was stopped: name its address with "
            "--grpc, and its authority with --certificate where it wants TLS."
        )
    call = channel.stream_unary(EXPORT, bytes, bytes).future(nothing_yet())
    try:
        # On the same connection, so an answer to this one says that the Collector has seen that one.
        _answers(channel)
        yield
    finally:
        released.set()
        # Whether the Collector likes the empty call does not matter.
        call.exception(timeout=10)


def _answers(channel: grpc.Channel) -> bool:
    """Whether the Collector takes a new call; a refusal for want of a token is an answer too."""
    try:
        channel.unary_unary(EXPORT, bytes, bytes)(b"", timeout=5)
    except grpc.RpcError as error:
        return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True
