import os
from pathlib import Path
from typing import Any

import pytest
from hamilton_otel import settings
from hamilton_otel.settings import CapturePolicy, SettingsError


def test_without_anything_telemetry_goes_to_the_local_store() -> None:
    """The defaults: profile dev, the local store for every signal, a heartbeat of 15 s, 2 s at exit."""
    chosen = settings.load()
    assert chosen.profile == "dev"
    assert chosen.service_name == "hamilton"
    assert dict(chosen.exporters) == dict.fromkeys(("traces", "metrics", "logs"), ("local",))
    assert chosen.local_store == Path(".hamilton-otel").absolute()
    assert (chosen.heartbeat, chosen.exit_timeout) == (15.0, 2.0)
    assert not chosen.disabled
    assert chosen.process_metrics


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, then environment, then default."""
    monkeypatch.setenv("HAMILTON_OTEL_PROFILE", "ci")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    assert settings.load().profile == "ci"
    assert settings.load().service_name == "from-environment"
    assert settings.load(profile="prod", service_name="given").service_name == "given"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_chooses_otlp(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Where an endpoint is known for a signal, it goes there by OTLP."""
    monkeypatch.setenv(variable, "http://localhost:4318")
    assert settings.load().exporters["traces"] == ("otlp",)
    assert settings.load().exporters["metrics"] == (("otlp",) if "TRACES" not in variable else ("local",))


def test_a_store_that_is_named_is_written_besides_the_endpoint(tmp_path: Path) -> None:
    """A local store given by name does not give way to an endpoint."""
    chosen = settings.load(endpoint="http://localhost:4318", local_store=tmp_path)
    assert chosen.exporters["logs"] == ("otlp", "local")


def test_the_standard_exporter_variables_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_<SIGNAL>_EXPORTER names exporters, or none."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus,otlp")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    assert settings.load().exporters["metrics"] == ("prometheus", "otlp")
    assert settings.load().exporters["logs"] == ()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HAMILTON_OTEL_PROFILE", "staging"),
        ("HAMILTON_OTEL_LOG_FORMAT", "xml"),
        ("HAMILTON_OTEL_EXIT_TIMEOUT", "soon"),
        ("HAMILTON_OTEL_EXIT_TIMEOUT", "-1"),
        ("HAMILTON_OTEL_PROCESS_METRICS", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "ten"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1.5s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta-ish"),
        ("OTEL_SDK_DISABLED", "yes"),
    ],
)
def test_a_malformed_variable_is_one_sentence_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A wrong value names the variable, the value and what it must be; `prod` goes on with the default."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        settings.load(strict=True)
    message = str(raised.value)
    assert variable in message
    assert repr(value) in message or (variable.endswith("HEADERS") and value not in message)
    assert "must be" in message
    assert "\n" not in message
    chosen = settings.load(strict=False)
    assert chosen.problems[0] == message
    assert variable in chosen.ignored


def test_profiles_decide_whether_a_wrong_setting_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dev` and `ci` raise, `prod` does not."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "sometimes")
    for profile in ("dev", "ci"):
        with pytest.raises(SettingsError):
            settings.load(profile=profile)
    assert settings.load(profile="prod").ignored == ("OTEL_TRACES_SAMPLER",)


def test_an_unset_and_an_empty_variable_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry treats an empty variable as unset, and so do we."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert settings.load().exporters["traces"] == ("local",)


def test_malformed_variables_are_hidden_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK does not see what is hidden; afterwards the environment is as it was."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "x")
    with settings.without(("OTEL_BSP_SCHEDULE_DELAY",)):
        assert "OTEL_BSP_SCHEDULE_DELAY" not in os.environ
    assert os.environ["OTEL_BSP_SCHEDULE_DELAY"] == "x"


def test_a_malformed_endpoint_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a wrong endpoint is ignored, telemetry goes where it goes without one."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")
    assert settings.load(profile="prod").exporters["traces"] == ("local",)


def test_grpc_endpoints_may_lack_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """`host:port` is a target where the protocol is gRPC."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317")
    assert settings.load().ignored == ()


def test_what_is_captured_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values, keys, patterns and safe keys have variables; a policy that is given replaces them as a whole."""
    assert settings.load().capture == CapturePolicy()
    monkeypatch.setenv("HAMILTON_OTEL_CAPTURE_VALUES", "true")
    monkeypatch.setenv("HAMILTON_OTEL_REDACT_KEYS", "badge, employee_id")
    monkeypatch.setenv("HAMILTON_OTEL_REDACT_PATTERNS", r"EMP-\d{2,4}|DEP-\d+")
    monkeypatch.setenv("HAMILTON_OTEL_SAFE_KEYS", "session")
    expected = CapturePolicy(
        values=True,
        redact_keys=("badge", "employee_id"),
        redact_patterns=(r"EMP-\d{2,4}|DEP-\d+",),
        safe_keys=("session",),
    )
    assert settings.load().capture == settings.capture_policy() == expected
    assert settings.load(capture=CapturePolicy(max_items=3)).capture == CapturePolicy(max_items=3)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"redact_patterns": ("ok", "x(")}, r"redact_patterns=.*'x\('"),
        ({"redact_patterns": "x"}, "redact_patterns"),
        ({"redact_keys": ("",)}, "redact_keys"),
        ({"values": "perhaps"}, "values"),
        ({"max_text": 0}, "max_text"),
        ({"max_items": -1}, "max_items"),
    ],
)
def test_a_wrong_policy_is_named(arguments: dict[str, Any], named: str) -> None:
    """A policy that cannot be applied says which part of it is wrong."""
    with pytest.raises(SettingsError, match=named):
        CapturePolicy(**arguments)


def test_a_wrong_expression_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable and the expression are named; in prod it is left out."""
    monkeypatch.setenv("HAMILTON_OTEL_REDACT_PATTERNS", "x(")
    with pytest.raises(SettingsError, match=r"HAMILTON_OTEL_REDACT_PATTERNS is 'x\('"):
        settings.load()
    assert settings.load(profile="prod").capture == settings.capture_policy() == CapturePolicy()
