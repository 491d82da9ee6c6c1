"""Says whether the receiver of a signal takes what we send and, where not, which setting is wrong."""

from __future__ import annotations

from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from hamilton_otel.delivery.answers import Answer, Verdict
from hamilton_otel.delivery.endpoint import Endpoint
from hamilton_otel.delivery.transport import transport_to
from hamilton_otel.settings import environment

from .reach import Address, Trouble, Trust, address_of

_REFUSED: Final = ("401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED")
_ABSENT: Final = ("404", "405", "UNIMPLEMENTED")


def variable_of(signal: str, name: str) -> str:
    """Return which of the two variables is in force: the signal's own or the one for all signals."""
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"
    return own if environment(own) else f"OTEL_EXPORTER_OTLP_{name}"


def receiver_address(receiver: Endpoint) -> Address:
    """Return where *receiver* is connected to."""
    setting = variable_of(receiver.signal, "ENDPOINT")
    trust = Trust(
        receiver.certificate,
        receiver.client_certificate,
        receiver.client_key,
        variable_of(receiver.signal, "CERTIFICATE"),
        variable_of(receiver.signal, "CLIENT_CERTIFICATE"),
    )
    if receiver.grpc:
        return Address(receiver.host, receiver.port, receiver.secure, setting, trust, "h2")
    return address_of(receiver.url, setting, trust)


def send(receiver: Endpoint, request: bytes, timeout: float) -> None:
    """Send OTLP JSON to *receiver*; raises :class:`Trouble` unless it is accepted within *timeout* seconds."""
    with closing(transport_to(receiver)) as transport:
        answer = transport.send(request, timeout)
    if answer.verdict is not Verdict.ACCEPTED or (answer.status or 200) >= 300:
        raise _refusal(receiver, answer, timeout)


def _refusal(receiver: Endpoint, answer: Answer, timeout: float) -> Trouble:
    address = receiver_address(receiver)
    reason = answer.reason or str(answer.status)
    short = " ".join(reason.split())[:160]
    if reason.startswith(_REFUSED):
        # The first word alone: Collectors quote the token in their answer.
        return _wrong_credentials(receiver, address, reason.split()[0])
    if reason.startswith(_ABSENT) or (answer.status or 0) in range(300, 400):
        return _wrong_path(receiver, address, short)
    if "timed out" in reason or reason.startswith("DEADLINE_EXCEEDED"):
        return Trouble(f"{address} does not answer within {timeout:g} s", "see the receiver's log")
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        mend = f"set {address.trust.setting} to the PEM file of the authority that signed it"
        return Trouble(f"the certificate behind {address} is not trusted", mend)
    if "ALERT" in reason or "certificate required" in reason.lower():
        return Trouble(f"{address} refuses our TLS", f"set {address.trust.client_setting} if it asks for one")
    if "failed to connect" in reason if receiver.grpc else answer.status is None:
        return _wrong_protocol(receiver, address)
    return Trouble(f"{address} refuses {receiver.signal} ({short})", "see the receiver's log")


def _wrong_credentials(receiver: Endpoint, address: Address, status: str) -> Trouble:
    variable = variable_of(receiver.signal, "HEADERS")
    mend = f"set {variable}, for example to authorization=Bearer%20TOKEN"
    if receiver.headers:
        return Trouble(f"{address} refuses the token in {variable} ({status})", mend)
    return Trouble(f"{address} asks for a token, and {variable} is not set ({status})", mend)


def _wrong_path(receiver: Endpoint, address: Address, short: str) -> Trouble:
    where = address if receiver.grpc else f"{address}{urlsplit(receiver.url).path}"
    detail = f"{where} receives no {receiver.signal} ({short})"
    path = f"/v1/{receiver.signal}"
    if not receiver.grpc and not receiver.url.endswith(path):
        return Trouble(detail, f"add the path {path} to {address.setting}")
    if "/v1/" in receiver.url.removesuffix(path):
        return Trouble(detail, f"leave the path /v1/... out of {address.setting}")
    return Trouble(detail, f"name an OTLP receiver of {receiver.signal} in {address.setting}")


def _wrong_protocol(receiver: Endpoint, address: Address) -> Trouble:
    spoken, other, port = ("gRPC", "http/protobuf", 4318) if receiver.grpc else ("HTTP", "grpc", 4317)
    variable = variable_of(receiver.signal, "PROTOCOL")
    return Trouble(
        f"{address} does not speak OTLP over {spoken}",
        f"set {variable} to {other} or correct the port in {address.setting} (a Collector has {port} for {other})",
    )
