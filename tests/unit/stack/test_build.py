"""What decides whether a server is built anew, and what is said when it cannot be built; without Go."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import StackError, build
from stack.build import Cache, Toolchain
from stack.recipes import RECIPES, Recipe, recipe_of, select

GO = Toolchain("go1.26.8 linux amd64")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "servers", GO)


def fake_go(monkeypatch: pytest.MonkeyPatch, *, code: int = 0, stdout: str = "", stderr: str = "") -> None:
    """Answer every command with this; what is written to a file goes there."""

    def run(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        if isinstance(options.get("stdout"), int) and options["stdout"] >= 0:
            with open(options["stdout"], "w", closefd=False) as output:
                output.write(stdout)
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def test_the_key_is_the_content(cache: Cache, tmp_path: Path) -> None:
    """Every input changes the key: builder.yaml, the version of Go, the tags."""
    config = tmp_path / "builder.yaml"
    config.write_text("one")
    recipe = replace(RECIPES["collector"], builder_config=config)
    first = cache.key(recipe)
    assert first == cache.key(recipe)

    assert first != cache.key(replace(recipe, tags=("other",)))
    assert first != Cache(cache.directory, Toolchain("go1.27.0 linux amd64")).key(recipe)
    config.write_text("two")
    assert first != cache.key(recipe)


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HAMILTON_OTEL_CACHE names the root of it."""
    monkeypatch.setenv("HAMILTON_OTEL_CACHE", str(tmp_path))
    assert build.cache_directory() == tmp_path / "servers"


def test_a_finished_build_appears_as_a_whole(cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A build that finds another one finished first keeps that one and leaves nothing of its own."""
    fake_go(monkeypatch)
    recipe = RECIPES["loki"]
    assert not cache.has(recipe)
    folder = cache.build(recipe)
    (folder / "loki").write_text("the first")
    assert cache.build(recipe) == folder
    assert (folder / "loki").read_text() == "the first"
    assert {path.name for path in cache.directory.iterdir()} == {folder.name, "logs"}


def test_a_failed_build_shows_the_end_of_the_output(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the server, the log and what the compiler said last; nothing is left as built."""
    fake_go(monkeypatch, code=1, stdout="\n".join(f"line {n}" for n in range(100)))
    with pytest.raises(StackError) as error:
        cache.build(RECIPES["jaeger"])
    sentence, *tail = str(error.value).splitlines()
    log = cache.directory / "logs" / f"{cache.folder(RECIPES['jaeger']).name}.log"
    assert sentence == f"jaeger could not be built; the whole output is in {log} and ends in:"
    assert tail[-1] == "line 99"
    assert log.read_text().startswith("line 0")
    assert not cache.has(RECIPES["jaeger"])


def test_a_full_disk_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The linker's complaint becomes a sentence about the disk."""
    fake_go(monkeypatch, code=1, stdout="write /tmp/x: no space left on device\n")
    with pytest.raises(StackError, match=r"^The disk became full while loki was being built"):
        cache.build(RECIPES["loki"])


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names the folder and the variable that moves it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"cannot be built under .*file/servers .*set HAMILTON_OTEL_CACHE"):
        Cache(tmp_path / "file" / "servers", GO).build(RECIPES["loki"])


def test_a_missing_go_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the version to install and the other way to run the servers."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(StackError, match=r"^Go is not installed.*install Go 1\.\d+\.\d+ or newer.*docker compose"):
        Toolchain.find()


@pytest.mark.parametrize(
    ("code", "stdout", "stderr"),
    [
        (0, "go1.20.1\nlinux\namd64\n", ""),
        (1, "", "go: go.mod requires go >= 1.26.5 (running go 1.25.1; GOTOOLCHAIN=local)\n"),
    ],
)
def test_an_old_go_is_named(monkeypatch: pytest.MonkeyPatch, code: int, stdout: str, stderr: str) -> None:
    """Whether Go says so itself or is too old to know."""
    fake_go(monkeypatch, code=code, stdout=stdout, stderr=stderr)
    with pytest.raises(StackError, match=r"^Go is too old \((go1\.20\.1|.*running go 1\.25\.1).*install Go 1\."):
        Toolchain.find()


def test_a_new_go_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The description says what the binaries are for."""
    fake_go(monkeypatch, stdout="go1.30.0\nlinux\narm64\n")
    assert Toolchain.find() == Toolchain("go1.30.0 linux arm64")


def test_a_binary_that_is_not_built_names_the_command(cache: Cache) -> None:
    """Asking for promtool before it is there tells how to get it."""
    with pytest.raises(StackError, match=r"^promtool is not built yet: run `python -m stack build promtool` first\.$"):
        cache.binary("promtool")


def test_unknown_names_list_the_known_ones() -> None:
    """A typing error is answered with the choice."""
    with pytest.raises(StackError, match=r"^There is no server named 'grafana': choose from collector, prometheus"):
        select(["grafana"])
    with pytest.raises(StackError, match=r"^There is no binary named 'tempo': choose from collector, prometheus"):
        recipe_of("tempo")


def test_every_recipe_has_its_module() -> None:
    """No recipe names a file that is not there."""
    recipes: list[Recipe] = select(())
    assert all(path.is_file() for recipe in recipes for path in recipe.inputs)
