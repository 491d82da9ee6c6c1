"""Builds what is missing and shows what is being built, how far and how long it will still take."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from .build import Cache
from .recipes import Recipe, select

Shown = Callable[[Recipe], AbstractContextManager[None]]


def build_missing(cache: Cache, names: Iterable[str] = (), console: Console | None = None) -> bool:
    """Build those of the named servers (all, if none is named) that are not cached; whether there were any."""
    missing = [recipe for recipe in select(names) if not cache.has(recipe)]
    with building(missing, console) as shown:
        for recipe in missing:
            with shown(recipe):
                cache.build(recipe)
    return bool(missing)


def remaining_seconds(current: Recipe, elapsed: float, later: Sequence[Recipe]) -> float:
    """What the known cold build times say; one that takes longer than it should counts as nearly done."""
    return max(current.cold_seconds - elapsed, 0) + sum(recipe.cold_seconds for recipe in later)


def in_words(seconds: float) -> str:
    """A duration as coarse as an estimate deserves."""
    return f"about {round(seconds / 60)} min left" if seconds >= 90 else "less than 2 min left"


class _RemainingColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        recipe: Recipe = task.fields["recipe"]
        return Text(in_words(remaining_seconds(recipe, task.elapsed or 0, task.fields["later"])), style="dim")


@contextmanager
def building(missing: Sequence[Recipe], console: Console | None = None) -> Iterator[Shown]:
    """Give a context manager to wrap around each build: a live line on a terminal, plain lines elsewhere."""
    console = console or Console(stderr=True)
    live = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        _RemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    @contextmanager
    def shown(recipe: Recipe) -> Iterator[None]:
        position = missing.index(recipe) + 1
        later = missing[position:]
        what = f"Building {recipe.name} ({position} of {len(missing)})"
        if not console.is_terminal:
            left = in_words(remaining_seconds(recipe, 0, later))
            console.print(f"{what}, {left}", highlight=False, soft_wrap=True)
        task = live.add_task(what, total=None, recipe=recipe, later=later)
        started = time.monotonic()
        try:
            yield
        finally:
            live.remove_task(task)
        console.print(f"Built {recipe.name} in {time.monotonic() - started:.0f} s", highlight=False, soft_wrap=True)

    with live:
        yield shown
