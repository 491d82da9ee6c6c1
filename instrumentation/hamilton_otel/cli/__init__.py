"""The ``hamilton-otel`` command: thin, each command calls the module that does the work."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit('hamilton-otel: the command line is not installed; pip install "hamilton-otel[cli]".')
    app()
