"""``hamilton-otel doctor``: shows the checks as they are done, as lines for a reader or as JSON for a program."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from itertools import groupby

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hamilton_otel.doctor import Check, examine

_MARKS = {"ok": ("✓", "green"), "failed": ("✗", "bold red"), "skipped": ("–", "dim")}
_NAMES = 22


def show_examination(console: Console, timeout: float) -> bool:
    """Print each check as soon as it is done; return whether none failed."""
    with console.status("", spinner="dots") as status:
        return _show(console, examine(timeout, status.update))


def print_examination(timeout: float) -> bool:
    """Print all checks as one JSON list; return whether none failed."""
    checks = list(examine(timeout))
    typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    return not _failed(checks)


def _show(console: Console, checks: Iterator[Check]) -> bool:
    shown: list[Check] = []
    for skipped, found in groupby(checks, lambda check: check.detail if check.status == "skipped" else check):
        shown += _skipped(console, list(found)) if isinstance(skipped, str) else _done(console, skipped)
    failed = _failed(shown)
    if failed:
        console.print(f"{failed} of {len(shown)} checks failed", style="bold red", highlight=False)
    return not failed


def _done(console: Console, check: Check) -> list[Check]:
    mend = [(f"\n→ {check.mend}", "yellow")] if check.mend else []
    console.print(_row(check.status, check.name, Text.assemble(check.detail, *mend)))
    return [check]


def _skipped(console: Console, checks: list[Check]) -> list[Check]:
    names = ", ".join(check.name for check in checks)
    console.print(_row("skipped", "skipped", Text(f"{checks[0].detail}: {names}", style="dim")))
    return checks


def _row(status: str, name: str, text: Text) -> Table:
    mark, style = _MARKS[status]
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=_NAMES)
    row.add_column(overflow="fold")
    row.add_row(Text(mark, style), Text(name, "dim" if status == "skipped" else ""), text)
    return row


def _failed(checks: Iterable[Check]) -> int:
    return sum(check.status == "failed" for check in checks)
