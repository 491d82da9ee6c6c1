"""Stopping and starting the Collector with nothing lost in between."""

import functools
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stack import Stack, StackError
from stack.drain import Drain
from stack.recipes import ROOT
from tests.stack.backends import eventually
from tests.stack.delivery import Senders, increase
from tests.stack.servers import new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of this module's own: the runs that the senders start never end, which elsewhere is a finding."""
    with new_stack(tmp_path_factory.mktemp("stack")) as servers:
        yield servers


def restart_collector(stack: Stack) -> None:
    stack.servers["collector"].start()
    stack.servers["collector"].wait_ready()


def test_drained_restarts_lose_no_count(stack: Stack) -> None:
    """Senders over HTTP and gRPC go on while the Collector is drained and started, twice: exactly their runs count."""
    over_grpc = {"grpc": f"127.0.0.1:{stack.ports.otlp_grpc}"}
    with Senders(stack, "drained", 2) as http, Senders(stack, "drained_grpc", 2, **over_grpc) as grpc:
        for runs in (100, 300):
            eventually(functools.partial(have_seen, stack, runs))
            stack.drain()
            assert not stack.servers["collector"].running
            restart_collector(stack)
    assert http.acknowledged.retries > 0
    assert grpc.acknowledged.retries > 0
    for name, senders in {"drained": http, "drained_grpc": grpc}.items():
        runs = len(senders.acknowledged.runs)
        eventually(functools.partial(has_exactly, stack, name, runs))


def have_seen(stack: Stack, runs: int) -> bool:
    return min(increase(stack, "drained"), increase(stack, "drained_grpc")) >= runs


def has_exactly(stack: Stack, name: str, runs: int) -> bool:
    assert increase(stack, name) == runs
    return True


def test_the_command_drains_the_collector(stack: Stack) -> None:
    """`python -m stack drain -- kill -TERM PID` says what it does, and ends when the Collector may."""
    collector = stack.servers["collector"]
    command = [sys.executable, "-m", "stack", "drain", "--grpc", f"127.0.0.1:{stack.ports.otlp_grpc}"]
    command += ["--prometheus", stack.prometheus, "--", "kill", "-TERM", str(collector.pid)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [line for line in done.stderr.splitlines() if line] == [
        "Stopping the intake.",
        "The intake is closed; waiting for Prometheus to scrape the last counts.",
        "Every count is in Prometheus; the Collector ends.",
        "Drained; start the Collector again as usual.",
    ]
    eventually(lambda: not collector.running)
    restart_collector(stack)


def test_a_command_that_stops_nothing_is_named(stack: Stack) -> None:
    """The Collector goes on, and the sentence says what to check."""
    drain = Drain(f"127.0.0.1:{stack.ports.otlp_grpc}", stack.prometheus, timeout=1)
    with pytest.raises(StackError, match=r"still takes telemetry: check that the command stops this one"):
        drain.stop(lambda: None)
    assert stack.servers["collector"].running
