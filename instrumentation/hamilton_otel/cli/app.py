"""The commands and their options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hamilton_otel.history import HistoryError, open_store
from hamilton_otel.settings import DEFAULT_LOCAL_STORE, SettingsError, environment

from . import objectives
from .doctor import print_examination, show_examination
from .replay import replay_spool
from .run import run_script
from .show import show_run

app = typer.Typer(
    name="hamilton-otel",
    help="Traces, metrics and logs for Apache Hamilton.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(objectives.app, name="objectives")


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


@app.command()
def doctor(
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for an answer, and for each probe.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as a JSON list.")] = False,
    collector_health_url: Annotated[str | None, typer.Option(help="The Collector's health_check.")] = None,
    jaeger_url: Annotated[str | None, typer.Option(help="Where Jaeger is asked.")] = None,
    loki_url: Annotated[str | None, typer.Option(help="Where Loki is asked.")] = None,
    prometheus_url: Annotated[str | None, typer.Option(help="Where Prometheus is asked.")] = None,
) -> None:
    """Find out why nothing arrives: follow a span, a log line and a count from here to the servers.

    The servers are looked for at their usual ports on the endpoint's host, unless an option or HAMILTON_OTEL_JAEGER_URL
    and the like say otherwise. The exit code is 1 if a check failed.
    """
    urls = {"COLLECTOR_HEALTH": collector_health_url, "JAEGER": jaeger_url, "LOKI": loki_url}
    for name, url in {**urls, "PROMETHEUS": prometheus_url}.items():
        if url is not None:
            os.environ[f"HAMILTON_OTEL_{name}_URL"] = url
    if not (print_examination(timeout) if as_json else show_examination(Console(), timeout)):
        raise typer.Exit(1)


@app.command()
def replay(
    spool: Annotated[Path | None, typer.Option(help="Directory of the spool; default: HAMILTON_OTEL_SPOOL.")] = None,
    receiver: Annotated[
        str | None, typer.Option(help="Deliver what was meant for this one, a folder of the spool, to the endpoint.")
    ] = None,
) -> None:
    """Deliver what could not be delivered when it was recorded."""
    try:
        complete = replay_spool(Console(stderr=True, highlight=False), spool, receiver)
    except SettingsError as error:
        typer.echo(f"hamilton-otel: {error}", err=True)
        raise typer.Exit(2) from None
    if not complete:
        raise typer.Exit(1)
