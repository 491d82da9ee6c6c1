"""Shows what was found as tables, and writes it to a file. Not for deciding what holds (``figures.py``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine

from .figures import Figure
from .measure import bare_of, cost, ratio, typical, worst
from .plan import FIGURE
from .run import Found


def show(found: Found, figures: Sequence[Figure], console: Console) -> None:
    """Print the figures, what they come from, and what is missing."""
    if found.comparisons:
        console.print(_costs(found))
    graphs = _graphs(found)
    if graphs is not None:
        console.print(graphs)
    if found.imports:
        seconds = ", ".join(f"{name} {taken:.2f} s" for name, taken in found.imports["seconds"].items())
        console.print(f"CPU of imports: {seconds}")
    if found.flights:
        flights = found.flights
        times = ", ".join(f"{name} {taken:.3f} s" for name, taken in flights["seconds"].items())
        console.print(
            f"Flights through {flights['through']}: {times}; standard error of the ratio {flights['error']:.3f}"
        )
    console.print(_table_of(figures))
    for name, answer in found.comparisons.items():
        for prefix, lost in answer["lost"].items():
            if lost:
                console.print(f"{lost} spans of {prefix} did not arrive in the comparison {name!r}.", style="red")
    for name, why in {**found.missing, **found.failed}.items():
        console.print(f"[yellow]{name}[/] was not measured: {why}", highlight=False, soft_wrap=True)


def save(found: Found, figures: Sequence[Figure], command: str, path: Path) -> None:
    """Write everything but the single times to *path*."""
    written = {
        "machine": machine.describe(),
        "command": command,
        "plan": found.plan.name,
        "graph": str(found.plan.figure),
        "figures": {figure.name: _described(figure) for figure in figures},
        "imports": found.imports,
        "losses": found.losses,
        "flights": found.flights,
        "not_measured": {**found.missing, **found.failed},
        "comparisons": {name: _summary(found, name) for name in found.comparisons},
    }
    _write(written, path)


def table_of_instructions(counted: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table of the instructions a node."""
    table = Table("configuration", "variant", "instructions a node", "over bare", "/ floor", title="Executing thread")
    for configuration, by_variant in counted.items():
        for variant, number in by_variant.items():
            over = number - by_variant["bare"]
            share = f"{over / (by_variant['floor'] - by_variant['bare']):.3f}"
            table.add_row(configuration, variant, f"{number:,.0f}", f"{over:,.0f}", share)
    return table


def save_instructions(counted: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Write the instructions a node, and their ratio to the floor's, to *path*."""
    ratios = {
        configuration: (by_variant["ours"] - by_variant["bare"]) / (by_variant["floor"] - by_variant["bare"])
        for configuration, by_variant in counted.items()
    }
    written = {"machine": machine.describe(), "instructions_per_node": counted, "ours_to_floor": ratios}
    _write(written, path)


def _write(written: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(written), indent=1) + "\n")


def _table_of(figures: Sequence[Figure]) -> Table:
    table = Table("figure", "what", "value", "required", "aimed", "", title="Figures")
    for figure in figures:
        bound = figure.bound
        if bound is None:
            table.add_row(figure.name, figure.meaning, f"{figure.value:.4g}", "", "", "")
            continue
        sign = "≥" if bound.at_least else "≤"
        verdict = (
            "[green]✓✓[/]"
            if bound.reaches(figure.value)
            else "[green]✓[/]"
            if bound.holds(figure.value)
            else "[red]✗[/]"
        )
        value = f"{figure.value:.3f}" if figure.value < 10 else f"{figure.value:,.1f}"
        table.add_row(
            figure.name, figure.meaning, value, f"{sign} {bound.required:g}", f"{sign} {bound.aimed:g}", verdict
        )
    table.caption = "✓ what is required, ✓✓ what is aimed at"
    return table


def _costs(found: Found) -> Table:
    title = f"{str(found.plan.figure).capitalize()}: microseconds a node; what is over bare with a plus"
    table = Table("configuration", "CPU of", "bare", "no-op", "floor", "ours", "ours / floor", title=title)
    for name, answer in found.comparisons.items():
        for kind, times in answer["tasks"].get(FIGURE, {}).items():
            ours = next((variant for variant in (name, "ours") if variant in times), None)
            if ours is None:
                continue
            over = [
                f"+{cost(times, variant) / 1000:.2f}" if variant in times else ""
                for variant in ("no-op", "floor", ours)
            ]
            share = f"{ratio(times, ours, 'floor'):.3f}"
            table.add_row(name, kind, f"{typical(times['bare']) / 1000:.2f}", *over, share)
    return table


def _graphs(found: Found) -> Table | None:
    """Return the costs with each graph, None where only that of the figures was measured."""
    tasks = {name: [task for task in answer["tasks"] if " of " in task] for name, answer in found.comparisons.items()}
    names = [name for name in tasks if tasks[name]]
    if not names:
        return None
    table = Table("graph", "bare", "no-op", "floor", *names, title="Microseconds a node over bare, executing thread")
    for task in tasks[names[0]]:
        times = found.times(names[0], task)
        over = [f"+{cost(times, variant) / 1000:.2f}" for variant in ("no-op", "floor")]
        ours = [f"+{cost(found.times(name, task), 'ours') / 1000:.2f}" for name in names]
        table.add_row(task, f"{typical(times['bare']) / 1000:.2f}", *over, *ours)
    return table


def _described(figure: Figure) -> dict[str, Any]:
    described: dict[str, Any] = {"meaning": figure.meaning, "value": figure.value}
    if figure.bound is not None:
        described |= asdict(figure.bound)
        described |= {"holds": figure.bound.holds(figure.value), "reaches": figure.bound.reaches(figure.value)}
    return described


def _summary(found: Found, name: str) -> dict[str, Any]:
    answer = found.comparisons[name]
    tasks = {
        task: {kind: {variant: _variant(times, variant) for variant in times} for kind, times in kinds.items()}
        for task, kinds in answer["tasks"].items()
    }
    environment = next(comparison.environment for comparison in found.plan.comparisons if comparison.name == name)
    return {"environment": dict(environment), "lost": answer["lost"], "microseconds_per_node": tasks}


def _variant(times: Mapping[str, Sequence[Sequence[float]]], name: str) -> dict[str, float]:
    described = {"typical": typical(times[name]) / 1000, "at_worst_depth": worst(times[name]) / 1000}
    if name != bare_of(name):
        described["over_bare"] = cost(times, name) / 1000
        floor = bare_of(name).replace("bare", "floor")
        floor = floor if floor in times else "floor"
        if name != floor and floor in times:
            described["to_floor"] = ratio(times, name, floor)
    return described


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
