"""Which servers are built from which Go packages; not how they are built or run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Recipe:
    """One server: a Go tool module under stack/ and the commands that it holds."""

    name: str
    module: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    #: How long it took with empty Go caches, in this order, on 2 cores; only the estimate on the terminal uses it.
    cold_seconds: int
    tags: tuple[str, ...] = ()
    #: The OpenTelemetry Collector builder generates a program from this file and compiles that.
    builder_config: Path | None = None

    @property
    def folder(self) -> Path:
        return ROOT / "stack" / self.module

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that decides what the binaries are."""
        files = (self.folder / "go.mod", self.folder / "go.sum")
        return (*files, self.builder_config) if self.builder_config else files


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="collector",
            module="builder",
            packages=("go.opentelemetry.io/collector/cmd/builder",),
            binaries=("collector",),
            cold_seconds=267,
            builder_config=ROOT / "collector" / "builder.yaml",
        ),
        Recipe(
            name="prometheus",
            module="prometheus",
            packages=("github.com/prometheus/prometheus/cmd/prometheus",),
            binaries=("prometheus",),
            cold_seconds=114,
            # Targets come from files; service discovery would compile the SDKs of a dozen clouds.
            tags=("remove_all_sd",),
        ),
        Recipe(
            name="promtool",
            # Of an older version: the promtool of Prometheus 3.15.0 cannot evaluate `anchored` in tests of rules.
            module="promtool",
            packages=("github.com/prometheus/prometheus/cmd/promtool",),
            binaries=("promtool",),
            cold_seconds=81,
            tags=("remove_all_sd",),
        ),
        Recipe(
            name="alertmanager",
            module="alertmanager",
            packages=(
                "github.com/prometheus/alertmanager/cmd/alertmanager",
                "github.com/prometheus/alertmanager/cmd/amtool",
            ),
            binaries=("alertmanager", "amtool"),
            cold_seconds=19,
        ),
        Recipe(
            name="jaeger",
            module="jaeger",
            packages=("github.com/jaegertracing/jaeger/cmd/jaeger",),
            binaries=("jaeger",),
            cold_seconds=198,
        ),
        Recipe(
            name="loki",
            module="loki",
            packages=("github.com/grafana/loki/v3/cmd/loki",),
            binaries=("loki",),
            cold_seconds=268,
        ),
    )
}


def select(names: Iterable[str]) -> list[Recipe]:
    """The recipes of these servers, or of all when none is named."""
    wanted = list(names) or list(RECIPES)
    unknown = [name for name in wanted if name not in RECIPES]
    if unknown:
        raise StackError(f"There is no server named '{unknown[0]}': choose from {', '.join(RECIPES)}.")
    return [RECIPES[name] for name in wanted]


def recipe_of(binary: str) -> Recipe:
    """The recipe that builds this command."""
    for recipe in RECIPES.values():
        if binary in recipe.binaries:
            return recipe
    known = ", ".join(name for recipe in RECIPES.values() for name in recipe.binaries)
    raise StackError(f"There is no binary named '{binary}': choose from {known}.")
