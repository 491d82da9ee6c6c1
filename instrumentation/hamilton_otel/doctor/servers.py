"""Asks the servers that keep telemetry, and says what is wrong where they do not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from hamilton_otel.settings import SERVERS

from .reach import Trouble, address_of, reach

_PORTS: Final = {"collector_health": 13133, "jaeger": 16686, "loki": 3100, "prometheus": 9090}
_NAMES: Final = {"collector_health": "the Collector", "jaeger": "Jaeger", "loki": "Loki", "prometheus": "Prometheus"}


@dataclass(frozen=True, slots=True)
class Server:
    """The server called *name* at *url*, which *setting* names or would name. Its methods raise :class:`Trouble`."""

    name: str
    url: str
    setting: str

    def __str__(self) -> str:
        """Return the URL without a password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def reach(self, timeout: float) -> None:
        """Check that there is a connection to be had."""
        reach(address_of(self.url, self.setting), timeout)

    def get(self, path: str, timeout: float, **parameters: str | int) -> requests.Response:
        """Ask for *path*, and check that there is an answer and that it wants no password."""
        url = f"{self.url.rstrip('/')}{path}"
        try:
            response = requests.get(url, params=parameters, timeout=timeout)
        except requests.Timeout:
            raise Trouble(f"{self} does not answer within {timeout:g} s", f"see the log of {self.name}") from None
        except requests.RequestException:
            raise self.stranger from None
        if response.status_code in (401, 403):
            detail = f"{self} asks for a password ({response.status_code} {response.reason})"
            raise Trouble(detail, f"write it into {self.setting}, as in http://user:password@host")
        return response

    def ask(self, path: str, timeout: float, **parameters: str | int) -> Any:
        """Return what the server gives as ``data``, which is None where it does not know of it."""
        response = self.get(path, timeout, **parameters)
        if response.status_code >= 500:
            raise Trouble(f"{self} answers {response.status_code} {response.reason}", f"see the log of {self.name}")
        try:
            return response.json()["data"]
        except (ValueError, KeyError, TypeError):
            raise self.stranger from None

    @property
    def stranger(self) -> Trouble:
        """What is wrong where another server answers."""
        return Trouble(f"{self} does not answer as {self.name} does", f"correct {self.setting}")


def servers_of(named: Mapping[str, str], host: str) -> dict[str, Server]:
    """Return the servers that are *named* by their URLs, the others at their usual ports on *host*."""
    host = f"[{host}]" if ":" in host else host
    return {
        key: Server(
            _NAMES[key], named.get(key) or f"http://{host}:{_PORTS[key]}", f"HAMILTON_OTEL_{key.upper()}_URL"
        )
        for key in SERVERS
    }  # fmt: skip
