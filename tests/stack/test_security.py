"""The Collector with collector/secure.yaml: TLS and a token, and what becomes of programs that have neither."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from stack import Stack
from stack.drain import EXPORT, Drain
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.servers import new_stack

WORKLOAD = Path(__file__).with_name("workload.py")
TOKEN = "a-token-of-this-test"
PROTOCOLS = ("http/protobuf", "grpc")


@dataclass(frozen=True)
class Authorities:
    """Two certificate authorities: the Collector's own, and one that has nothing to do with it."""

    directory: Path

    @property
    def right(self) -> Path:
        return self.directory / "right.pem"

    @property
    def wrong(self) -> Path:
        return self.directory / "wrong.pem"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Files for the Collector and for its clients."""
    made = Authorities(tmp_path_factory.mktemp("secrets"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.right))
    trustme.CA().cert_pem.write_to_path(str(made.wrong))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(made.directory / "collector.pem"))
    (made.directory / "token").write_text(f"token: {TOKEN}\n")
    return made


@pytest.fixture(scope="module")
def stack(authorities: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of this module's own, whose Collector wants TLS and a token."""
    pem = str(authorities.directory / "collector.pem")
    settings = {"COLLECTOR_CERTIFICATE": pem, "COLLECTOR_KEY": pem}
    settings["COLLECTOR_TOKEN_FILE"] = str(authorities.directory / "token")
    with new_stack(tmp_path_factory.mktemp("stack"), ["secure.yaml"], **settings) as servers:
        yield servers


@dataclass(frozen=True)
class Program:
    """One observed program, and how it introduces itself to the Collector."""

    protocol: str
    mistake: str | None = None

    @property
    def name(self) -> str:
        return f"{self.mistake or 'right'} {self.protocol}"

    def endpoint(self, stack: Stack) -> str:
        port = stack.ports.otlp_grpc if self.protocol == "grpc" else stack.ports.otlp_http
        return f"https://127.0.0.1:{port}"

    def run(self, stack: Stack, authorities: Authorities) -> "subprocess.CompletedProcess[str]":
        token = {"wrong token": f"{TOKEN}-no", "empty token": ""}.get(self.mistake or "", TOKEN)
        environment = {
            **os.environ,
            "OTEL_SERVICE_NAME": self.name,
            # Or one that is welcome would deliver what others have kept.
            "HAMILTON_OTEL_SPOOL": str(authorities.directory / "spool" / self.name),
            # Which must not win over the exporter's own certificate.
            "REQUESTS_CA_BUNDLE": str(authorities.wrong),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint(stack),
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(
                authorities.wrong if self.mistake == "wrong authority" else authorities.right
            ),
            # Several start at once on two cores.
            "HAMILTON_OTEL_EXIT_TIMEOUT": "10",
        }
        if self.mistake == "no token":
            del environment["OTEL_EXPORTER_OTLP_HEADERS"]
        return subprocess.run(
            [sys.executable, str(WORKLOAD), "prints", json.dumps({"dag": self.name})],
            env=environment,
            cwd=authorities.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


WELCOME = [Program(protocol) for protocol in PROTOCOLS]
REFUSED = [
    Program(protocol, mistake)
    for mistake in ("wrong token", "no token", "empty token", "wrong authority")
    for protocol in PROTOCOLS
]
Outcomes = dict[Program, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def outcomes(stack: Stack, authorities: Authorities) -> Outcomes:
    """What became of every program; those that are welcome came last."""
    with ThreadPoolExecutor(4) as pool:
        programs = [*REFUSED, *WELCOME]
        return dict(zip(programs, pool.map(lambda program: program.run(stack, authorities), programs), strict=True))


def starts(stack: Stack, program: Program) -> float | None:
    return backends.value(stack, f'hamilton_run_starts_total{{hamilton_dag_name="{program.name}"}}')


@pytest.mark.parametrize("program", WELCOME, ids=lambda program: program.name)
def test_the_right_token_over_tls_is_welcome(stack: Stack, outcomes: Outcomes, program: Program) -> None:
    """With the standard variables alone: the trace is in Jaeger, the run is counted, the program says nothing."""
    done = outcomes[program]
    assert (done.returncode, done.stdout, done.stderr) == (0, "{'answer': 42}\n", "")
    (trace,) = eventually(lambda: backends.traces(stack, program.name))
    assert {span["operationName"] for span in trace["spans"]} == {f"run {program.name}", "node answer"}
    eventually(lambda: starts(stack, program) == 1)


@pytest.mark.parametrize("program", REFUSED, ids=lambda program: program.name)
def test_a_refused_program_runs_as_ever(stack: Stack, outcomes: Outcomes, program: Program) -> None:
    """Its result and its exit code are what they were, and one line of its standard error names the endpoint."""
    done = outcomes[program]
    assert (done.returncode, done.stdout) == (0, "{'answer': 42}\n")
    # gRPC's own core writes lines about handshakes.
    (line,) = [line for line in done.stderr.splitlines() if "hamilton" in line or "Telemetry" in line]
    assert program.endpoint(stack) in line


def test_nothing_of_a_refused_program_arrives(stack: Stack, outcomes: Outcomes) -> None:
    """What came after it has arrived everywhere, and nothing of it."""
    eventually(lambda: all(starts(stack, program) == 1 for program in WELCOME))
    eventually(lambda: all(backends.traces(stack, program.name) for program in WELCOME))
    assert [starts(stack, program) for program in REFUSED] == [None] * len(REFUSED)
    assert not any(backends.traces(stack, program.name) for program in REFUSED)


@pytest.mark.usefixtures("outcomes")
def test_the_collector_tells_of_refusals(stack: Stack) -> None:
    """Its own metrics count the requests without the right token, its log the handshakes that failed."""
    samples = backends.scrape(stack.collector_metrics)
    refused = {"http_response_status_code": "401", "rpc_grpc_status_code": "16"}
    for label, code in refused.items():
        requests = [number for name, labels, number in samples if name.endswith("_count") and labels.get(label) == code]
        assert max(requests) >= len([program for program in REFUSED if "token" in program.name]) / len(PROTOCOLS)
    assert "TLS handshake error" in stack.servers["collector"].log_path.read_text()


def test_an_empty_token_is_refused_over_grpc_too(stack: Stack, authorities: Authorities) -> None:
    """The end of the token file's line is not one more token, an empty one."""
    credentials = grpc.ssl_channel_credentials(authorities.right.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{stack.ports.otlp_grpc}", credentials) as channel:
        call = channel.unary_unary(EXPORT, bytes, bytes)
        call(b"", timeout=5, metadata=(("authorization", f"Bearer {TOKEN}"),))
        for empty in ("Bearer ", "Bearer", ""):
            with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                call(b"", timeout=5, metadata=(("authorization", empty),))


def test_a_secured_collector_can_be_drained(stack: Stack, authorities: Authorities) -> None:
    """With the authority alone, without the token."""
    collector = stack.servers["collector"]
    Drain(f"127.0.0.1:{stack.ports.otlp_grpc}", stack.prometheus, authorities.right).stop(collector.terminate)
    eventually(lambda: not collector.running)
