"""The real servers without Docker: built from their Go modules, cached, and run on loopback; no part of the product."""

from .errors import StackError
from .ports import Ports
from .servers import Server, Stack

__all__ = ["Ports", "Server", "Stack", "StackError"]
