"""What arrived, newest first and bounded; not where from or how it is shown."""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal

Kind = Literal["email", "slack", "pagerduty", "watchdog"]

#: One message; PagerDuty's own limit is half of it.
MOST_BYTES_OF_ONE: Final = 1024 * 1024
MOST: Final = 500
MOST_CHARACTERS: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One notification; ``raw`` is all of it as it came."""

    kind: Kind
    received: str
    title: str
    text: str
    raw: str

    def as_json(self) -> dict[str, str]:
        """Return what the API tells."""
        return asdict(self)

    @property
    def size(self) -> int:
        """How much room it takes, roughly."""
        return len(self.title) + len(self.text) + len(self.raw)


class Messages:
    """The newest messages; the oldest go when there are too many or they take too much room."""

    def __init__(self, most: int = MOST, most_characters: int = MOST_CHARACTERS):
        self._messages: deque[Message] = deque()
        self._most = most
        self._most_characters = most_characters
        self._size = 0

    def add(self, message: Message) -> None:
        """Keep a message."""
        self._messages.appendleft(message)
        self._size += message.size
        while len(self._messages) > self._most or self._size > self._most_characters:
            self._size -= self._messages.pop().size

    def clear(self) -> None:
        """Forget all of them."""
        self._messages.clear()
        self._size = 0

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)
