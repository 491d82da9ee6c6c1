"""The commands ``objectives compile`` and ``objectives check``; the work is done by ``hamilton_otel/objectives.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import requests
import typer

from hamilton_otel.objectives import Expectation, ObjectivesError, compiled, read, write

SOURCE: Final = Path("alerting/objectives.yml")
OUTPUT: Final = Path("prometheus/rules/objectives.compiled.yml")
_TIMEOUT: Final = 10.0

app = typer.Typer(help="What is expected of DAGs: success, deadlines, durations.", no_args_is_help=True)
_File = Annotated[Path, typer.Argument(help="The objectives, in YAML.")]
_Output = Annotated[Path, typer.Option(help="The rules that Prometheus reads.")]


@app.command("compile")
def compile_(
    file: _File = SOURCE,
    output: _Output = OUTPUT,
    reload: Annotated[str | None, typer.Option(help="URL of a Prometheus that is to read it at once.")] = None,
) -> None:
    """Make rules of the objectives, so that alerts and the SLO dashboard go by them."""
    expectations = _read(file)
    try:
        write(output, compiled(expectations, file.as_posix()))
    except OSError as error:
        raise _failure(f"{output} cannot be written ({error.strerror}); name another file with --output.") from None
    typer.echo(f"Wrote {output}: the defaults and {len(expectations) - 1} entries.")
    if reload is not None:
        _reload(reload)
        typer.echo(f"{reload} goes by it now.")


@app.command()
def check(file: _File = SOURCE, output: _Output = OUTPUT) -> None:
    """Say what is wrong with the objectives, and whether their rules are up to date."""
    text = compiled(_read(file), file.as_posix())
    if not output.exists() or output.read_text("utf-8") != text:
        raise _failure(f"{output} is not what {file} says; run `hamilton-otel objectives compile`.")
    typer.echo(f"{file} is right, and {output} is made of it.")


def _read(file: Path) -> list[Expectation]:
    try:
        return read(file)
    except ObjectivesError as error:
        for problem in error.problems:
            typer.echo(f"hamilton-otel: {problem}", err=True)
        raise typer.Exit(2) from None


def _reload(url: str) -> None:
    try:
        answer = requests.post(f"{url.rstrip('/')}/-/reload", timeout=_TIMEOUT)
    except requests.RequestException:
        raise _failure(
            f"{url} does not answer, so Prometheus reads the rules when it starts; or name its URL."
        ) from None
    if answer.status_code == requests.codes.forbidden:
        raise _failure(f"{url} does not reload when asked; start Prometheus with --web.enable-lifecycle.")
    if not answer.ok:
        raise _failure(f"{url} keeps its old rules: {answer.text.strip() or answer.status_code}.")


def _failure(message: str) -> typer.Exit:
    typer.echo(f"hamilton-otel: {message}", err=True)
    return typer.Exit(1)
