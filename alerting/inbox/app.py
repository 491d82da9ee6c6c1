"""What the inbox answers over HTTP: the sinks, the pages, the API. Not for mail."""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import pages
from .formats import from_json
from .messages import MOST_BYTES_OF_ONE, Kind, Messages

#: No script, nothing from elsewhere, no frame: what came in stays text, whatever it is.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def application(messages: Messages, runbooks: Path) -> Starlette:
    """Return the application that keeps *messages* and shows the *runbooks* of a folder."""

    def sink(kind: Kind, answer: Response) -> Route:
        async def receive(request: Request) -> Response:
            body = await _body(request)
            if body is None:
                return _sentence(f"The message is larger than {MOST_BYTES_OF_ONE} bytes: send a smaller one.", 413)
            try:
                messages.add(from_json(kind, body))
            except (ValueError, AttributeError, TypeError, RecursionError):
                return _sentence(
                    f"The body is no payload for {kind}: send what Alertmanager sends, a JSON object.", 400
                )
            return answer

        return Route(f"/{kind}", receive, methods=["POST"])

    async def listing(request: Request) -> Response:
        return _page(pages.listing(messages))

    async def listed(request: Request) -> Response:
        return JSONResponse([message.as_json() for message in messages])

    async def clear(request: Request) -> Response:
        messages.clear()
        return Response(status_code=204)

    async def all_runbooks(request: Request) -> Response:
        return _page(pages.runbooks(runbooks))

    async def runbook(request: Request) -> Response:
        # Runbooks link to each other by the names of their files.
        name = request.path_params["name"].removesuffix(".md")
        page = pages.runbook(runbooks, name)
        if page is None:
            return _sentence(f"There is no runbook {name!r}: see /runbooks/ for those that there are.", 404)
        return _page(page)

    async def health(request: Request) -> Response:
        return _sentence("ok", 200)

    return Starlette(
        routes=[
            # Slack answers so, and Alertmanager takes anything else for an error.
            sink("slack", PlainTextResponse("ok")),
            sink("pagerduty", JSONResponse({"status": "success", "message": "Event processed"}, 202)),
            sink("watchdog", PlainTextResponse("ok")),
            Route("/", listing),
            Route("/api/messages", listed, methods=["GET"]),
            Route("/api/messages", clear, methods=["DELETE"]),
            Route("/runbooks/", all_runbooks),
            Route("/runbooks/{name}", runbook),
            Route("/health", health),
        ]
    )


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES_OF_ONE:
            return None
    return bytes(body)


def _page(html: str) -> Response:
    return HTMLResponse(html, headers=HEADERS)


def _sentence(text: str, status: int) -> Response:
    return PlainTextResponse(text, status, headers=HEADERS)
