"""Which ports the servers get, and what is said when that cannot be."""

import socket
from collections.abc import Iterator

import pytest

from stack import Ports, StackError
from stack.ports import HOST


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_environment_moves_a_port() -> None:
    """A variable replaces its port and leaves the others as they are well known."""
    ports = Ports.default({"PROMETHEUS_PORT": "9999"})
    assert (ports.prometheus, ports.loki) == (9999, 3100)


def test_the_servers_get_the_ports_by_the_names_that_users_set() -> None:
    """What goes into the environment of the servers comes out of the environment of the user."""
    ports = Ports.free()
    assert Ports.default(ports.environment()) == ports


def test_free_ports_differ_and_are_free() -> None:
    """Two stacks can run side by side."""
    ports = Ports.free()
    numbers = list(ports.environment().values())
    assert len(set(numbers)) == len(numbers)
    ports.require_free()


def test_a_taken_port_is_named_with_its_server_and_its_variable(taken: int) -> None:
    """Whoever reads the error knows what to stop or to set."""
    with pytest.raises(StackError) as error:
        Ports.default({"LOKI_PORT": str(taken)}).require_free()
    assert str(error.value) == (
        f"loki cannot listen on port {taken} because another program holds it: "
        "stop that program or set LOKI_PORT to a free port."
    )


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80.5", " "])
def test_what_is_no_port_is_refused(text: str) -> None:
    """The error quotes the variable and its value."""
    with pytest.raises(StackError, match=rf"^JAEGER_PORT is '{text}', which is no port: "):
        Ports.default({"JAEGER_PORT": text})


def test_two_servers_cannot_share_a_port() -> None:
    """The error names both variables."""
    with pytest.raises(StackError, match=r"^PROMETHEUS_PORT and LOKI_PORT are both 3100: "):
        Ports.default({"PROMETHEUS_PORT": "3100"})
