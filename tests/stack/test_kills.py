"""Servers that are killed under load; chaos.py is the long form."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Stack
from tests.stack import chaos
from tests.stack.servers import new_stack

KILLS = 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of this module's own."""
    with new_stack(tmp_path_factory.mktemp("stack")) as servers:
        yield servers


def test_nothing_acknowledged_is_lost_when_servers_are_killed(stack: Stack) -> None:
    """Collector, Jaeger and Loki killed at random: all acknowledged spans and lines are there, counts nearly exact."""
    victims = ["collector", "jaeger", "loki"] * KILLS
    outcome = chaos.run(stack, victims, senders=3, chance=random.Random())
    assert outcome.acknowledged.retries > 0
    assert (outcome.lost_spans, outcome.lost_lines) == (set(), set()), str(outcome)
    assert outcome.least <= outcome.counted <= outcome.most, str(outcome)


def test_no_run_is_lost_when_the_collector_is_killed(stack: Stack, tmp_path: Path) -> None:
    """Spans and lines of Hamilton runs all arrive, after a replay at the latest; counts are as exact as kills allow."""
    outcome = chaos.run_pipelines(stack, tmp_path / "spool", kills=KILLS, processes=3, chance=random.Random())
    assert len(outcome.acknowledged.runs) > 100
    assert (outcome.lost_spans, outcome.lost_lines) == (set(), set()), str(outcome)
    assert outcome.least <= outcome.counted <= outcome.most, str(outcome)
