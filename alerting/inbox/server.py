"""The inbox's two listeners, mail and HTTP, in one event loop until a signal stops it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session

from .app import application
from .formats import from_email
from .messages import MOST_BYTES_OF_ONE, Messages


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the inbox listens, and the folder of its runbooks."""

    host: str
    smtp: int
    http: int
    runbooks: Path


class _Mail:
    """What aiosmtpd calls for a whole e-mail."""

    def __init__(self, messages: Messages):
        self._messages = messages

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        self._messages.add(from_email(content if isinstance(content, bytes) else content.encode()))
        return "250 OK"


async def serve(settings: Settings) -> None:
    """Receive and show until a signal says stop."""
    messages = Messages()
    loop = asyncio.get_running_loop()
    mail = await loop.create_server(
        # Its own host name would be looked up, which can take seconds.
        lambda: SMTP(_Mail(messages), hostname="inbox", data_size_limit=MOST_BYTES_OF_ONE, loop=loop),
        settings.host,
        settings.smtp,
    )
    async with mail:
        config = uvicorn.Config(
            application(messages, settings.runbooks), settings.host, settings.http, log_level="warning", lifespan="off"
        )
        await uvicorn.Server(config).serve()
