"""What is configured: argument > environment > profile default, checked; errors name the setting and the mend.

Standard ``OTEL_*`` variables are read by the SDK itself; here they are only checked, so that a malformed one is said in
one sentence instead of a stack trace. Not for building anything: that is ``providers.py``.
"""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

SIGNALS: Final = ("traces", "metrics", "logs")
PROFILES: Final = ("dev", "ci", "prod")
SERVERS: Final = ("collector_health", "jaeger", "loki", "prometheus")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR")
DEFAULT_LOCAL_STORE: Final = ".hamilton-otel"
DEFAULT_SERVICE_NAME: Final = "hamilton"
LOCAL: Final = "local"
"""Name of the exporter that writes to the local store."""

_SHOWN: Final = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 200


class SettingsError(ValueError):
    """A setting is wrong; the message names it, says what is wrong and how to mend it."""


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """What may leave the process besides types, shapes, sizes and names.

    :param values: whether the values of inputs and results may; text, numbers, and what built-in containers and
        dataclasses hold of them. Secrets are taken out of them, as of all text.
    :param max_text: characters of a value, a tag, an exception's message or a field of a log record.
    :param max_items: items of a container.
    :param redact_keys: names of secrets, or words in names, besides those that are commonly used (``password``).
    :param redact_patterns: regular expressions of secrets besides the known forms of tokens, keys and personal data.
    :param safe_keys: whole names of what is no secret, whatever it looks like.
    :raises SettingsError: where one of them is wrong.
    """

    values: bool = False
    max_text: int = 1_000
    max_items: int = 20
    redact_keys: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    safe_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, Callable[[Any], Any]], ...] = (
            ("values", _boolean),
            ("max_text", _positive),
            ("max_items", _positive),
            ("redact_keys", _strings),
            ("redact_patterns", _patterns),
            ("safe_keys", _strings),
        )
        for name, check in checks:
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, check(value))
            except ValueError as error:
                raise SettingsError(
                    f"CapturePolicy({name}=...) is {value!r}, but must be {error}; correct it or leave it out."
                ) from None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force; made by :func:`load`.

    Durations are in seconds. ``exporters`` maps each of ``traces``, ``metrics`` and ``logs`` to exporter names.
    ``servers`` maps those of ``SERVERS`` that are named to their URLs.
    ``ignored`` names the environment variables that were malformed and are treated as unset.
    """

    profile: str
    service_name: str
    endpoint: str | None
    exporters: Mapping[str, tuple[str, ...]]
    local_store: Path
    log_format: str
    log_level: str
    heartbeat: float
    exit_timeout: float
    spool: Path | None
    spool_max_bytes: int
    queue_max_bytes: int
    cardinality_limit: int
    max_spans_per_run: int
    fast_spans: bool
    process_metrics: bool
    disabled: bool
    capture: CapturePolicy = field(default_factory=CapturePolicy)
    servers: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=(), compare=False)


def load(
    *,
    profile: str | None = None,
    service_name: str | None = None,
    endpoint: str | None = None,
    local_store: str | os.PathLike[str] | None = None,
    log_format: str | None = None,
    log_level: str | None = None,
    exit_timeout: float | None = None,
    spool: str | os.PathLike[str] | None = None,
    cardinality_limit: int | None = None,
    max_spans_per_run: int | None = None,
    capture: CapturePolicy | None = None,
    strict: bool | None = None,
) -> Settings:
    """Return the settings in force for these arguments and the process environment.

    Raises :class:`SettingsError` for the first wrong setting in the profiles ``dev`` and ``ci`` or with
    ``strict=True``. In ``prod`` a wrong setting is replaced by its default and its sentence is kept in ``problems``.
    An unknown profile counts as ``dev``.
    """
    reader = _Reader()
    chosen = reader.read("profile", profile, "HAMILTON_OTEL_PROFILE", _one_of(*PROFILES), "dev")
    otlp_endpoint = reader.read("endpoint", endpoint, None, _url, None)
    store = reader.read("local_store", local_store, "HAMILTON_OTEL_LOCAL_STORE", Path, None)
    reader.check_standard_variables()
    settings = Settings(
        profile=chosen,
        service_name=reader.read("service_name", service_name, "OTEL_SERVICE_NAME", _text, DEFAULT_SERVICE_NAME),
        endpoint=otlp_endpoint,
        exporters={signal: _exporters(reader, signal, otlp_endpoint, store) for signal in SIGNALS},
        local_store=(store or Path(DEFAULT_LOCAL_STORE)).absolute(),
        log_format=reader.read("log_format", log_format, "HAMILTON_OTEL_LOG_FORMAT", _one_of("none", "json"), "none"),
        log_level=reader.read("log_level", log_level, "HAMILTON_OTEL_LOG_LEVEL", _one_of(*LOG_LEVELS), "INFO"),
        heartbeat=reader.read("heartbeat", None, "OTEL_METRIC_EXPORT_INTERVAL", _milliseconds, 15.0),
        exit_timeout=reader.read("exit_timeout", exit_timeout, "HAMILTON_OTEL_EXIT_TIMEOUT", _seconds, 2.0),
        spool=reader.read("spool", spool, "HAMILTON_OTEL_SPOOL", _spool, _default_spool()),
        spool_max_bytes=reader.read("spool_max_mib", None, "HAMILTON_OTEL_SPOOL_MAX_MIB", _mebibytes, 256 * 2**20),
        queue_max_bytes=reader.read("queue_max_mib", None, "HAMILTON_OTEL_QUEUE_MAX_MIB", _mebibytes, 32 * 2**20),
        cardinality_limit=reader.read(
            "cardinality_limit", cardinality_limit, "HAMILTON_OTEL_CARDINALITY_LIMIT", _positive, 2_000
        ),
        max_spans_per_run=reader.read(
            "max_spans_per_run", max_spans_per_run, "HAMILTON_OTEL_MAX_SPANS_PER_RUN", _positive, 20_000
        ),
        fast_spans=reader.read("fast_spans", None, "HAMILTON_OTEL_FAST_SPANS", _boolean, True),
        process_metrics=reader.read("process_metrics", None, "HAMILTON_OTEL_PROCESS_METRICS", _boolean, True),
        disabled=reader.read("disabled", None, "OTEL_SDK_DISABLED", _boolean, False),
        capture=_capture(reader, capture),
        servers=_servers(reader),
        ignored=tuple(reader.ignored),
        problems=tuple(reader.problems),
    )
    if reader.problems and (strict if strict is not None else chosen != "prod"):
        raise SettingsError(reader.problems[0])
    return settings


@contextmanager
def without(variables: tuple[str, ...]) -> Iterator[None]:
    """Hide *variables* from the environment, so that the SDK never sees a malformed one."""
    hidden = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def environment(name: str) -> str | None:
    """Return the variable's value, or None where it is unset or empty (which OpenTelemetry treats alike)."""
    value = os.environ.get(name, "").strip()
    return value or None


class _Reader:
    """Reads settings and collects one sentence for each that is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.ignored: list[str] = []

    def read(self, name: str, argument: Any, variable: str | None, parse: Callable[[Any], Any], default: Any) -> Any:
        if argument is not None:
            return self._parse(f"configure({name}=...)", argument, parse, default)
        value = environment(variable) if variable else None
        if variable is None or value is None:
            return default
        return self._parse(variable, value, parse, default)

    def check_standard_variables(self) -> None:
        for name, parse in _standard_variables():
            value = environment(name)
            if value is not None:
                self._parse(name, value, parse, None)

    def _parse(self, source: str, value: Any, parse: Callable[[Any], Any], default: Any) -> Any:
        try:
            return parse(value)
        except (ValueError, TypeError) as error:
            shown = "is malformed" if source.endswith("HEADERS") else f"is {_SHOWN.repr(value)}"  # headers hold tokens
            problem = f"{source} {shown}, but must be {error}; correct it or leave it out."
            if problem not in self.problems:
                self.problems.append(problem)
            if source not in self.ignored and not source.startswith("configure("):
                self.ignored.append(source)
            return default


def _exporters(reader: _Reader, signal: str, endpoint: str | None, store: Path | None) -> tuple[str, ...]:
    """Choose where a signal goes: what OTEL_<SIGNAL>_EXPORTER says, else OTLP if an endpoint is known, else the store.

    A local store that was asked for by name is written besides.
    """
    upper = signal.upper()
    named = reader.read("exporters", None, f"OTEL_{upper}_EXPORTER", _names, None)
    if named is None:
        variables = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT")
        has_endpoint = endpoint or any(environment(name) for name in variables if name not in reader.ignored)
        named = ("otlp",) if has_endpoint else (LOCAL,)
    if store is not None and LOCAL not in named and named:
        named = (*named, LOCAL)
    return tuple(named)


def _default_spool() -> Path:
    """Return the user's state directory (XDG Base Directory Specification), which outlives any one process."""
    state = environment("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state, "hamilton-otel", "spool").absolute()


def _spool(value: Any) -> Path | None:
    return None if str(value).strip().lower() == "none" else Path(value).absolute()


def _servers(reader: _Reader) -> dict[str, str]:
    named = {key: reader.read("servers", None, f"HAMILTON_OTEL_{key.upper()}_URL", _url, None) for key in SERVERS}
    return {key: url for key, url in named.items() if url is not None}


def capture_policy() -> CapturePolicy:
    """Return the policy that the environment asks for; what is malformed in it counts as unset."""
    return _capture(_Reader(), None)


def _capture(reader: _Reader, given: CapturePolicy | None) -> CapturePolicy:
    """Return the policy that was given, as a whole, else what the environment says."""
    policy: CapturePolicy | None = reader.read("capture", given, None, _policy, None)
    return policy or CapturePolicy(
        values=reader.read("values", None, "HAMILTON_OTEL_CAPTURE_VALUES", _boolean, False),
        redact_keys=reader.read("redact_keys", None, "HAMILTON_OTEL_REDACT_KEYS", _names, ()),
        redact_patterns=reader.read("redact_patterns", None, "HAMILTON_OTEL_REDACT_PATTERNS", _pattern, ()),
        safe_keys=reader.read("safe_keys", None, "HAMILTON_OTEL_SAFE_KEYS", _names, ()),
    )


def _policy(value: Any) -> CapturePolicy:
    if not isinstance(value, CapturePolicy):
        raise ValueError("a CapturePolicy")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError("a tuple of texts that are not empty")
    return tuple(value)


def _patterns(value: Any) -> tuple[str, ...]:
    for pattern in _strings(value):
        _pattern(pattern)
    return tuple(value)


def _pattern(value: Any) -> tuple[str, ...]:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression ({value!r} is none: {error})") from None
    return (value,)


def _text(value: Any) -> str:
    if not str(value).strip():
        raise ValueError("a text that is not empty")
    return str(value).strip()


def _one_of(*allowed: str) -> Callable[[Any], str]:
    by_lower_case = {name.lower(): name for name in allowed}

    def parse(value: Any) -> str:
        try:
            return by_lower_case[str(value).strip().lower()]
        except KeyError:
            raise ValueError(f"one of {', '.join(allowed)}") from None

    return parse


def _number(value: Any, meaning: str, *, minimum: float = 0.0, maximum: float = math.inf, whole: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(meaning) from None
    if not (minimum <= number <= maximum) or math.isinf(number) or (whole and number != int(number)):
        raise ValueError(meaning)
    return number


def _seconds(value: Any) -> float:
    return _number(value, "a number of seconds, 0 or more")


def _milliseconds(value: Any) -> float:
    return _number(value, "a whole number of milliseconds above 0", minimum=1, whole=True) / 1000


def _count(value: Any) -> int:
    return int(_number(value, "a whole number, 0 or more", whole=True))


def _positive(value: Any) -> int:
    return int(_number(value, "a whole number above 0", minimum=1, whole=True))


def _mebibytes(value: Any) -> int:
    return int(_number(value, "a number of mebibytes above 0", minimum=1) * 2**20)


def _port(value: Any) -> int:
    return int(_number(value, "a port number from 0 to 65535", maximum=65535, whole=True))


def _ratio(value: Any) -> float:
    return _number(value, "a number from 0 to 1", maximum=1.0)


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _url(value: Any) -> str:
    parts = urlsplit(str(value).strip())
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("a URL such as http://localhost:4318")
    return str(value).strip()


def _grpc_target(value: Any) -> str:
    text = str(value).strip()
    return text if "://" not in text and ":" in text else _url(text)


def _pairs(value: Any) -> dict[str, str]:
    pairs = [item.partition("=") for item in str(value).split(",") if item.strip()]
    if any(not key.strip() or not separator for key, separator, _ in pairs):
        raise ValueError("a list such as key1=value1,key2=value2")
    return {key.strip(): text.strip() for key, _, text in pairs}


def _names(value: Any) -> tuple[str, ...]:
    names = tuple(name.strip() for name in str(value).split(",") if name.strip())
    return () if names == ("none",) else names


_SAMPLERS = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip


def _standard_variables() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield the standard variables that have a form, with the function that checks it.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    for infix in ("", "TRACES_", "METRICS_", "LOGS_"):
        prefix = f"OTEL_EXPORTER_OTLP_{infix}"
        protocol = environment(f"{prefix}PROTOCOL") or environment("OTEL_EXPORTER_OTLP_PROTOCOL")
        yield f"{prefix}ENDPOINT", _grpc_target if protocol == "grpc" else _url
        yield f"{prefix}PROTOCOL", _one_of("http/protobuf", "grpc")
        yield f"{prefix}TIMEOUT", _seconds
        yield f"{prefix}HEADERS", _pairs
        yield f"{prefix}COMPRESSION", _one_of("none", "gzip", "deflate")
    yield "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", _one_of("cumulative", "delta", "lowmemory")
    yield "OTEL_RESOURCE_ATTRIBUTES", _pairs
    yield "OTEL_TRACES_SAMPLER", _one_of(*_SAMPLERS)
    if "ratio" in (environment("OTEL_TRACES_SAMPLER") or ""):
        yield "OTEL_TRACES_SAMPLER_ARG", _ratio
    for processor in ("BSP", "BLRP"):
        yield f"OTEL_{processor}_SCHEDULE_DELAY", _milliseconds
        yield f"OTEL_{processor}_EXPORT_TIMEOUT", _milliseconds
        yield f"OTEL_{processor}_MAX_QUEUE_SIZE", _positive
        yield f"OTEL_{processor}_MAX_EXPORT_BATCH_SIZE", _positive
    yield "OTEL_METRIC_EXPORT_INTERVAL", _milliseconds
    yield "OTEL_METRIC_EXPORT_TIMEOUT", _milliseconds
    yield "OTEL_METRICS_EXEMPLAR_FILTER", _one_of("always_on", "always_off", "trace_based")
    for limit in (
        "ATTRIBUTE_VALUE_LENGTH", "ATTRIBUTE_COUNT", "SPAN_ATTRIBUTE_VALUE_LENGTH", "SPAN_ATTRIBUTE_COUNT",
        "SPAN_EVENT_COUNT", "SPAN_LINK_COUNT", "EVENT_ATTRIBUTE_COUNT", "LINK_ATTRIBUTE_COUNT",
        "LOGRECORD_ATTRIBUTE_VALUE_LENGTH", "LOGRECORD_ATTRIBUTE_COUNT",
    ):  # fmt: skip
        yield f"OTEL_{limit}_LIMIT", _count
    yield "OTEL_EXPORTER_PROMETHEUS_PORT", _port
    yield "OTEL_SDK_DISABLED", _boolean
