"""Gives each process an exporter of its own: a forked child must not talk on its parent's connection.

The same where an exporter has to be left to itself, because it goes on trying what is no longer wanted.

Not for what is exported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class PerProcess:
    """Stands in for the exporter that *make* returns, and for a new one after a fork."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made = make()
        self._pid = os.getpid()

    def renew(self) -> None:
        """Have the exporter give up what it is doing, and use a new one from now on."""
        old, self._made = self._made, self._make()
        old.shutdown()

    def __getattr__(self, name: str) -> Any:
        if self._pid != os.getpid():
            self._made = self._make()
            self._pid = os.getpid()
        return getattr(self._made, name)
