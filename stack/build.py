"""Builds servers from their Go modules into a cache outside the checkout; neither runs nor shows anything."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import StackError
from .recipes import RECIPES, Recipe, recipe_of

LINKER_FLAGS = "-s -w"
TAIL_LINES = 12


def cache_directory() -> Path:
    """Where binaries are kept between builds and between checkouts."""
    root = os.environ.get("HAMILTON_OTEL_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "hamilton-otel") / "servers"


def needed_go() -> str:
    """The oldest Go that all modules accept."""
    versions = []
    for recipe in RECIPES.values():
        found = re.search(r"^go (\S+)$", (recipe.folder / "go.mod").read_text(), re.MULTILINE)
        if found:
            versions.append(found[1])
    return max(versions, key=_version)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


@dataclass(frozen=True)
class Toolchain:
    """The Go that builds, described by its version, system and processor."""

    description: str

    @classmethod
    def find(cls) -> "Toolchain":
        needed = needed_go()
        instead = "or run the stack in Docker with `docker compose up`"
        if shutil.which("go") is None:
            raise StackError(
                f"Go is not installed, and the servers are built from source: install Go {needed} or newer from "
                f"https://go.dev/dl/, {instead}."
            )
        # Asked inside a module, an old Go fetches the version that the module names, unless told not to.
        answer = subprocess.run(
            ["go", "env", "GOVERSION", "GOOS", "GOARCH"],
            cwd=RECIPES["loki"].folder,
            capture_output=True,
            text=True,
            check=False,
        )
        description = " ".join(answer.stdout.split())
        if answer.returncode != 0 or _version(description.partition(" ")[0]) < _version(needed):
            said = answer.stderr.strip().splitlines()
            raise StackError(
                f"Go is too old ({said[-1] if said else description}): install Go {needed} or newer from "
                f"https://go.dev/dl/, {instead}."
            )
        return cls(description)


@dataclass(frozen=True)
class Cache:
    """The binaries of this checkout, addressed by the content of everything that they are made from."""

    directory: Path
    toolchain: Toolchain

    @classmethod
    def default(cls) -> "Cache":
        return cls(cache_directory(), Toolchain.find())

    def key(self, recipe: Recipe) -> str:
        digest = hashlib.sha256()
        for path in recipe.inputs:
            digest.update(path.read_bytes() + b"\0")
        flags = (self.toolchain.description, LINKER_FLAGS, *recipe.packages, *recipe.tags)
        digest.update("\0".join(flags).encode())
        return digest.hexdigest()[:16]

    def folder(self, recipe: Recipe) -> Path:
        return self.directory / f"{recipe.name}-{self.key(recipe)}"

    def has(self, recipe: Recipe) -> bool:
        return self.folder(recipe).is_dir()

    def binary(self, name: str) -> Path:
        recipe = recipe_of(name)
        if not self.has(recipe):
            raise StackError(f"{name} is not built yet: run `python -m stack build {recipe.name}` first.")
        return self.folder(recipe) / name

    @property
    def path(self) -> str:
        """A PATH that finds the built servers before any others."""
        folders = [str(self.folder(recipe)) for recipe in RECIPES.values()]
        return os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])

    def build(self, recipe: Recipe) -> Path:
        """Build one server, whether or not it is there, and return its folder."""
        target = self.folder(recipe)
        log = self.directory / "logs" / f"{target.name}.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=".building-") as scratch:
                finished = Path(scratch, "finished")
                finished.mkdir()
                with log.open("wb") as output:
                    self._compile(recipe, finished, output.fileno(), log)
                _publish(finished, target)
        except OSError as error:
            raise (
                _no_space(recipe, self.directory)
                if error.errno == errno.ENOSPC
                else StackError(
                    f"{recipe.name} cannot be built under {self.directory} ({error.strerror}): make that folder "
                    "writable or set HAMILTON_OTEL_CACHE to another one."
                )
            ) from error
        return target

    def _compile(self, recipe: Recipe, into: Path, output: int, log: Path) -> None:
        if recipe.builder_config:
            sources = into.parent / "sources"
            config = yaml.safe_load(recipe.builder_config.read_text())
            config["dist"]["output_path"] = str(sources)
            generated = into.parent / "builder.yaml"
            generated.write_text(yaml.safe_dump(config))
            command = ["go", "tool", "builder", f"--config={generated}", f"--ldflags={LINKER_FLAGS}"]
        else:
            command = ["go", "build", f"-ldflags={LINKER_FLAGS}", f"-tags={','.join(recipe.tags)}"]
            command += ["-o", f"{into}{os.sep}", *recipe.packages]
        done = subprocess.run(
            command,
            cwd=recipe.folder,
            env=_go_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            said = log.read_text(errors="replace")
            if "no space left on device" in said:
                raise _no_space(recipe, self.directory)
            tail = "\n".join(said.splitlines()[-TAIL_LINES:])
            raise StackError(f"{recipe.name} could not be built; the whole output is in {log} and ends in:\n{tail}")
        if recipe.builder_config:
            for binary in recipe.binaries:
                shutil.move(sources / binary, into / binary)


def _go_environment() -> dict[str, str]:
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false -trimpath".strip()
    # Without cgo no C compiler is needed, and the binaries run on any machine of the same kind.
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": flags}


def _publish(finished: Path, target: Path) -> None:
    """Move a complete build into place; a build that ran at the same time may have won, which is as good."""
    try:
        finished.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _no_space(recipe: Recipe, directory: Path) -> StackError:
    return StackError(
        f"The disk became full while {recipe.name} was being built (all servers take about 11 GB of Go caches "
        f"when nothing is cached yet): free some space, or set GOCACHE, GOMODCACHE and HAMILTON_OTEL_CACHE "
        f"(now {directory.parent}) to folders on a larger disk."
    )
