"""The pages in runbooks/ as tests see them: headings, fenced blocks, links, and what is marked as a panel."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.recipes import ROOT

FOLDER = ROOT / "runbooks"
INDEX = "README"
BESIDES = {"poisoned-collector-queue", "replaying-a-spool", "adding-a-receiver"}
"""Pages that are no alert's."""

FILLED_IN = {
    "<dag>": "orders",
    "<service>": "shop",
    "<node>": "parsed",
    "<host>": "some-host",
    "<pid>": "4711",
}
"""What stands for a label's value in queries, and what tests put there."""


@dataclass(frozen=True)
class Block:
    """A fenced block: the page and the line where it begins, its language, its text without indentation."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}.md:{self.line}"

    @property
    def filled_in(self) -> str:
        text = self.text
        for placeholder, value in FILLED_IN.items():
            text = text.replace(placeholder, value)
        return text


@dataclass(frozen=True)
class Book:
    """One page."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The text without fenced blocks and code."""
        return re.sub(r"`[^`\n]*`", "", _FENCED.sub("", self.text))

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^#+ .*$", _FENCED.sub("", self.text), re.MULTILINE)

    @property
    def blocks(self) -> Iterator[Block]:
        text = self.text
        for match in _FENCED.finditer(text):
            indent = match["indent"]
            lines = [line.removeprefix(indent) for line in match["body"].splitlines()]
            yield Block(self.name, text.count("\n", 0, match.start()) + 1, match["language"], "\n".join(lines))

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)]+)\)", self.prose)

    @property
    def panels(self) -> list[list[str]]:
        """What is bold: a dashboard, a dashboard and a panel, or those with the panel's row between them."""
        marks = re.findall(r"\*\*(.+?)\*\*", self.prose, re.DOTALL)
        return [" ".join(mark.split()).split(" › ") for mark in marks]


_FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$\n?", re.MULTILINE | re.DOTALL)

BOOKS = {path.stem: Book(path) for path in sorted(FOLDER.glob("*.md"))}
ALERTS = set(BOOKS) - BESIDES - {INDEX}
"""Pages that are an alert's."""


def queries(language: str) -> list[Block]:
    """Every fenced block of *language* in all pages."""
    return [block for book in BOOKS.values() for block in book.blocks if block.language == language]
