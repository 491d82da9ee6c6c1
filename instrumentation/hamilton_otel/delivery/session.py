"""The HTTP connection of an exporter, watched: what the receiver answered last is known without asking the exporter.

An exporter tells success or failure only after all its attempts; a process that ends cannot wait for that, and a
request that is refused for good must be told from a receiver that is down. Not for sending anything by itself.
"""

from __future__ import annotations

from typing import Any

import requests

from .answers import Watch
from .transport import reason_of


class WatchedSession(requests.Session):
    """A session that notes each answer in *watch*."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send the request, and note what became of it."""
        if isinstance(self.verify, str):  # a session's own is overruled by REQUESTS_CA_BUNDLE
            kwargs.setdefault("verify", self.verify)
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:
            self._watch.note(True, None, str(error))
            raise
        refused = response.status_code >= 300
        self._watch.note(refused, response.status_code, reason_of(response) if refused else "")
        return response
