"""Where a signal is sent and how, as the standard variables say it: for replay and for the checks of ``doctor``.

Live export reads the same variables in OpenTelemetry's own exporters. Source:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Not for sending (``transport.py``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from opentelemetry.util.re import parse_env_headers

from hamilton_otel.settings import environment

DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The receiver of one signal (``traces``, ``metrics`` or ``logs``).

    ``url`` is the whole URL of the signal over HTTP and the receiver's URL or ``host:port`` over gRPC; the three files
    are paths of PEM files or None; ``timeout`` is in seconds.
    """

    signal: str
    url: str
    grpc: bool
    headers: Mapping[str, str]
    certificate: str | None
    client_certificate: str | None
    client_key: str | None
    timeout: float
    gzip: bool

    @property
    def host(self) -> str:
        """The receiver's host name."""
        return self._parts.hostname or "localhost"

    @property
    def port(self) -> int:
        """The receiver's port."""
        return self._parts.port or (4317 if self.grpc else 443 if self.secure else 80)

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken; over gRPC without a scheme, unless OTEL_EXPORTER_OTLP_INSECURE says otherwise."""
        if "://" in self.url:
            return self._parts.scheme == "https"
        return (_variable(self.signal, "INSECURE") or "").lower() != "true"

    @property
    def slug(self) -> str:
        """A name for this receiver that may be a folder's: another path or tenant is another receiver.

        Credentials are left out, or what was spooled would wait for ever once a token is renewed.
        """
        path = "" if self.grpc else self._parts.path.removesuffix(f"/v1/{self.signal}")
        tenant = sorted((key.lower(), value) for key, value in self.headers.items() if key.lower() != "authorization")
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", self.host) + f"_{self.port}"
        return f"{name}_{hashlib.sha256(repr((path, tenant)).encode()).hexdigest()[:8]}" if path or tenant else name

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url if "://" in self.url else f"//{self.url}")


def endpoint_of(signal: str, base: str | None) -> Endpoint:
    """Return where *signal* goes; *base* is the URL given to ``configure()``, which wins over the environment."""
    grpc = (_variable(signal, "PROTOCOL") or "http/protobuf") == "grpc"
    own = environment(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    shared = base or environment("OTEL_EXPORTER_OTLP_ENDPOINT")
    if grpc:
        url = base or own or shared or "http://localhost:4317"
    elif own and not base:
        url = own
    else:
        url = f"{(shared or 'http://localhost:4318').rstrip('/')}/v1/{signal}"
    return Endpoint(
        signal=signal,
        url=url,
        grpc=grpc,
        headers=parse_env_headers(_variable(signal, "HEADERS") or "", liberal=True),
        certificate=_variable(signal, "CERTIFICATE"),
        client_certificate=_variable(signal, "CLIENT_CERTIFICATE"),
        client_key=_variable(signal, "CLIENT_KEY"),
        timeout=float(_variable(signal, "TIMEOUT") or DEFAULT_TIMEOUT),
        gzip=(_variable(signal, "COMPRESSION") or "none").lower() == "gzip",
    )


def _variable(signal: str, name: str) -> str | None:
    return environment(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}") or environment(f"OTEL_EXPORTER_OTLP_{name}")
