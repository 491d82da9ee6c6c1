"""The commands: everything (`make bench`), `quick`, `check` and `instructions`. Not for how anything is measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import check as checking
from . import instructions, report
from . import plan as plans
from .child import MeasurementFailed
from .figures import Figure, figures
from .plan import Plan
from .run import Found, carry_out

RESULTS = Path(__file__).parents[1] / "results" / "nodes.json"
INSTRUCTIONS = RESULTS.with_name("instructions.json")

WIDTH = 120
"""Of tables where nobody looks at them on a terminal."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ResultsOption = Annotated[Path, typer.Option(help="File of the figures.")]


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    results: ResultsOption = RESULTS,
    collector: Annotated[
        bool | None, typer.Option(help="Send the flights through the real Collector; default: where it is built.")
    ] = None,
    tiny: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Measure everything that telemetry costs, print it, and write it to a file; a quarter of an hour."""
    if context.invoked_subcommand is not None:
        return
    console = _console()
    found, made = _measure(plans.tiny() if tiny else plans.full(), console, collector)
    report.save(found, made, f"python -m benchmarks.nodes {' '.join(sys.argv[1:])}".strip(), results)
    console.print(f"Written to {results}", soft_wrap=True)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def quick(
    seconds: Annotated[float, typer.Option(min=0, help="Seconds for each of ten measurements.")] = 2.0,
) -> None:
    """Print the figures of the configurations of ours with one graph; half a minute."""
    found, _ = _measure(plans.quick(seconds), _console())
    if found.failed:
        raise typer.Exit(1)


@app.command()
def check(results: ResultsOption = RESULTS) -> None:
    """Fail where a figure is clearly worse than the committed one; less than a minute."""
    console = _console()
    if not results.exists():
        console.print(f"There are no figures to compare with in {results}: run `make bench` first.", soft_wrap=True)
        raise typer.Exit(2)
    found, made = _measure(plans.check(), console)
    problems = checking.regressions(made, checking.committed(results))
    problems += [f"{name} was not measured: {why}" for name, why in found.failed.items()]
    for problem in problems:
        console.print(problem, style="red", soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    console.print("No figure is clearly worse than the committed one.")


@app.command("instructions")
def count_instructions(
    results: Annotated[Path, typer.Option(help="File of the counts.")] = INSTRUCTIONS,
    runs: Annotated[int, typer.Option(min=1, help="Runs that are counted, and twice as many.")] = instructions.RUNS,
) -> None:
    """Count the instructions that a node takes, with valgrind; two minutes."""
    console = _console()
    try:
        with _progress(console) as bar:
            task = bar.add_task("starting", total=sum(map(len, instructions.COUNTED.values())))
            counted = instructions.count(lambda what: bar.update(task, description=what, advance=1), runs)
    except MeasurementFailed as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    console.print(report.table_of_instructions(counted))
    report.save_instructions(counted, results)
    console.print(f"Written to {results}", soft_wrap=True)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _measure(plan: Plan, console: Console, collector: bool | None = None) -> tuple[Found, list[Figure]]:
    with _progress(console) as bar:
        task = bar.add_task("starting", total=plan.steps)
        found = carry_out(plan, lambda what: bar.update(task, description=what, advance=1), collector=collector)
    made = figures(found)
    report.show(found, made, console)
    return found, made


if __name__ == "__main__":
    app()
