import json

import pytest
from hamilton_otel.cli.app import app
from hamilton_otel.doctor import Check, examine
from hamilton_otel.settings import SERVERS
from typer.testing import CliRunner

from stack import Stack
from tests.stack import backends

PROBED = ("jaeger", "loki", "prometheus")
RECEIVED = [f"{check} {signal}" for check in ("endpoint", "authentication") for signal in ("traces", "metrics", "logs")]
NAMES = ["settings", *RECEIVED, "collector", *PROBED, "spool"]


@pytest.fixture(params=["http/protobuf", "grpc"])
def configured(stack: Stack, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stack:
    """An environment that leads to the servers, over HTTP and over gRPC."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", stack.otlp_grpc if request.param == "grpc" else stack.otlp_http)
    for name in SERVERS:
        monkeypatch.setenv(f"HAMILTON_OTEL_{name.upper()}_URL", getattr(stack, name))
    return stack


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.status == "failed"]


def test_every_probe_arrives(configured: Stack) -> None:
    """All checks succeed, and the count of probes goes up by exactly one with each examination."""
    query = "sum(hamilton_telemetry_probes_total)"
    for _ in range(2):
        before = backends.value(configured, query) or 0
        checks = list(examine(timeout=30))
        assert [(check.name, check.status) for check in checks] == [(name, "ok") for name in NAMES], checks
        assert checks[-2].detail.startswith(f"the count went from {before:.0f} to {before + 1:.0f} after ")


@pytest.mark.parametrize("name", ["collector_health", *PROBED])
def test_a_wrong_url_fails_exactly_its_own_check(configured: Stack, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing listens, and where another of the servers does, the setting is named."""
    variable = f"HAMILTON_OTEL_{name.upper()}_URL"
    other = configured.loki if name != "loki" else configured.jaeger
    for url in ("http://localhost:1", other):
        monkeypatch.setenv(variable, url)
        checks = list(examine(timeout=30))
        assert failed(checks) == [name.removesuffix("_health")], checks
        (check,) = (check for check in checks if check.status == "failed")
        assert check.mend.endswith(f"correct {variable}")


def test_a_wrong_endpoint_fails_exactly_its_own_check(configured: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers' checks are skipped and not failed, as nothing can be sent."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    checks = list(examine(timeout=5))
    assert failed(checks) == ["endpoint traces"]
    assert {check.name for check in checks if check.status == "ok"} == {"settings", "collector", "spool"}


def test_the_other_protocol_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real Collector's port for HTTP is told from its port for gRPC, in both directions."""
    for protocol, endpoint, other in (
        ("grpc", stack.otlp_http, "http/protobuf"),
        ("http/protobuf", stack.otlp_grpc, "grpc"),
    ):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        (check,) = (check for check in examine(timeout=5) if check.name == "authentication traces")
        assert check.mend.startswith(f"set OTEL_EXPORTER_OTLP_PROTOCOL to {other} or correct the port")


def test_the_command_says_it_in_json(configured: Stack) -> None:
    """Name, status, detail and mend of each check, and exit code 0."""
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    assert [(check["name"], check["status"]) for check in json.loads(done.stdout)] == [(name, "ok") for name in NAMES]
