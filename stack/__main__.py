"""The command line: `python -m stack build`, `up`, `drain` and `path`; the work is done by the other modules."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .build import Cache
from .drain import Drain
from .errors import StackError
from .ports import HOST, Ports
from .progress import build_missing
from .recipes import ROOT
from .servers import Server, Stack

DATA = ROOT / "stack" / ".data"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False)


@app.command()
def build(names: Annotated[list[str] | None, typer.Argument(help="Servers to build; all if none.")] = None) -> None:
    """Build the servers whose binaries are not in the cache."""
    cache = Cache.default()
    if not build_missing(cache, names or (), console):
        console.print(f"Nothing to build: the binaries are in {cache.directory}", soft_wrap=True)


@app.command()
def path(binary: Annotated[str, typer.Argument(help="For example promtool.")]) -> None:
    """Print where a built binary is."""
    typer.echo(Cache.default().binary(binary))


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Where the servers keep their data between starts.")] = DATA,
    collector_config: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="File that is merged over the Collector's config.yaml; may be repeated."),
    ] = None,
) -> None:
    """Build what is missing, run all servers, and stop them at Ctrl-C."""
    ports = Ports.default()
    ports.require_free()
    cache = Cache.default()
    build_missing(cache, console=console)
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    stack = Stack(data, ports, cache=cache, collector_configs=collector_config or ())
    console.print("Starting the servers.")
    try:
        with stack:
            console.print(addresses(stack))
            console.print(
                f"Data and logs are in {stack.directory}. Dashboards need Docker, because Grafana cannot be built "
                "this way: `docker compose up` has them. Ctrl-C stops everything.",
            )
            first_to_stop = watch(stack.servers.values())
            raise StackError(f"{first_to_stop.name} stopped by itself, so all stop; {first_to_stop.last_words()}")
    except KeyboardInterrupt:
        console.print("Stopped.")


@app.command()
def drain(
    command: Annotated[list[str], typer.Argument(help="What stops the Collector: `docker compose stop collector`.")],
    otlp: Annotated[str | None, typer.Option("--grpc", help="Host and port of the Collector's gRPC.")] = None,
    prometheus: Annotated[str | None, typer.Option(help="URL of the Prometheus that scrapes it.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(envvar="OTEL_EXPORTER_OTLP_CERTIFICATE", help="Authority, where it wants TLS.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that each step may take.")] = 60,
) -> None:
    """Stop the Collector without losing a count: close its intake, wait for a scrape, let it end."""
    ports = Ports.default()
    plan = Drain(
        otlp or f"{HOST}:{ports.otlp_grpc}", prometheus or f"http://{HOST}:{ports.prometheus}", certificate, timeout
    )
    stopping: list[subprocess.Popen[bytes]] = []

    def stop() -> None:
        try:
            stopping.append(subprocess.Popen(command))
        except OSError as error:
            raise StackError(
                f"{command[0]} cannot be run ({error.strerror}): correct the command after `--`."
            ) from error

    with console.status("") as status:

        def say(step: str) -> None:
            console.print(f"{step}.")
            status.update(step)

        plan.stop(stop, say)
        code = stopping[0].wait()
    if code:
        raise StackError(f"`{' '.join(command)}` ended with {code}: see what it said above.")
    console.print("Drained; start the Collector again as usual.")


def addresses(stack: Stack) -> Table:
    table = Table(title="The stack is ready", title_justify="left")
    table.add_column("What")
    table.add_column("Where", no_wrap=True)
    for what, where in {
        "Send telemetry, OTLP over HTTP": stack.otlp_http,
        "Send telemetry, OTLP over gRPC": stack.otlp_grpc,
        "Traces, Jaeger (API; its pages need Docker)": stack.jaeger,
        "Metrics, Prometheus (API)": stack.prometheus,
        "Logs, Loki (API)": stack.loki,
        "Alerts, Alertmanager": stack.alertmanager,
        "What Alertmanager sent, and runbooks": stack.inbox,
        "The Collector about itself": stack.collector_metrics,
    }.items():
        table.add_row(what, where)
    return table


def watch(servers: Iterable[Server]) -> Server:
    """Wait for as long as all servers run; return the one that did not."""
    watched = list(servers)
    while True:
        for server in watched:
            if not server.running:
                return server
        time.sleep(0.5)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # An impatient second Ctrl-C would leave servers behind.
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    try:
        app()
    except StackError as error:
        console.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
