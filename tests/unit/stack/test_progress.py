"""What is shown while servers are built."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stack import progress
from stack.build import Cache, Toolchain
from stack.recipes import select


def test_plain_lines_where_there_is_no_terminal() -> None:
    """One line when a build starts, one when it is done, with the position and the time."""
    output = io.StringIO()
    recipes = select(["alertmanager", "jaeger"])
    with progress.building(recipes, Console(file=output)) as shown:
        for recipe in recipes:
            with shown(recipe):
                pass
    lines = output.getvalue().splitlines()
    assert lines[0].startswith("Building alertmanager (1 of 2), about ")
    assert lines[1] == "Built alertmanager in 0 s"
    assert lines[2].startswith("Building jaeger (2 of 2), ")
    assert lines[3] == "Built jaeger in 0 s"


def test_only_what_is_missing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server whose binaries are in the cache is left alone."""
    cache = Cache(tmp_path, Toolchain("go1.26.8 linux amd64"))
    cache.folder(select(["loki"])[0]).mkdir()
    built: list[str] = []
    monkeypatch.setattr(Cache, "build", lambda self, recipe: built.append(recipe.name))
    assert progress.build_missing(cache, ["loki", "jaeger"], Console(file=io.StringIO()))
    assert not progress.build_missing(cache, ["loki"])
    assert built == ["jaeger"]


def test_a_failed_build_is_not_called_built() -> None:
    """The error is what the user reads last."""
    output = io.StringIO()
    recipes = select(["jaeger"])

    def fail() -> None:
        with progress.building(recipes, Console(file=output)) as shown, shown(recipes[0]):
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        fail()
    assert "Built" not in output.getvalue()


def test_the_estimate_never_grows_while_a_build_takes_longer() -> None:
    """A build that is overdue counts as nearly done, and the later ones still count in full."""
    first, second = select(["alertmanager", "jaeger"])
    estimates = [progress.remaining_seconds(first, elapsed, [second]) for elapsed in (0, 10, 10_000)]
    assert estimates == [first.cold_seconds + second.cold_seconds, estimates[0] - 10, second.cold_seconds]
    assert progress.in_words(600) == "about 10 min left"
    assert progress.in_words(20) == "less than 2 min left"
