"""Sends one line of OTLP JSON to its receiver, over HTTP or gRPC, and says what became of it.

For what was spooled, and for the checks of ``doctor``; live export is the matter of OpenTelemetry's exporters. Which
answers mean what: https://opentelemetry.io/docs/specs/otlp/#failures, except that refused credentials and unknown
addresses are faults of the set-up and not of the line, so the line is kept.
"""

from __future__ import annotations

import base64
import gzip
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import requests

from .answers import Answer, Verdict, verdict_of
from .endpoint import Endpoint

_GRPC_REJECTED: Final = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION"})


class Transport(Protocol):
    """A way to one receiver."""

    def send(self, line: bytes, timeout: float | None = None) -> Answer:
        """Send an export request as OTLP JSON; wait *timeout* seconds (None: as the endpoint says). Never raises."""

    def close(self) -> None:
        """Close the connection."""


def transport_to(endpoint: Endpoint) -> Transport:
    """Return a transport to *endpoint*; no connection is opened before the first line is sent."""
    return GrpcTransport(endpoint) if endpoint.grpc else HttpTransport(endpoint)


def reason_of(response: requests.Response) -> str:
    """Return what a refusal says, without the body where that may quote the token that was refused."""
    said = "" if response.status_code in (401, 403) else response.text[:500]
    return f"{response.status_code} {response.reason} {said}".strip()


class HttpTransport:
    """OTLP over HTTP, as JSON."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()
        self._session.headers.update({**endpoint.headers, "Content-Type": "application/json"})
        if endpoint.client_certificate:
            key = endpoint.client_key
            self._session.cert = (endpoint.client_certificate, key) if key else endpoint.client_certificate

    def send(self, line: bytes, timeout: float | None = None) -> Answer:
        """See :class:`Transport`."""
        compress = {"Content-Encoding": "gzip"} if self._endpoint.gzip else {}
        try:
            response = self._session.post(
                self._endpoint.url,
                data=gzip.compress(line) if compress else line,
                headers=compress,
                timeout=timeout or self._endpoint.timeout,
                verify=self._endpoint.certificate,  # here and not on the session, where REQUESTS_CA_BUNDLE would win
                allow_redirects=False,
            )
        except (requests.RequestException, OSError) as error:
            return Answer(Verdict.UNAVAILABLE, str(error))
        status = response.status_code
        verdict = verdict_of(status)
        return Answer(verdict, "" if verdict is Verdict.ACCEPTED else reason_of(response), status)

    def close(self) -> None:
        """See :class:`Transport`."""
        self._session.close()


class GrpcTransport:
    """OTLP over gRPC, as Protocol Buffers."""

    def __init__(self, endpoint: Endpoint) -> None:
        import grpc  # a process that never replays over gRPC need not load it

        self._endpoint = endpoint
        self._error: type[Exception] = grpc.RpcError
        target = f"{endpoint.host}:{endpoint.port}"
        compression = grpc.Compression.Gzip if endpoint.gzip else grpc.Compression.NoCompression
        if endpoint.secure:
            files = (endpoint.certificate, endpoint.client_key, endpoint.client_certificate)
            credentials = grpc.ssl_channel_credentials(*map(_content, files))
            self._channel = grpc.secure_channel(target, credentials, compression=compression)
        else:
            self._channel = grpc.insecure_channel(target, compression=compression)
        name = {"traces": "trace", "metrics": "metrics", "logs": "logs"}[endpoint.signal]
        package = f"opentelemetry.proto.collector.{name}.v1.{name}_service_pb2"
        stub = getattr(import_module(f"{package}_grpc"), f"{name.capitalize()}ServiceStub")
        self._request = getattr(import_module(package), f"Export{name.capitalize()}ServiceRequest")
        self._export = stub(self._channel).Export
        self._metadata = tuple((key.lower(), value) for key, value in endpoint.headers.items())

    def send(self, line: bytes, timeout: float | None = None) -> Answer:
        """See :class:`Transport`."""
        from google.protobuf.json_format import ParseDict, ParseError

        try:
            request = ParseDict(_with_binary_ids(json.loads(line)), self._request(), ignore_unknown_fields=True)
        except (ValueError, TypeError, ParseError) as error:
            return Answer(Verdict.REJECTED, f"not OTLP JSON: {error}")
        try:
            self._export(request, timeout=timeout or self._endpoint.timeout, metadata=self._metadata)
        except self._error as error:
            code = error.code().name  # type: ignore[attr-defined]
            verdict = Verdict.REJECTED if code in _GRPC_REJECTED else Verdict.UNAVAILABLE
            return Answer(verdict, f"{code} {error.details()}")  # type: ignore[attr-defined]
        return Answer(Verdict.ACCEPTED)

    def close(self) -> None:
        """See :class:`Transport`."""
        self._channel.close()


def _content(file: str | None) -> bytes | None:
    return Path(file).read_bytes() if file else None


def _with_binary_ids(value: Any) -> Any:
    """Return OTLP JSON with its ids in base64, as Protocol Buffers' JSON has bytes; OTLP has them in hexadecimal."""
    if isinstance(value, list):
        return [_with_binary_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in ("traceId", "spanId", "parentSpanId") and isinstance(item, str)
        else _with_binary_ids(item)
        for key, item in value.items()
    }
