"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hamilton_otel.history import HistoryError, open_store
from hamilton_otel.settings import DEFAULT_LOCAL_STORE, SettingsError, environment

from .run import run_script
from .show import show_run

app = typer.Typer(
    name="hamilton-otel",
    help="Traces, metrics and logs for Apache Hamilton.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


@app.callback()
def main() -> None:
    """Traces, metrics and logs for Apache Hamilton."""


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
)
def run(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(help="Python script to run, unchanged; its arguments follow.")],
    dag_name: Annotated[
        str | None, typer.Option(help="Name of the DAGs that the script builds; default: their modules' names.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="dev, ci or prod.")] = None,
) -> None:
    """Run a script with every Hamilton driver in it observed."""
    try:
        run_script(script, context.args, dag_name=dag_name, profile=profile)
    except SettingsError as error:
        typer.echo(f"hamilton-otel: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run id, a trace id, the beginning of one, or latest.")] = "latest",
    store: Annotated[Path | None, typer.Option(help="Directory of the local store.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the picture to this file as well.")] = None,
) -> None:
    """Show a run of the local store: its nodes, durations, outcomes, rows."""
    directory = store or Path(environment("HAMILTON_OTEL_LOCAL_STORE") or DEFAULT_LOCAL_STORE)
    console = Console(record=svg is not None, width=110 if svg else None)
    try:
        found = open_store(directory).run(run)
    except HistoryError as error:
        typer.echo(f"hamilton-otel: {error}", err=True)
        raise typer.Exit(1) from None
    show_run(console, found, directory)
    if svg is not None:
        console.save_svg(str(svg), title=f"hamilton-otel show {run}")
