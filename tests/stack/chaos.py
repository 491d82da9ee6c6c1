"""Kills servers at random moments under load and compares what arrived with what was acknowledged.

`python -m tests.stack.chaos` (`make chaos`) is the long form of test_kills.py.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import describe
from stack import Stack
from stack.recipes import ROOT
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.delivery import Acknowledged, Pipelines, Senders, increase, stored_lines, stored_spans
from tests.stack.servers import new_stack

RESULTS = ROOT / "benchmarks" / "results" / "chaos.json"
#: Longest time between a server's readiness and the next kill.
PEACE = 2.0
#: Seconds between the exports of a pipeline's counts.
HEARTBEAT = 0.5
#: What the Collector holds back before its totals grow, and then some.
BATCHED = 1.0


@dataclass
class Chaos:
    """What became of the telemetry of one series of kills."""

    acknowledged: Acknowledged
    senders: int
    #: Seconds that a sender holds a count back before it sends it, many at once.
    heartbeat: float = 0
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
            not any(scrape - BATCHED - self.heartbeat <= run <= kill for scrape, kill in self.unscraped)
            for run in self.acknowledged.runs
        )

    @property
    def most(self) -> int:
        """The runs that may have been counted: a request whose acknowledgement a kill cut off came again."""
        again = sum(
            any(kill - 2 * self.heartbeat <= run <= kill + self.heartbeat for _, kill in self.unscraped)
            for run in self.acknowledged.runs
        )
        return len(self.acknowledged.runs) + self.senders * len(self.unscraped) + again

    @property
    def is_complete(self) -> bool:
        """Whether nothing that was acknowledged is missing, and the count is as exact as kills allow."""
        return not self.lost_spans and not self.lost_lines and self.least <= self.counted <= self.most

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
        _kill_all(stack, victims, chaos, chance)
    chaos.acknowledged = group.acknowledged
    _compare(stack, name, chaos)
    return chaos


def run_pipelines(stack: Stack, spool: Path, *, kills: int, processes: int, chance: random.Random) -> Chaos:
    """Kill the Collector so many times while Hamilton runs are observed; replay what is left; look what there is."""
    name = "pipelines"
    chaos = Chaos(Acknowledged(), processes, heartbeat=HEARTBEAT)
    with Pipelines(stack, name, processes, spool, HEARTBEAT) as group:
        eventually(lambda: increase(stack, name) >= processes, timeout=60)
        _kill_all(stack, ["collector"] * kills, chaos, chance)
    chaos.acknowledged = group.acknowledged
    subprocess.run(
        [sys.executable, "-m", "hamilton_otel.cli", "replay", "--spool", str(spool)],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http},
        check=True,
    )
    _compare(stack, name, chaos)
    return chaos


def _kill_all(stack: Stack, victims: Sequence[str], chaos: Chaos, chance: random.Random) -> None:
    for victim in victims:
        moment = time.monotonic() + chance.uniform(0.1, PEACE)
        eventually(lambda moment=moment: time.monotonic() > moment, interval=0.01)  # type: ignore[misc]
        _kill(stack, victim, chaos)


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
        chaos.duplicate_lines = sum(lines[line] - 1 for line in set(acknowledged.lines) & set(lines))
        chaos.counted = increase(stack, name)
        return chaos.is_complete

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
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    with new_stack(directory / "servers") as stack:
        print(f"{len(victims)} kills under {options.processes} processes, seed {options.seed}; {stack.directory}")
        outcomes = {"senders": run(stack, victims, senders=options.processes, chance=chance)}
        print(outcomes["senders"])
        print(f"{options.kills} kills of the Collector under {options.processes} processes of Hamilton")
        outcomes["pipelines"] = run_pipelines(
            stack, directory / "spool", kills=options.kills, processes=options.processes, chance=chance
        )
        print(outcomes["pipelines"])
    figures = {name: str(outcome) for name, outcome in outcomes.items()}
    RESULTS.write_text(json.dumps({"machine": describe(), **vars(options), **figures}, indent=2) + "\n")
    if not all(chaos.is_complete for chaos in outcomes.values()):
        raise SystemExit("Something was lost.")


if __name__ == "__main__":
    main()
