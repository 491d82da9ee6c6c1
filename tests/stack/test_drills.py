"""Alerts are caused for real, told to whom they concern, and end (drills.py); what it takes is in docs/alerts.md."""

import re
from collections.abc import Iterator

import pytest

from tests.stack import drills
from tests.stack.backends import eventually
from tests.stack.drills import Ground


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Servers of their own, for whose rules time runs faster."""
    with drills.opened(tmp_path_factory.mktemp("drills"), drills.FAST) as opened:
        yield opened


def test_every_alert_is_drilled_or_it_is_said_why_not() -> None:
    """Each is in one of the two lists, and there is no other."""
    drilled = {drill.alert for drill in drills.every()}
    assert drilled | set(drills.NOT_DRILLED) == set(drills.alerts())
    assert not drilled & set(drills.NOT_DRILLED)


def test_the_page_has_each() -> None:
    """What `make drill` wrote is of the drills that there are."""
    text = drills.PAGE.read_text()
    assert re.findall(r"^\| (\w+) \| \w+ \|", text, re.MULTILINE)[1:] == sorted(each.alert for each in drills.every())
    assert re.findall(r"^- (\w+): ", text, re.MULTILINE) == sorted(drills.NOT_DRILLED)


@pytest.mark.timeout(200)
def test_nothing_fires_while_all_is_well(ground: Ground) -> None:
    """On servers that were just started, and while DAGs run as they are to, only the alert fires that always does."""
    ground.actors.play("healthy")
    # What fires before Prometheus has found Alertmanager is sent again a minute later.
    eventually(lambda: ground.letters.kinds, timeout=90)
    # Longer than any alert about a start would wait.
    ground.known("count_over_time(hamilton:runs:increase1m[1d]) > 10", 30)
    assert drills.fired(ground) == {"Watchdog"}
    assert ground.letters.kinds == {"watchdog"}


@pytest.mark.timeout(400)
def test_alerts_are_told_and_end(ground: Ground) -> None:
    """Each reaches its receivers, names what is wrong, links to pages that there are, and is told to be over."""
    drills.expect(ground)
    wrong = [str(one) for one in drills.all_of_them(ground) if isinstance(one, BaseException)]
    assert not wrong, "\n\n".join(wrong)
