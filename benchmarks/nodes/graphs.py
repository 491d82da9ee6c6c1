"""The graphs that are executed: chains, fan-outs, diamonds, and nodes that are busy for a millisecond.

Each is a module in a file of its own, as a user's is, because some adapters read the nodes' sources. Not for drivers.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

SHAPES: Final = ("chain", "fan-out", "diamonds")
WIDTH: Final = 20
"""Nodes in a layer of diamonds; each reads two of the layer before, so that 500 nodes have 1.9 links each."""
_TRIVIAL: Final = """\
def {name}({parameters}) -> int:
    return 1
"""
_BUSY: Final = """\
def {name}({parameters}) -> int:
    _work(STEPS)
    return 1
"""
_HEAD: Final = """\
from time import thread_time_ns

def _work(steps):
    for _ in range(steps):
        pass

begin = thread_time_ns()
_work(1_000_000)
STEPS = 1_000_000 * 1_000_000 // (thread_time_ns() - begin)  # what takes a millisecond, the same for all
"""


@dataclass(frozen=True)
class Graph:
    """A graph of *nodes* nodes: ``busy`` ones take 1 ms of CPU each, ``coroutines`` are for the async driver."""

    shape: str
    nodes: int
    busy: bool = False
    coroutines: bool = False

    def __str__(self) -> str:
        return f"{self.shape} of {self.nodes:,}{', each busy for 1 ms' if self.busy else ''}"

    @property
    def outputs(self) -> list[str]:
        """All nodes in topological order, so that Hamilton never recurses deeper than one link."""
        return [f"node_{number}" for number in range(self.nodes)]

    def source(self) -> str:
        """Return the text of the module."""
        parts = [_HEAD] if self.busy else []
        for number in range(self.nodes):
            parameters = ", ".join(f"node_{other}: int" for other in self._inputs(number))
            text = (_BUSY if self.busy else _TRIVIAL).format(name=f"node_{number}", parameters=parameters)
            parts.append(f"async {text}" if self.coroutines else text)
        return "\n\n".join(parts)

    def module(self, directory: Path) -> ModuleType:
        """Write the module to *directory* and import it."""
        name = f"{self.shape.replace('-', '_')}_{self.nodes}{'_busy' * self.busy}{'_coroutines' * self.coroutines}"
        path = directory / f"{name}.py"
        path.write_text(self.source())
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Hamilton asks inspect where a function comes from
        spec.loader.exec_module(module)
        return module

    def _inputs(self, number: int) -> Sequence[int]:
        if self.shape == "chain":
            return [number - 1] if number else []
        if self.shape == "fan-out":
            return [0] if number else []
        width = max(1, min(WIDTH, self.nodes // 2))
        layer, column = divmod(number, width)
        before = (layer - 1) * width
        return sorted({before + column, before + (column + 1) % width}) if layer else []
