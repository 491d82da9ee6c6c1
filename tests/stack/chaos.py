"""Kills servers at random moments under load and compares what arrived with what was acknowledged.

`python -m tests.stack.chaos` (`make chaos`) is the long form of test_kills.py.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.delivery import Acknowledged, Senders, increase, stored_lines, stored_spans
from tests.stack.servers import new_stack

#: Longest time between a server's readiness and the next kill.
PEACE = 2.0
#: What the Collector holds back before its totals grow, and then some.
BATCHED = 1.0


@dataclass
class Chaos:
    """What became of the telemetry of one series of kills."""

    acknowledged: Acknowledged
    senders: int
    #: For each kill of the Collector: the last scrape before it, and the kill.
    unscraped: list[tuple[float, float]] = field(default_factory=list)
    lost_spans: set[str] = field(default_factory=set)
    lost_lines: set[str] = field(default_factory=set)
    duplicate_spans: int = 0
    duplicate_lines: int = 0
    counted: float = 0

    @property
    def least(self) -> int:
        """The runs that must have been counted: all but those since the last scrape before a kill."""
        return sum(
            not any(scrape - BATCHED <= run <= kill for scrape, kill in self.unscraped)
            for run in self.acknowledged.runs
        )

    @property
    def most(self) -> int:
        """The runs that may have been counted: a request whose acknowledgement a kill cut off came again."""
        return len(self.acknowledged.runs) + self.senders * len(self.unscraped)

    def __str__(self) -> str:
        return (
            f"acknowledged: {len(self.acknowledged.spans)} spans, {len(self.acknowledged.lines)} lines, "
            f"{len(self.acknowledged.runs)} runs after {self.acknowledged.retries} retries; "
            f"lost: {len(self.lost_spans)} spans, {len(self.lost_lines)} lines; "
            f"twice: {self.duplicate_spans} spans, {self.duplicate_lines} lines; "
            f"runs counted: {self.counted:.0f}, expected {self.least} to {self.most}"
        )


def run(stack: Stack, victims: Sequence[str], *, senders: int, name: str = "chaos", chance: random.Random) -> Chaos:
    """Kill and start these servers one after the other while so many processes send; then look what there is."""
    chaos = Chaos(Acknowledged(), senders)
    with Senders(stack, name, senders) as group:
        for victim in victims:
            moment = time.monotonic() + chance.uniform(0.1, PEACE)
            eventually(lambda moment=moment: time.monotonic() > moment, interval=0.01)  # type: ignore[misc]
            _kill(stack, victim, chaos)
    chaos.acknowledged = group.acknowledged
    _compare(stack, name, chaos)
    return chaos


def _kill(stack: Stack, victim: str, chaos: Chaos) -> None:
    server = stack.servers[victim]
    scrape = backends.value(stack, 'timestamp(up{job="collector-aggregated"})')
    server.kill()
    if victim == "collector":
        chaos.unscraped.append((scrape or 0, time.time()))
    server.start()
    server.wait_ready()


def _compare(stack: Stack, name: str, chaos: Chaos) -> None:
    acknowledged = chaos.acknowledged

    def everything() -> bool:
        spans, lines = stored_spans(stack, acknowledged.traces), stored_lines(stack, name)
        chaos.lost_spans = acknowledged.spans - set(spans)
        chaos.lost_lines = set(acknowledged.lines) - set(lines)
        chaos.duplicate_spans = spans.total() - len(spans)
        chaos.duplicate_lines = lines.total() - len(lines)
        chaos.counted = increase(stack, name)
        return not chaos.lost_spans and not chaos.lost_lines and chaos.least <= chaos.counted <= chaos.most

    try:
        eventually(everything, timeout=60, interval=1)
    except AssertionError:
        # The caller says what is missing.
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each server")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    victims = ["collector", "jaeger", "loki"] * options.kills
    chance.shuffle(victims)
    with new_stack(Path(tempfile.mkdtemp(prefix="chaos-"))) as stack:
        print(f"{len(victims)} kills under {options.processes} processes, seed {options.seed}; {stack.directory}")
        chaos = run(stack, victims, senders=options.processes, chance=chance)
    print(chaos)
    if chaos.lost_spans or chaos.lost_lines or not chaos.least <= chaos.counted <= chaos.most:
        raise SystemExit("Something was lost.")


if __name__ == "__main__":
    main()
