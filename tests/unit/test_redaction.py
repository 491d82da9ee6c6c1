import asyncio
import json
import logging
import pickle
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hamilton_otel
import pytest
import structlog
from hamilton import async_driver
from hamilton.function_modifiers import tag
from hamilton_otel import CapturePolicy, TelemetryAdapter, log_bridges
from hamilton_otel.guard import guard
from hamilton_otel.redaction import MAX_SCANNED, REDACTED, Redactor
from hamilton_otel.testing import CapturedTelemetry
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import HARMLESS, NAMED, SECRETS, Entry, Named, made
from tests.unit.conftest import driver_of, module_of, run_python

by_kind = pytest.mark.parametrize("entry", SECRETS, ids=lambda entry: entry.kind.replace(" ", "-"))
by_name = pytest.mark.parametrize("named", NAMED, ids=lambda named: named.key)


def test_the_corpora_are_large() -> None:
    """Enough kinds of secrets and of harmless texts are tried, each secret in its text."""
    assert len(SECRETS) >= 70
    assert len(HARMLESS) >= 40
    assert all(entry.secret in entry.text for entry in SECRETS)


@by_kind
def test_a_secret_is_taken_out_of_text(entry: Entry) -> None:
    """Of every kind of secret nothing remains, and a second look changes nothing."""
    text = Redactor().text(f"before, {entry.text} after")
    assert entry.secret not in text
    assert REDACTED in text
    assert text.startswith("before, ")
    assert Redactor().text(text) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_passes_unchanged(text: str) -> None:
    """Ids, times, paths, numbers and prose are left as they are."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://user:pw@host/db", "postgresql://user:[redacted]@host/db"),
        ("password=pw, user=bob", "password=[redacted], user=bob"),
        ("{'password': 'p\\'w', 'n': 1}", "{'password': '[redacted]', 'n': 1}"),
        ('{"token": "abc", "n": 1}', '{"token": "[redacted]", "n": 1}'),
        ("Server=s;Password=a;b;Database=d", "Server=s;Password=[redacted];Database=d"),
        ("/x?token=abc&page=2", "/x?token=[redacted]&page=2"),
    ],
)
def test_the_rest_of_a_message_stays_readable(text: str, expected: str) -> None:
    """Only the secret goes; names, hosts and what stands beside it stay."""
    assert Redactor().text(text) == expected


@by_name
def test_what_is_called_a_secret_is_one(named: Named) -> None:
    """The value under the name of a secret is taken out, as a value, in nested values and in text."""
    redactor = Redactor()
    assert redactor.value(named.key, named.secret) == REDACTED
    assert redactor.value("field", {"a": [{named.key: named.secret}]}) == {"a": [{named.key: REDACTED}]}
    for text in (f"{named.key}={named.secret}", repr({named.key: named.secret}), json.dumps({named.key: named.secret})):
        assert named.secret not in redactor.text(text)


@pytest.mark.parametrize(
    "key",
    ["token_count", "tokenizer", "max_tokens", "monkey", "keyboard", "key", "sort_key", "author", "password_length"],
)
def test_a_name_that_only_sounds_like_a_secret_is_none(key: str) -> None:
    """Counts, types and other words keep their values."""
    assert Redactor().value(key, "12") == "12"


def test_numbers_are_redacted_by_name_and_by_form() -> None:
    """A number that is called a secret, or is a card's, is taken out; others, None and booleans stay."""
    redactor = Redactor()
    assert redactor.value("ssn", 78051120) == REDACTED
    assert redactor.value("order", int("4111" + "111111111111")) == REDACTED
    assert redactor.value("started_at", 1_700_000_000_000_000_000) == 1_700_000_000_000_000_000
    assert redactor.value("password", None) is None
    assert redactor.value("token", True) is True


def test_keys_and_patterns_can_be_added_and_keys_exempted() -> None:
    """More keys and patterns are obeyed; a safe key's value passes whatever it looks like."""
    redactor = Redactor(keys=("badge",), patterns=(r"EMP-\d+",), safe_keys=("session", "Contact"))
    assert redactor.value("badgeNumber", "12") == REDACTED
    assert redactor.text("EMP-123 entered") == "[redacted] entered"
    assert redactor.text("badge: 12, session=4") == "badge: [redacted], session=4"
    assert redactor.value("session", "morning") == "morning"
    assert redactor.value("contact", "a@example.org") == "a@example.org"


def test_a_secret_cut_in_half_does_not_leak() -> None:
    """Where long text is cut, what is left of a secret at the edge goes too."""
    token = next(entry.secret for entry in SECRETS if entry.kind == "GitHub token")
    edge, rest = MAX_SCANNED // 2, " z" * MAX_SCANNED
    for before in range(edge - len(token) - 2, edge + 2):
        head_is_cut = "a " * (before // 2) + " " * (before % 2) + token + rest
        tail_is_cut = rest + token + " " * (before % 2) + " a" * (before // 2)
        for text in (head_is_cut, tail_is_cut):
            redacted = Redactor().text(text)
            assert token[:8] not in redacted
            assert token[-8:] not in redacted


HOSTILE = (
    "a", "a=", "password=", "password='", "password={", "password=a;", "password=a&b", "\\", '"', "\\\\'", "://", "://a:",
    "@", "a@", "a.", "a@a.", "eyJ", "eyJa.", "sk-", "1", "1 ", "12-", "4111 ", "-", "--", "--a ", '("a",', "GB29",
    "DE89 3704 ", "-----BEGIN PRIVATE KEY", "bearer ", " -u ", " -u a:", "M", "Mab.", "/", " ", " =", "password: a | b",
    "token:\\'", "<password>", "a\n", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_text_takes_no_time(unit: str) -> None:
    """A megabyte of the worst text is done with in a second of processor time, and comes out short."""
    text = (unit * 1_000_000)[:1_000_000]
    began = time.process_time()
    result = Redactor().text(text)
    assert time.process_time() - began < 1
    assert len(result) < 4 * MAX_SCANNED


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from([*(e.text for e in SECRETS), *HARMLESS, *HOSTILE]), st.text(max_size=20))).map(
        "".join
    )
)
def test_redaction_holds_for_any_text(text: str) -> None:
    """It never raises, a second time changes nothing, and the result is bounded."""
    result = Redactor().text(text)
    assert Redactor().text(result) == result
    assert len(result) <= len(text) * 10 + 10


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    )
)
def test_redaction_holds_for_any_value(value: Any) -> None:
    """Values of any nesting are taken; only what is a secret changes."""
    Redactor().value("field", value)


@pytest.fixture
def bridged() -> Iterator[CapturedTelemetry]:
    """Telemetry of values, to which the user's own logging goes."""
    telemetry = CapturedTelemetry(CapturePolicy(values=True))
    log_bridges.install(telemetry.logger_provider)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    yield telemetry
    log_bridges.uninstall()
    structlog.reset_defaults()
    telemetry.shutdown()


def everything(telemetry: CapturedTelemetry) -> str:
    """Return all that would leave the process, as text and with nothing escaped."""
    spans = [json.loads(span.to_json()) for span in telemetry.spans]
    logs = [(record.body, dict(record.attributes or {}), record.event_name) for record in telemetry.logs]
    metrics = telemetry._reader.get_metrics_data()
    points = json.loads(metrics.to_json()) if metrics else []
    texts = list(leaves([spans, logs, points]))
    return "\n".join(
        [*texts, *(re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text) for text in texts)]
    )


def leaves(value: Any) -> Iterator[str]:
    """Yield all texts in *value*, keys as well."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (str(key), *leaves(item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)


def talks(given: Any) -> Any:
    structlog.get_logger().warning(given, field=given, nested={"list": [given, {"deep": given}]})
    logging.getLogger("user").warning("%s", given, extra={"extra": given})
    hamilton_otel.annotate(note=given, notes=[given], mapping={"a": given})
    hamilton_otel.record_retry(ConnectionError(given))
    try:
        raise KeyError(given)
    except KeyError:
        logging.getLogger("user").exception("failed with %s", given)
        structlog.get_logger().exception("failed")
    return {"result": given, "results": [given]}


def fails(talks: Any, given: Any) -> Any:
    try:
        raise ValueError(given)
    except ValueError as error:
        raise RuntimeError(f"cannot go on: {given}") from error


@by_kind
def test_no_secret_leaves_the_process(bridged: CapturedTelemetry, entry: Entry) -> None:
    """No kind of secret gets out by exceptions, chained ones, logs, fields, tags, annotations, inputs or results."""
    adapter = bridged.adapter("d", {"team": entry.text, "note": entry.text})
    dr = driver_of(talks, fails, adapters=[adapter])
    with hamilton_otel.run_tags(also=entry.text), pytest.raises(RuntimeError, match="cannot go on"):
        dr.execute(["fails"], inputs={"given": entry.text})
    text = everything(bridged)
    assert entry.secret not in text
    assert text.count(REDACTED) > 20


@by_name
def test_no_named_secret_leaves_the_process(bridged: CapturedTelemetry, named: Named) -> None:
    """Nothing that is called a secret gets out as tag, annotation, field, input or result."""
    key = re.sub(r"\W", "_", named.key)
    scope: dict[str, Any] = {"structlog": structlog, "logging": logging, "hamilton_otel": hamilton_otel}
    exec(
        f"def leaks({key}: str) -> dict:\n"
        f"    structlog.get_logger().warning('a', **{{{named.key!r}: {key}}}, nested={{{named.key!r}: [{key}]}})\n"
        f"    logging.getLogger('user').warning('b', extra={{{named.key!r}: {key}}})\n"
        f"    hamilton_otel.annotate(**{{{named.key!r}: {key}}}, mapping={{{named.key!r}: {key}}})\n"
        f"    return {{'pairs': [({named.key!r}, {key})], {named.key!r}: {key}}}\n"
        f"def fails(leaks: dict, {key}: str) -> dict:\n"
        f"    raise ValueError('no')\n",
        scope,
    )
    dr = driver_of(scope["leaks"], scope["fails"], adapters=[bridged.adapter("d", {named.key: named.secret})])
    with pytest.raises(ValueError, match="no"):
        dr.execute(["fails"], inputs={key: named.secret})
    assert named.secret not in everything(bridged)


def says(given: str) -> str:
    raise ValueError(f"EMP-123 did it: {given}")


def test_an_adapters_policy_wins_over_the_environment(
    bridged: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each DAG may have a policy of its own; without one the process's counts."""
    monkeypatch.setenv("HAMILTON_OTEL_REDACT_PATTERNS", r"EMP-\d+")
    telemetry = CapturedTelemetry()
    dr = driver_of(says, adapters=[telemetry.adapter("d")])
    with pytest.raises(ValueError, match="EMP-123"):
        dr.execute(["says"], inputs={"given": "a"})
    assert "[redacted] did it" in everything(telemetry)
    assert "EMP-123" not in everything(telemetry)
    own = TelemetryAdapter(
        "d", tracer_provider=telemetry.tracer_provider, capture=CapturePolicy(redact_patterns=("did it",))
    )
    telemetry.clear()
    with pytest.raises(ValueError, match="EMP-123"):
        driver_of(says, adapters=[own]).execute(["says"], inputs={"given": "a"})
    assert "EMP-123 [redacted]" in everything(telemetry)


def test_a_pickled_adapter_keeps_its_policy() -> None:
    """What a worker process restores captures as the adapter did."""
    adapter = TelemetryAdapter("d", capture=CapturePolicy(redact_keys=("badge",)))
    assert pickle.loads(pickle.dumps(adapter)).capture == adapter.capture


WORKERS = """
import multiprocessing

import hamilton_otel
from hamilton import driver
from hamilton.execution.executors import MultiProcessingExecutor
from hamilton_otel import CapturePolicy
from tests.unit import parallel_dag

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    hamilton_otel.configure(log_format="json", capture=CapturePolicy(values=True, redact_patterns=("is not wanted",)))
    dr = (
        driver.Builder()
        .with_modules(parallel_dag)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_remote_executor(MultiProcessingExecutor(2))
        .with_adapters(hamilton_otel.TelemetryAdapter("parallel"))
        .build()
    )
    try:
        dr.execute(["total"], inputs={"start": 3, "fail": True})
    except Exception as error:
        print(error)
"""


def test_worker_processes_have_the_same_policy(tmp_path: Path) -> None:
    """Spans, log events and JSON lines of workers are redacted as `configure()` was told in the run's process."""
    done = run_python(WORKERS, tmp_path)
    stored = "".join(file.read_text() for file in (tmp_path / ".hamilton-otel").rglob("*.jsonl"))
    lines = "".join(line for line in done.stderr.splitlines() if line.startswith("{"))
    assert "one is not wanted" in done.stdout
    for written in (lines, stored):
        assert "one [redacted]" in written
        assert "is not wanted" not in written
    assert "hamilton.result.value" in stored


def test_logging_of_anything_is_safe(bridged: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is logged (cycles, other objects, errors as messages, bytes), the user's call returns."""
    monkeypatch.setattr(guard, "reraise", False)
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    structlog.configure(processors=[lambda logger, name, event: repr(event)])
    error = ValueError("password=pw")
    for value in (cycle, object(), error, b"password=pw", {"password": b"pw"}, {1: {2: object()}}, 5):
        structlog.get_logger().warning(value, field=value)
        logging.getLogger("user").warning(value, extra={"field": value})
    assert "=pw" not in everything(bridged)
    assert "b'pw'" not in everything(bridged)


def test_a_secret_that_the_sdk_cuts_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field longer than the SDK's limit leaves without the word that the limit cut in half."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "30")
    telemetry = CapturedTelemetry()
    log_bridges.install(telemetry.logger_provider)
    token = "ghp_" + made(36)
    logging.getLogger("user").warning("said", extra={"field": f"it is {token}"})
    log_bridges.uninstall()
    (record,) = telemetry.logs
    assert dict(record.attributes or {}) == {"field": "it is"}


def test_a_record_that_cannot_be_redacted_leaves_without_its_content(
    bridged: CapturedTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where redaction itself fails, nothing of the record gets out."""
    monkeypatch.setattr(guard, "reraise", False)
    monkeypatch.setattr(Redactor, "value", lambda *_: 1 / 0)
    logging.getLogger("user").warning("something", extra={"field": "secret"})
    (record,) = bridged.logs
    assert dict(record.attributes or {}) == {"field": REDACTED}


def test_names_and_types_are_left_alone(bridged: CapturedTelemetry) -> None:
    """Names of DAGs, nodes and inputs and the types of errors are told even where they sound like secrets."""

    def token(password: str) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        driver_of(token, adapters=[bridged.adapter("secrets")]).execute(["token"], inputs={"password": "pw"})
    span = bridged.span("node token")
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert (bridged.span("run secrets").attributes or {})["hamilton.run.inputs"] == ("password",)
    (failed,) = bridged.events("hamilton.node.failed")
    assert (failed.attributes or {})["hamilton.node.inputs"] == '{"password": "str = \\"[redacted]\\""}'


def test_secrets_in_the_tags_of_nodes_do_not_leave(bridged: CapturedTelemetry) -> None:
    """Tags of nodes are redacted on spans and in the DAG's definition."""

    @tag(api_key="plain-words", note="redis://:hidden@host", owner="ops")
    def tagged(start: int) -> int:
        return start

    driver_of(tagged, adapters=[bridged.adapter("d")]).execute(["tagged"], inputs={"start": 1})
    text = everything(bridged)
    assert "plain-words" not in text
    assert "hidden" not in text
    assert (bridged.span("node tagged").attributes or {})["hamilton.node.tags.owner"] == "ops"


def test_the_async_driver_has_the_same_policy() -> None:
    """The adapters of the async driver take a policy too."""
    telemetry = CapturedTelemetry(CapturePolicy(values=True))

    async def doubled(start: int) -> int:
        return 2 * start

    async def run() -> None:
        builder = async_driver.Builder().with_modules(module_of(doubled))
        dr = await builder.with_adapters(*telemetry.async_adapters("d")).build()
        await dr.execute(["doubled"], inputs={"start": 1})

    asyncio.run(run())
    assert (telemetry.span("node doubled").attributes or {})["hamilton.result.value"] == "2"
    assert (telemetry.span("run d").attributes or {})["hamilton.run.input.start"] == "1"
    telemetry.shutdown()
