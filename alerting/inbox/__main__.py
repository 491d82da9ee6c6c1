"""The command line: `python -m alerting.inbox`, set by environment variables; the work is done by the other modules."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .server import Settings, serve

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return what the environment says; ValueError, with a sentence, for what is no port."""
    return Settings(
        environment.get("INBOX_HOST") or "127.0.0.1",
        _port(environment, "INBOX_SMTP_PORT", 1025),
        _port(environment, "INBOX_HTTP_PORT", 8026),
        Path(environment.get("INBOX_RUNBOOKS") or RUNBOOKS),
    )


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"{variable} is '{text}', which is no port: set it to a number from 1 to 65535 or unset it.")


def main() -> None:
    """Run until a signal comes."""
    try:
        chosen = settings()
        asyncio.run(serve(chosen))
    except ValueError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(
            f"The inbox cannot listen on {chosen.host}:{chosen.smtp} ({error.strerror}): stop what holds the port or "
            "set INBOX_SMTP_PORT to a free one."
        )
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
