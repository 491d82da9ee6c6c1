"""An Alertmanager and an inbox of their own, with short waits, and what a test does to them; no assertions."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from stack import Stack
from tests.stack.servers import new_stack

Labels = Mapping[str, str]
#: What production waits for, and what a test does.
SHORT_WAITS = {
    "group_wait: 30s": "group_wait: 1s",
    "group_interval: 5m": "group_interval: 1s",
    "group_interval: 1m": "group_interval: 1s",
    "repeat_interval: 5m": "repeat_interval: 3s",
}
CONFIG = "config/alertmanager/alertmanager.yml"


class Alerts:
    """Posts alerts, and reads what became of them."""

    def __init__(self, stack: Stack):
        self._stack = stack
        self.url = stack.alertmanager

    def post(
        self, *alerts: Labels, since: float = 60, ended: float | None = None, annotations: Labels | None = None
    ) -> None:
        """Send alerts that began `since` seconds ago and, where it is set, ended `ended` seconds ago."""
        now = datetime.now(UTC)
        end = now + timedelta(hours=1) if ended is None else now - timedelta(seconds=ended)
        times = {"startsAt": (now - timedelta(seconds=since)).isoformat(), "endsAt": end.isoformat()}
        body = [{"labels": dict(labels), "annotations": dict(annotations or {}), **times} for labels in alerts]
        answer = requests.post(f"{self._stack.alertmanager}/api/v2/alerts", json=body, timeout=10)
        assert answer.ok, answer.text

    def status(self, **labels: str) -> dict[str, Any]:
        """The status of the only alert with these labels."""
        found = [alert for alert in self.all() if labels.items() <= alert["labels"].items()]
        assert len(found) == 1, found
        status: dict[str, Any] = found[0]["status"]
        return status

    def all(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = requests.get(f"{self._stack.alertmanager}/api/v2/alerts", timeout=10).json()
        return alerts

    def muted(self) -> dict[str, list[str]]:
        """Names of alerts, and the time intervals that mute them; only groups tell."""
        groups = requests.get(f"{self._stack.alertmanager}/api/v2/alerts/groups", timeout=10).json()
        every = [alert for group in groups for alert in group["alerts"]]
        return {alert["labels"]["alertname"]: alert["status"]["mutedBy"] for alert in every}

    def messages(self, kind: str, containing: str) -> list[dict[str, str]]:
        """What the inbox has of one kind, the oldest first."""
        every = requests.get(f"{self._stack.inbox}/api/messages", timeout=10).json()
        return [one for one in reversed(every) if one["kind"] == kind and containing in one["raw"]]


@contextmanager
def running(directory: Path, changes: Mapping[str, str] = SHORT_WAITS) -> Iterator[Alerts]:
    """Run Alertmanager and the inbox alone, with texts of the configuration replaced."""
    stack = new_stack(directory)
    stack.prepare()
    config = stack.directory / CONFIG
    text = config.read_text()
    for old, new in changes.items():
        assert old in text, f"{old} is not in alertmanager.yml"
        text = text.replace(old, new)
    config.write_text(text)
    servers = [stack.servers[name] for name in ("inbox", "alertmanager")]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield Alerts(stack)
    finally:
        for server in reversed(servers):
            server.stop()


def amtool(*arguments: str, path: str) -> str:
    """What amtool says."""
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        ["amtool", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
