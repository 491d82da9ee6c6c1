"""The pages that a browser shows: the messages, and runbooks. Everything that came in is escaped."""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

from .messages import Message

#: What the page shows of a text; the API has all of it.
MOST_SHOWN: Final = 20_000
#: No path, so that nothing outside the folder can be asked for.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
STYLE: Final = """
body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.4; }
article { border: 1px solid #ccc; border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0; }
h2 { font-size: 1rem; margin: .3rem 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: .5rem; }
.kind { display: inline-block; min-width: 6rem; font-weight: bold; }
time, nav { color: #666; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: .2rem .5rem; }
"""


def listing(messages: Iterable[Message]) -> str:
    """Return the page with all messages, in their order."""
    articles = "".join(map(_article, messages))
    return _page(
        "Inbox",
        "<h1>Inbox</h1><nav>What Alertmanager sent, newest first; it reaches nobody else. "
        '<a href="/runbooks/">Runbooks</a> &middot; <a href="/api/messages">JSON</a></nav>'
        + (articles or "<p>Nothing yet.</p>"),
    )


def _article(message: Message) -> str:
    text = message.text if len(message.text) <= MOST_SHOWN else f"{message.text[:MOST_SHOWN]}…"
    return (
        f'<article><span class="kind">{escape(message.kind)}</span> <time>{escape(message.received)}</time>'
        f"<h2>{escape(message.title[:MOST_SHOWN])}</h2><pre>{escape(text)}</pre></article>"
    )


def runbook(folder: Path, name: str) -> str | None:
    """Return a runbook as a page, or None where there is none of that name."""
    path = folder / f"{name}.md"
    if not NAME.fullmatch(name) or not path.is_file():
        return None
    # The preset leaves HTML in the source as text.
    rendered = MarkdownIt("js-default").render(path.read_text(encoding="utf-8"))
    return _page(name, f'<nav><a href="/runbooks/">Runbooks</a></nav>{rendered}')


def runbooks(folder: Path) -> str:
    """Return the page that lists all runbooks."""
    names = sorted(path.stem for path in folder.glob("*.md"))
    items = "".join(f'<li><a href="/runbooks/{escape(name)}">{escape(name)}</a></li>' for name in names)
    return _page("Runbooks", f'<nav><a href="/">Inbox</a></nav><h1>Runbooks</h1><ul>{items}</ul>')


def _page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )
