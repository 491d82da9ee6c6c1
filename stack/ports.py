"""Which port each server listens on, and the environment variables that carry them into the configurations."""

import dataclasses
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import StackError

HOST = "127.0.0.1"


def _port(number: int, server: str) -> int:
    port: int = field(default=number, metadata={"server": server})
    return port


@dataclass(frozen=True)
class Ports:
    """The field `loki_grpc` is the variable LOKI_GRPC_PORT, and so on for all of them."""

    otlp_grpc: int = _port(4317, "collector")
    otlp_http: int = _port(4318, "collector")
    collector_health: int = _port(13133, "collector")
    collector_metrics: int = _port(8888, "collector")
    collector_aggregated: int = _port(8889, "collector")
    collector_live: int = _port(8890, "collector")
    prometheus: int = _port(9090, "prometheus")
    alertmanager: int = _port(9093, "alertmanager")
    loki: int = _port(3100, "loki")
    loki_grpc: int = _port(9095, "loki")
    jaeger: int = _port(16686, "jaeger")
    jaeger_grpc: int = _port(16685, "jaeger")
    jaeger_otlp: int = _port(14317, "jaeger")
    jaeger_health: int = _port(13134, "jaeger")
    jaeger_metrics: int = _port(8887, "jaeger")
    inbox_smtp: int = _port(1025, "inbox")
    inbox_http: int = _port(8026, "inbox")

    @classmethod
    def default(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """The well-known ports, save those that the environment sets."""
        chosen = {
            name: _number(variable, environment[variable])
            for name, variable in _variables().items()
            if environment.get(variable)
        }
        ports = cls(**chosen)
        seen: dict[int, str] = {}
        for name, variable in _variables().items():
            number = getattr(ports, name)
            if number in seen:
                raise StackError(f"{seen[number]} and {variable} are both {number}: give one of them another port.")
            seen[number] = variable
        return ports

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now, below the range from which outgoing connections take theirs."""
        candidates = random.sample(range(20000, 32000), 2000)
        chosen = (number for number in candidates if is_free(number))
        return cls(**{name: next(chosen) for name in _variables()})

    def environment(self) -> dict[str, str]:
        """The variables that the configurations and the Procfile read."""
        return {variable: str(getattr(self, name)) for name, variable in _variables().items()}

    def require_free(self) -> None:
        """Raise for the first port that another program holds."""
        for item in dataclasses.fields(self):
            number = getattr(self, item.name)
            if not is_free(number):
                variable = _variables()[item.name]
                raise StackError(
                    f"{item.metadata['server']} cannot listen on port {number} because another program holds it: "
                    f"stop that program or set {variable} to a free port."
                )


def is_free(number: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as probe:
        # Like the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
    return True


def _variables() -> dict[str, str]:
    return {item.name: f"{item.name.upper()}_PORT" for item in dataclasses.fields(Ports)}


def _number(variable: str, text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise StackError(f"{variable} is '{text}', which is no port: set it to a number from 1 to 65535 or unset it.")
