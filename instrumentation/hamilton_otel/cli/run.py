"""``hamilton-otel run``: configure, instrument, then run the user's script as Python itself would."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import typer

from hamilton_otel.instrumentor import HamiltonInstrumentor
from hamilton_otel.providers import configure


def run_script(script: Path, arguments: Sequence[str], *, dag_name: str | None, profile: str | None) -> None:
    """Run *script* as ``__main__`` with *arguments*; its exceptions and exit codes are those of a plain run.

    Raises :class:`hamilton_otel.SettingsError` before the script starts where a setting is wrong.
    """
    if not script.is_file():
        typer.echo(f"hamilton-otel: {str(script)!r} is not a file; give the path of a Python script.", err=True)
        raise typer.Exit(2)
    if dag_name:
        os.environ["HAMILTON_OTEL_DAG_NAME"] = dag_name
    configure(profile=profile)
    HamiltonInstrumentor().instrument()
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit:
        raise
    except BaseException as error:
        error.__traceback__ = _from_script(error.__traceback__, str(script))
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 1) from None


def _from_script(traceback: TracebackType | None, script: str) -> TracebackType | None:
    """Return *traceback* without the frames that lead to the script, as ``python script.py`` shows it."""
    found = traceback
    while found is not None and found.tb_frame.f_code.co_filename != script:
        found = found.tb_next
    return found or traceback
