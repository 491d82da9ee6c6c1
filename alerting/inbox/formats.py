"""E-mails and the payloads of Slack, PagerDuty and webhooks as messages. Not for receiving or showing them."""

import email
import email.policy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Final

from .messages import Kind, Message


def now() -> str:
    """Return the present time as messages carry it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def from_email(source: bytes) -> Message:
    """Return what an e-mail says: its subject and its plain text."""
    parsed = email.message_from_bytes(source, policy=email.policy.default)
    return _message("email", str(parsed["subject"] or ""), _content(parsed), source.decode(errors="replace"))


def from_json(kind: Kind, body: bytes) -> Message:
    """Return what a payload says; ValueError, TypeError or AttributeError if it is none."""
    source = body.decode()
    payload = json.loads(source)
    if not isinstance(payload, dict):
        raise ValueError("no JSON object")
    title, text = READERS[kind](payload)
    return _message(kind, title, text, source)


def _message(kind: Kind, *texts: str) -> Message:
    # Half of a surrogate pair is valid in JSON and in Python, and no page could be written with it.
    title, text, raw = (one.encode(errors="replace").decode() for one in texts)
    return Message(kind, now(), title, text, raw)


def _content(parsed: EmailMessage) -> str:
    body = parsed.get_body(("plain", "html"))
    if body is None:
        return ""
    try:
        return str(body.get_content())
    except LookupError:  # an encoding that Python does not know
        return str(body.get_payload())


def _slack(payload: Mapping[str, Any]) -> tuple[str, str]:
    attachments = payload.get("attachments") or [{}]
    titles = [_text(payload.get("text")), *(_text(one.get("title")) for one in attachments)]
    return " ".join(filter(None, titles)), "\n".join(_text(one.get("text")) for one in attachments)


def _pagerduty(payload: Mapping[str, Any]) -> tuple[str, str]:
    event = payload.get("payload") or {}
    details = event.get("custom_details") or {}
    links = [f"{link.get('text')}: {link.get('href')}" for link in payload.get("links") or ()]
    title = f"{_text(payload.get('event_action'))}: {_text(event.get('summary'))}"
    return title, "\n".join([*(f"{name}: {_text(value)}" for name, value in details.items()), *links])


def _watchdog(payload: Mapping[str, Any]) -> tuple[str, str]:
    labels = payload.get("commonLabels") or {}
    annotations = payload.get("commonAnnotations") or {}
    title = f"{_text(labels.get('alertname')) or 'Webhook'} is {_text(payload.get('status'))}"
    return title, _text(annotations.get("summary"))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str]]]] = {
    "slack": _slack,
    "pagerduty": _pagerduty,
    "watchdog": _watchdog,
}
