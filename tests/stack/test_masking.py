"""What the Collector masks of what other programs send, and what it leaves as it is."""

import json
import time
import uuid
from typing import Any

import pytest
import requests

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually

SECRETS = {
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitHub, fine-grained": "github_pat_" + "a1B2_" * 8,
    "GitLab": "glpat-" + "a1B2" * 5,
    "Slack": "xoxb-" + "123456789012-abcdef",
    "Stripe": "sk_live_" + "a1B2" * 6,
    "OpenAI": "sk-proj-" + "a1B2" * 10,
    "Google": "AIza" + "a1B2C" * 7,
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "URL": "postgresql://anna:hunter22@db/flights",
    "password": "password=hunter22",
    "Python": "{'db_password': 'hunter22'}",
    "JSON in JSON": r"{\"api_key\": \"hunter22\"}",
    "token": "token=hunter22",
    "header": "Authorization: Bearer hunter22abc",
    "bearer": "sent Bearer hunter22abc",
    "connection string": "Server=db;Uid=sa;Pwd=hunter22;",
    "card": "4111 1111 1111 1111",
    "card in one": "paid with 4111111111111111",
    "social security": "123-45-6789",
}
#: What must be nowhere: the part of each that is the secret.
PARTS = ["hunter22", "IBAAKC", *(text.split(" with ")[-1] for name, text in SECRETS.items() if name not in ("URL",))]
HARMLESS = {
    "trace": "4123456789012345411111111111aaaa",
    "span": "00f067aa0ba902b7",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-4111111111111111-01",
    "uuid": "550e8400-e29b-41d4-a716-446655440000",
    "decimal uuid": "41111111-1111-4111-8111-111111111111",
    "time": "1763700000000000000",
    "microseconds": "1763700000000000",
    "fraction": "it took 0.4111111111111111 s",
    "version": "5f4dcc3b5aa765d61d8327deb882cf99",
    "path": "/usr/lib/python3.11/site-packages/tokens/secret.py",
    "date": "2024-01-15T12:00:00.123456+00:00",
    "url": "https://example.org:8443/a?page=2",
    "type": "dict[str, secrets.Token]",
    "nodes": '[{"name": "token", "type": "str"}, {"name": "password", "type": "str"}]',
    "task": "task-abcdefghijklmnopqrstuvwxyz",
    "hamilton.node.inputs": '{"token": "str", "password": "builtins.str"}',
    "hamilton.run.rows": '{"token":12345678,"password":4111111111111111}',
}
#: Attributes whose names say that their values are secret.
NAMED = {
    "db.password": "x1",
    "api_key": "x2",
    "http.request.header.authorization": "x3",
    "hamilton.run.tags.token": "x4",
}


def attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def post(stack: Stack, signal: str, body: dict[str, Any]) -> None:
    response = requests.post(f"{stack.otlp_http}/v1/{signal}", json=body, timeout=10)
    assert response.ok, response.text


def send_span(stack: Stack, service: str, values: dict[str, str], message: str, *, event: bool = True) -> str:
    """Send a span with these values wherever a span can have them; return its trace's id."""
    now, trace_id = time.time_ns(), uuid.uuid4().hex
    listed = {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": value} for value in values.values()]}}}
    exception = {"timeUnixNano": now, "attributes": attributes({**values, "exception.message": message})}
    span = {"traceId": trace_id, "spanId": uuid.uuid4().hex[:16], "name": "work", "startTimeUnixNano": now}
    span |= {"endTimeUnixNano": now + 1000, "attributes": [*attributes(values), listed]}
    span |= {"events": [exception] if event else [], "status": {"code": 2, "message": message}}
    own = {f"r.{key}": text for key, text in values.items()}
    resource = {"attributes": attributes({"service.name": service, **own})}
    scope_spans = {"scope": {"name": "test"}, "spans": [span]}
    post(stack, "traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [scope_spans]}]})
    return trace_id


def send_log(stack: Stack, service: str, values: dict[str, str], lines: list[str]) -> None:
    """Send log records with these bodies, each with these attributes."""
    records = [
        {"timeUnixNano": time.time_ns() + n, "body": {"stringValue": line}, "attributes": attributes(values)}
        for n, line in enumerate(lines)
    ]
    scope_logs = {"scope": {"name": "test"}, "logRecords": records}
    resource = {"attributes": attributes({"service.name": service})}
    post(stack, "logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [scope_logs]}]})


def stored_trace(stack: Stack, trace_id: str) -> dict[str, Any]:
    """The whole trace as Jaeger has it, with its resource."""

    def ask() -> dict[str, Any]:
        answer = requests.get(f"{stack.jaeger}/api/traces/{trace_id}", timeout=10)
        return answer.json()["data"][0] if answer.ok else {}

    return eventually(ask)


@pytest.fixture
def service() -> str:
    """A service that no other test uses."""
    return f"masking_{uuid.uuid4().hex[:8]}"


def test_secrets_are_masked_in_spans(stack: Stack, service: str) -> None:
    """In attributes of resource, span and event, in lists, and in the status; the rest of the text stays."""
    message = "cannot reach " + " | ".join(SECRETS.values())
    stored = stored_trace(stack, send_span(stack, service, {**SECRETS, **NAMED}, message))
    text = json.dumps(stored, ensure_ascii=False)
    assert [part for part in PARTS if part in text or json.dumps(part)[1:-1] in text] == []
    tags = backends.tags(stored["spans"][0])
    assert {name: tags[name] for name in NAMED} == dict.fromkeys(NAMED, "****")
    assert tags["URL"] == "postgresql****db/flights"
    assert tags["otel.status_description"].startswith("cannot reach ****")


def test_a_huge_attribute_is_cut(stack: Stack, service: str) -> None:
    """As Jaeger would refuse it for ever; what the transport of the status needed leaves no trace."""
    huge = {"huge": "x" * 100_000}
    for event in (True, False):
        (span,) = stored_trace(stack, send_span(stack, service, huge, "token=hunter22", event=event))["spans"]
        tags = backends.tags(span)
        assert tags["huge"] == "x" * 32_000
        assert tags["otel.status_description"] == "****"
        assert not any("status_message" in key for key in tags)


def test_a_huge_line_is_cut_and_its_attributes_stay(stack: Stack, service: str) -> None:
    """Loki would drop the line for the length of either."""
    attribute = "y" * 100_000
    send_log(stack, service, {"huge": attribute}, ["x" * 300_000])
    ((labels, line),) = eventually(lambda: backends.logs(stack, f'{{service_name="{service}"}}'))
    assert line.startswith("x" * 200_000)
    assert labels["huge"] == attribute


def test_secrets_are_masked_in_logs(stack: Stack, service: str) -> None:
    """In attributes and in the line itself."""
    lines = [f"before {text} after" for text in SECRETS.values()]
    send_log(stack, service, {**SECRETS, **NAMED}, lines)
    stored = eventually(
        lambda: found if len(found := backends.logs(stack, f'{{service_name="{service}"}}')) == len(lines) else []
    )
    assert [part for part in PARTS if part in json.dumps(stored, ensure_ascii=False)] == []
    assert all(line.startswith("before") and line.endswith("after") for _, line in stored)


def test_secrets_are_masked_in_metrics(stack: Stack, service: str) -> None:
    """In the labels of what Prometheus sees."""
    now = time.time_ns()
    point = {"attributes": attributes(SECRETS), "startTimeUnixNano": now, "timeUnixNano": now + 1, "asInt": "1"}
    metric = {"name": "masking.probe", "gauge": {"dataPoints": [point]}}
    resource = {"attributes": attributes({"service.name": service})}
    scope_metrics = {"scope": {"name": "test"}, "metrics": [metric]}
    post(stack, "metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope_metrics]}]})
    ((labels, _),) = eventually(lambda: backends.prometheus(stack, f'masking_probe{{job="{service}"}}'))
    assert [part for part in PARTS if part in json.dumps(labels, ensure_ascii=False)] == []


def test_what_is_no_secret_passes_unchanged(stack: Stack, service: str) -> None:
    """Ids, UUIDs, times, hashes, paths and types, of spans and of log lines, and nothing is added."""
    message = "; ".join(HARMLESS[key] for key in HARMLESS if not key.startswith("hamilton."))
    stored = stored_trace(stack, send_span(stack, service, HARMLESS, message))
    (span,) = stored["spans"]
    tags = backends.tags(span)
    assert {key: tags[key] for key in HARMLESS} == HARMLESS
    assert tags["otel.status_description"] == message
    assert set(tags) - set(HARMLESS) <= {
        "list",
        "otel.status_description",
        "otel.status_code",
        "error",
        "span.kind",
        "internal.span.format",
        "otel.scope.name",
        "otel.library.name",
    }
    (event,) = span["logs"]
    assert {**HARMLESS, "exception.message": message}.items() <= backends.tags(event).items()

    send_log(stack, service, HARMLESS, [message])
    ((labels, line),) = eventually(lambda: backends.logs(stack, f'{{service_name="{service}"}}'))
    assert line == message
    assert set(HARMLESS.values()) <= set(labels.values())
