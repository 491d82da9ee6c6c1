"""Finds the figures that are clearly worse than those that were committed. Not for measuring them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .figures import Figure

TOLERANCE: Final = 1.5
"""By how much a figure may be worse than the committed one: a busy machine moves figures of this quick form by a few
tenths."""


def committed(path: Path) -> dict[str, float]:
    """Return the values of the figures in *path*."""
    return {name: figure["value"] for name, figure in json.loads(path.read_text())["figures"].items()}


def regressions(figures: Sequence[Figure], before: Mapping[str, float]) -> list[str]:
    """Return a sentence for each figure that misses what is required and is clearly worse than *before*."""
    return [
        f"{figure.name} ({figure.meaning}) is {figure.value:.3g}, was {before[figure.name]:.3g} and has to be "
        f"{'at least' if figure.bound.at_least else 'at most'} {figure.bound.required:g}: look at what the last "
        "changes do for each node; if that is meant, run `make bench` and commit its results."
        for figure in figures
        if figure.bound is not None and figure.name in before and _is_regression(figure, before[figure.name])
    ]


def _is_regression(figure: Figure, before: float) -> bool:
    bound = figure.bound
    if bound is None or bound.holds(figure.value):
        return False
    return figure.value < before / TOLERANCE if bound.at_least else figure.value > before * TOLERANCE
