"""What the inbox got, by alert: who was told that it fires or has ended, when, and in which words; no assertions."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import requests

HEADING = re.compile(r"^(?:(?:firing|resolved): )?\d+ (firing|resolved)$", re.MULTILINE)
SLACK = re.compile(r"^(Firing|Resolved): ", re.MULTILINE)


@dataclass(frozen=True)
class Letter:
    """What one message says of one alert."""

    kind: str
    received: float
    firing: bool
    text: str

    def is_about(self, alert: str, about: str) -> bool:
        return bool(re.search(rf"^(?:Alert: )?{alert}\b", self.text, re.MULTILINE)) and about in self.text


def letters(message: dict[str, str]) -> Iterator[Letter]:
    """Each alert of a message from /api/messages."""
    received = datetime.fromisoformat(message["received"]).timestamp()
    if message["kind"] == "watchdog":
        yield Letter("watchdog", received, "is firing" in message["title"], message["title"].split()[0])
        return
    if message["kind"] == "slack":
        words = SLACK.split(message["text"])[1:]
        for state, text in zip(words[::2], words[1::2], strict=True):
            yield Letter("slack", received, state == "Firing", text)
        return
    # Lines of mail end so.
    words = HEADING.split(message["text"].replace("\r\n", "\n"))[1:]
    for state, text in zip(words[::2], words[1::2], strict=True):
        for block in text.strip().split("\n\n"):
            yield Letter(message["kind"], received, state == "firing", f"{block}\n")


class Letters:
    """Reads the inbox for as long as the block lasts, as that keeps only the newest messages."""

    def __init__(self, inbox: str):
        self._url = f"{inbox}/api/messages"
        self._seen: dict[tuple[str, ...], list[Letter]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def about(self, alert: str, about: str, *, firing: bool, since: float) -> list[Letter]:
        """Those received since then, the oldest first."""
        every = [letter for found in list(self._seen.values()) for letter in found]
        wanted = [
            letter
            for letter in every
            if letter.firing == firing and letter.received >= since and letter.is_about(alert, about)
        ]
        return sorted(wanted, key=lambda letter: letter.received)

    @property
    def kinds(self) -> set[str]:
        return {letter.kind for found in list(self._seen.values()) for letter in found}

    def _read(self) -> None:
        while not self._end.wait(0.3):
            try:
                messages = requests.get(self._url, timeout=5).json()
            except requests.RequestException:
                continue
            for message in messages:
                key = (message["received"], message["kind"], message["raw"])
                if key not in self._seen:
                    self._seen[key] = list(letters(message))
