"""Messages of the inbox are told apart by alert and by whether it fires (tests/stack/letters.py)."""

import pytest

from tests.stack.letters import letters

PLAIN = (
    "1 firing\n\nA: summary\nDAG: orders\n\n2 resolved\n\nB: summary\nDAG: shop\n\nC: summary\n\nAlertmanager: http://x"
)
SLACK = (
    "Firing: summary\nAlert: A\nDAG: orders\n\nResolved: summary\nAlert: B\nDAG: shop\n\nResolved: summary\nAlert: C\n"
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "[CRITICAL] orders\r\n\r\n" + PLAIN.replace("\n", "\r\n")),
        ("pagerduty", f"firing: {PLAIN.replace('2 resolved', 'resolved: 2 resolved')}"),
        ("slack", SLACK),
    ],
)
def test_each_alert_of_a_message_is_told_apart(kind: str, text: str) -> None:
    """One fires and two have ended, each with its own lines and none of the others."""
    message = {"kind": kind, "received": "2026-11-21T12:00:00.000+00:00", "title": "", "text": text}
    found = list(letters(message))
    told = {name: letter.firing for name in "ABC" for letter in found if letter.is_about(name, "")}
    assert told == {"A": True, "B": False, "C": False}
    assert [letter.firing for letter in found if letter.is_about("A", "DAG: orders\n")] == [True]
    assert not any(letter.is_about("A", "DAG: shop") for letter in found)


def test_the_watchdog_is_told_by_its_title() -> None:
    """It is the only one with a receiver of its own."""
    message = {
        "kind": "watchdog",
        "received": "2026-11-21T12:00:00.000+00:00",
        "title": "Watchdog is firing",
        "text": "",
    }
    (letter,) = letters(message)
    assert letter.firing
    assert letter.is_about("Watchdog", "")
