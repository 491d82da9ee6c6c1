"""The checks in their order, and which of them need which."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from hamilton_otel import local_store
from hamilton_otel import settings as settings_module
from hamilton_otel.delivery.endpoint import Endpoint, endpoint_of
from hamilton_otel.delivery.spool import Spool
from hamilton_otel.settings import LOCAL, SIGNALS, Settings, SettingsError, environment

from .probes import Probes, Tell
from .reach import Trouble, reach
from .receivers import receiver_address, send
from .servers import Server, servers_of

Status = Literal["ok", "failed", "skipped"]
_EMPTY: Final = {
    "traces": b'{"resourceSpans":[]}',
    "metrics": b'{"resourceMetrics":[]}',
    "logs": b'{"resourceLogs":[]}',
}


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found, and what mends it; the ``detail`` of a skipped check is the reason."""

    name: str
    status: Status
    detail: str
    mend: str = ""


def examine(timeout: float = 30.0, tell: Tell = lambda doing: None) -> Iterator[Check]:
    """Yield the checks of this process's environment as they are done.

    Waits *timeout* seconds at the most for an answer and for a probe to arrive, and calls *tell* with a few words on
    what is being done. What depends on a check that failed is skipped. Raises nothing for what is wrong outside.
    """
    reasons: dict[str, str] = {}
    for step in _steps(timeout, tell):
        tell(f"checking {step.name}")
        reason = next((reasons[name] for name in step.needs if name in reasons), None)
        check = Check(step.name, "skipped", reason) if reason else _done(step)
        if check.status != "ok":
            reasons[step.name] = check.detail if check.status == "skipped" else f"{step.name} failed"
        yield check


class _Skip(Exception):
    """There is nothing to check; the message is the reason."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A check to be done: *look* returns what it found, or raises Trouble or _Skip."""

    name: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ("settings",)


def _done(step: _Step) -> Check:
    try:
        return Check(step.name, "ok", step.look())
    except _Skip as skip:
        return Check(step.name, "skipped", str(skip))
    except Trouble as trouble:
        return Check(step.name, "failed", trouble.detail, trouble.mend)


def _steps(timeout: float, tell: Tell) -> Iterator[_Step]:
    settings = settings_module.load(strict=False)
    with settings_module.without(settings.ignored):
        receivers = {signal: endpoint_of(signal, settings.endpoint) for signal in SIGNALS}
    yield _Step("settings", partial(_check_settings, settings), needs=())
    if any(LOCAL in names for names in settings.exporters.values()):
        yield _Step("local store", partial(_check_store, settings))
    yield from _receiver_steps(settings, receivers, timeout)
    servers = servers_of(settings.servers, receivers[next(iter(_sent(settings)), SIGNALS[0])].host)
    probes = Probes(receivers, settings.profile, timeout, tell)
    yield _Step("collector", partial(_check_health, settings, servers["collector_health"], timeout))
    yield _Step("jaeger", partial(probes.span, servers["jaeger"]), needs=("authentication traces",))
    yield _Step("loki", partial(probes.line, servers["loki"]), needs=("authentication logs",))
    yield _Step("prometheus", partial(probes.count, servers["prometheus"]), needs=("authentication metrics",))
    yield _Step("spool", partial(_check_spool, settings))


def _receiver_steps(settings: Settings, receivers: Mapping[str, Endpoint], timeout: float) -> Iterator[_Step]:
    """Yield the checks of each signal's receiver; one that cannot be reached for one signal is not tried for others."""
    for position, signal in enumerate(SIGNALS):
        earlier = [other for other in SIGNALS[:position] if other in _sent(settings)]
        same = [f"endpoint {other}" for other in earlier if _way(receivers[other]) == _way(receivers[signal])]
        look = partial(_check_endpoint, settings, receivers[signal], timeout)
        yield _Step(f"endpoint {signal}", look, needs=("settings", *same))
    for signal in SIGNALS:
        look = partial(_check_authentication, receivers[signal], timeout)
        yield _Step(f"authentication {signal}", look, needs=(f"endpoint {signal}",))


def _check_settings(settings: Settings) -> str:
    if settings.problems:
        details = [problem.rpartition("; ")[0] for problem in settings.problems]
        mend = "correct it or leave it out" if len(details) == 1 else "correct them or leave them out"
        raise Trouble("; ".join(details), mend)
    if settings.disabled:
        raise Trouble("OTEL_SDK_DISABLED is true, so that nothing is recorded", "unset it")
    return f"profile {settings.profile}, service {settings.service_name}"


def _check_store(settings: Settings) -> str:
    try:
        local_store.check_writable(settings.local_store)
    except SettingsError as error:
        detail, _, mend = str(error).rstrip(".").rpartition("; ")
        raise Trouble(detail, mend) from None
    signals = ", ".join(signal for signal in SIGNALS if LOCAL in settings.exporters[signal])
    hint = "" if _sent(settings) else "; set OTEL_EXPORTER_OTLP_ENDPOINT to send it to a Collector"
    return f"telemetry ({signals}) goes to {settings.local_store}, which can be written{hint}"


def _check_endpoint(settings: Settings, receiver: Endpoint, timeout: float) -> str:
    if receiver.signal not in _sent(settings):
        raise _Skip(_why_not_sent(receiver.signal))
    address = receiver_address(receiver)
    reach(address, timeout)
    proxy = "the proxy " if address.setting.endswith("_PROXY") else ""
    return f"{proxy}{address} accepts connections{' with TLS' if address.secure else ''}"


def _check_authentication(receiver: Endpoint, timeout: float) -> str:
    send(receiver, _EMPTY[receiver.signal], timeout)
    return f"accepted over {'gRPC' if receiver.grpc else 'HTTP'}"


def _check_health(settings: Settings, collector: Server, timeout: float) -> str:
    if not _sent(settings):
        raise _Skip(_why_not_sent(SIGNALS[0]))
    collector.reach(timeout)
    response = collector.get("/", timeout)
    if response.status_code >= 500:
        detail = f"the Collector at {collector} is not healthy ({response.status_code} {response.reason})"
        raise Trouble(detail, "see its log")
    if not response.ok:
        raise collector.stranger
    return f"healthy, says {collector}"


def _check_spool(settings: Settings) -> str:
    if settings.spool is None:
        raise _Skip("HAMILTON_OTEL_SPOOL is none")
    waiting = Spool(settings.spool, settings.spool_max_bytes).pending()
    if not waiting.segments:
        return f"nothing waits in {settings.spool}"
    hours = max(0.0, time.time() - waiting.oldest) / 3600
    files = "1 file" if waiting.segments == 1 else f"{waiting.segments} files"
    size = f"{waiting.size / 1024:.1f} KiB"
    return f"{files} of {size} in {settings.spool}, the oldest {hours:.1f} h old; hamilton-otel replay sends what waits"


def _sent(settings: Settings) -> list[str]:
    """Return the signals that are sent to a receiver."""
    return [signal for signal in SIGNALS if any(name.startswith("otlp") for name in settings.exporters[signal])]


def _why_not_sent(signal: str) -> str:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    named = environment(variable)
    return f"{variable} is {named}" if named else "OTEL_EXPORTER_OTLP_ENDPOINT is not set"


def _way(receiver: Endpoint) -> tuple[Any, ...]:
    """Return what two receivers have in common if one connection tells about both."""
    files = (receiver.certificate, receiver.client_certificate, receiver.client_key)
    return (receiver.host, receiver.port, receiver.secure, *files)
