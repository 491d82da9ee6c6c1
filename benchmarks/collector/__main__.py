"""Measures how much the Collector takes on one core and what its settings cost, and writes it to a file.

`python -m benchmarks.collector` (`make bench-collector`). Not for the cost of observing, nor for Prometheus.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stack import Ports
from stack.build import Cache
from stack.progress import build_missing

from ..machine import describe
from .bench import AS_IT_IS, Bench, Step, Variant, bench, highest
from .load import Senders, stand_ins
from .recording import Recording, record

RESULTS = Path(__file__).parents[1] / "results" / "collector.json"
BUSY, SINGLE = 100, 1
"""Runs of a process that executes one after the other, and of one that is started for a single run."""


def _exporters(**settings: Any) -> dict[str, Any]:
    return {"exporters": {"otlp_grpc/jaeger": settings, "otlp_http/loki": settings}}


def _pipelines(*without: str) -> dict[str, Any]:
    processors = {
        "traces": ["memory_limiter", "transform/status_to_attribute", "redaction", "transform/traces"],
        "logs": ["memory_limiter", "redaction", "transform/logs"],
        "metrics/in": ["memory_limiter", "redaction"],
    }
    kept = {name: [each for each in all_ if each not in without] for name, all_ in processors.items()}
    return {"service": {"pipelines": {name: {"processors": names} for name, names in kept.items()}}}


AS_COMMITTED = "as committed"
SETTINGS: Mapping[str, Variant] = {
    AS_COMMITTED: AS_IT_IS,
    "gzip to Jaeger": Variant({"exporters": {"otlp_grpc/jaeger": {"compression": "gzip"}}}),
    "gzip to Jaeger and Loki": Variant(_exporters(compression="gzip")),
    "queues in memory": Variant(_exporters(sending_queue={"storage": None})),
    "batches in the queues": Variant(_exporters(sending_queue={"batch": {"min_size": 8192, "flush_timeout": "200ms"}})),
    "fsync": Variant({"extensions": {"file_storage": {"fsync": True}}}),
    "counts batched for 20 ms": Variant({"processors": {"batch/serialise": {"timeout": "20ms"}}}),
    "counts batched for 1 s": Variant({"processors": {"batch/serialise": {"timeout": "1s"}}}),
    "a limit of 80 MiB": Variant(environment={"COLLECTOR_MEMORY_LIMIT_MIB": "80", "COLLECTOR_MEMORY_SPIKE_MIB": "20"}),
    "no redaction": Variant(_pipelines("redaction", "transform/status_to_attribute")),
    "no limits of length": Variant(_pipelines("transform/traces", "transform/status_to_attribute")),
    "GOGC=200": Variant(environment={"GOGC": "200"}),
    "senders compress": Variant(compressed=True),
}
LOKI_CONSUMERS = (1, 4)
SECONDS = 6.0
"""How long a rate is offered."""
SLOW = 3_000
"""Nodes a second that any Collector takes."""
OUTAGE = 160_000
"""Nodes that are executed while Jaeger and Loki are away; more than what makes the queues compact their files."""
OUTAGES: Mapping[str, Variant] = {
    AS_COMMITTED: AS_IT_IS,
    "not compacted": Variant({"extensions": {"file_storage": {"compaction": {"on_rebound": False}}}}),
}
DRAINED = 40.0
"""Seconds for that at most."""
COMPACTED = 7.0
"""Seconds after which the Collector has looked whether its files should be compacted."""
ROUNDS = 2


def main(
    short: Annotated[
        bool, typer.Option("--short", help="Only whether it works; the figures are worth nothing.")
    ] = False,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Measure, show tables, and write the figures."""
    console = Console()
    build_missing(Cache.default(), ["collector"] if short else ["collector", "jaeger", "loki"], console)
    core, *others = sorted(os.sched_getaffinity(0))
    if not others:
        console.print("One core is not enough: senders would take from the Collector what is measured.", style="red")
        raise typer.Exit(2)
    # What this process starts stays there too.
    os.sched_setaffinity(0, others)
    figures: dict[str, Any] = {
        "machine": describe(),
        "command": f"python -m benchmarks.collector{' --short' * short}",
    }
    with Progress(console=console, transient=True) as progress, stand_ins() as behind:
        measure = Measurement(core, behind, progress)
        figures |= measure.shortly() if short else measure.everything()
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(figures, indent=2) + "\n")
    _show(figures, console)


class Measurement:
    """Measures on *core* with stand-ins at the ports *behind*, one thing after the other."""

    def __init__(self, core: int, behind: tuple[int, int], progress: Progress) -> None:
        self._core = core
        self._behind = behind
        self._progress = progress
        self._task = progress.add_task("", total=7 + len(SETTINGS) * ROUNDS + len(OUTAGES))

    def shortly(self) -> dict[str, Any]:
        """Return a part of the figures after a few seconds."""
        wire, recording = self._wire("back to back", BUSY)
        self._say("Offering a low rate")
        with Senders(recording) as senders, bench(self._core, senders, self._behind) as running:
            step = running.step(SLOW, 1)
            _require_exact(running, "a low rate")
        return {"wire": {"back to back": wire}, "limits": {"back to back": asdict(step)}}

    def everything(self) -> dict[str, Any]:
        """Return all figures after some minutes."""
        busy_wire, busy = self._wire("back to back", BUSY)
        single_wire, single = self._wire("one run each", SINGLE)
        limits: dict[str, Any] = {}
        real = ("jaeger", "loki")
        with Senders(busy) as senders:
            best = self._limit("back to back", limits, senders)
            self._limit("back to back, real Jaeger and Loki", limits, senders, real, begin=0.15, factor=1.3)
            rate = best.offered / 2
            settings = self._settings(senders, rate)
            outage = {name: self._outage(name, senders, rate, variant) for name, variant in OUTAGES.items()}
        with Senders(single) as senders:
            best = self._limit("one run each", limits, senders)
            consumers = self._loki_consumers(senders, best.offered)
        return {
            "wire": {"back to back": busy_wire, "one run each": single_wire},
            "limits": limits,
            "settings": settings,
            "loki_consumers": consumers,
            "outage": outage,
        }

    def _say(self, what: str) -> None:
        """Tell what begins."""
        self._progress.update(self._task, description=what, advance=1)

    def _wire(self, name: str, runs: int) -> tuple[dict[str, float], Recording]:
        """Return bytes on the wire of a process that executes so many runs, and what it sent."""
        self._say(f"Recording what a process sends: {name}")
        plain, compressed = record(runs), record(runs, compressed=True)
        return {
            "requests_per_process": len(plain.requests),
            "bytes_per_span": plain.trace_wire / plain.spans,
            "bytes_per_span_gzip": compressed.trace_wire / compressed.spans,
            "bytes_per_node_all_signals": plain.wire / plain.nodes,
            "bytes_per_node_all_signals_gzip": compressed.wire / compressed.nodes,
        }, plain

    def _limit(
        self,
        name: str,
        limits: dict[str, Any],
        senders: Senders,
        real: tuple[str, ...] = (),
        begin: float = 0.6,
        factor: float = 1.1,
    ) -> Step:
        """Return the highest rate with which the Collector keeps up; put it and what is beyond it into *limits*."""
        self._say(f"Raising the rate: {name}")
        with bench(self._core, senders, self._behind, real=real) as running:
            best, beyond = highest(running, SLOW, SECONDS, begin, factor)
            _require_exact(running, name)
        limits |= {name: asdict(best), f"{name}: too much": asdict(beyond)}
        return best

    def _settings(self, senders: Senders, rate: float) -> dict[str, Any]:
        """Return what each setting costs at *rate*."""
        found: dict[str, list[Step]] = {name: [] for name in SETTINGS}
        for number in range(ROUNDS):
            for name, variant in SETTINGS.items():
                self._say(f"Settings, round {number + 1} of {ROUNDS}: {name}")
                with bench(self._core, senders, self._behind, variant) as running:
                    running.step(rate, 1)
                    found[name].append(running.step(rate, 3))
                    _require_exact(running, name)
        # Others on this machine only ever make it more.
        return {name: asdict(min(steps, key=lambda step: step.microseconds_per_node)) for name, steps in found.items()}

    def _loki_consumers(self, senders: Senders, rate: float) -> dict[str, Any]:
        """Return what becomes of *rate* with a real Loki and so many consumers of its queue."""
        found = {}
        for count in LOKI_CONSUMERS:
            self._say(f"Consumers for Loki: {count}")
            variant = Variant({"exporters": {"otlp_http/loki": {"sending_queue": {"num_consumers": count}}}})
            with bench(self._core, senders, self._behind, variant, real=["loki"]) as running:
                running.step(rate, 1)
                found[str(count)] = asdict(running.step(rate, 6))
        return found

    def _outage(self, name: str, senders: Senders, rate: float, variant: Variant) -> dict[str, float]:
        """Return what the queues take while Jaeger and Loki are away, and after it."""
        self._say(f"Jaeger and Loki are away: {name}")
        ports = Ports.free()
        behind = ports.jaeger_otlp, ports.loki
        with bench(self._core, senders, behind, variant) as running:
            away = running.step(rate, OUTAGE / rate, patience=0)
            disk = running.disk()
            began = time.monotonic()
            with stand_ins(*behind):
                while any(running.queued().values()) and time.monotonic() < began + DRAINED:
                    time.sleep(0.1)
                drained = time.monotonic() - began
                time.sleep(COMPACTED)
                _require_exact(running, name)
                return {
                    "queued": sum(away.queued.values()),
                    "memory_while_away": away.memory,
                    "disk_while_away": disk,
                    "disk_bytes_per_node": disk * 2**20 / OUTAGE,
                    "seconds_to_drain": drained,
                    "memory_after": running.memory(),
                    "disk_after": running.disk(),
                }


def _require_exact(running: Bench, name: str) -> None:
    if not running.is_exact():
        raise RuntimeError(f"The Collector has not counted every node: {name}.")


def _show(figures: Mapping[str, Any], console: Console) -> None:
    columns = ("MiB of memory", "MiB queued", "refused", "µs of CPU a node", "cores", "strangers' cores")
    limits = Table(
        "senders' runs",
        "offered, nodes/s",
        "passed on",
        "whole core",
        *columns,
        title="Keeps up with" if "settings" in figures else "Was offered",
    )
    for name, step in figures["limits"].items():
        whole = 1e6 / step["microseconds_per_node"]
        limits.add_row(name, f"{step['offered']:,.0f}", f"{step['passed_on']:,.0f}", f"{whole:,.0f}", *_columns(step))
    console.print(limits)
    wire = Table("senders' runs", "bytes", "plain", "gzip", title="On the wire")
    for name, sizes in figures["wire"].items():
        for kind in ("bytes_per_span", "bytes_per_node_all_signals"):
            wire.add_row(name, kind.replace("_", " "), f"{sizes[kind]:,.0f}", f"{sizes[f'{kind}_gzip']:,.0f}")
    console.print(wire)
    if "settings" not in figures:
        return
    for kind, title in (
        ("settings", "Half that rate"),
        ("loki_consumers", "One run each, real Loki, so many consumers"),
    ):
        settings = Table("setting", *columns, title=title)
        for name, step in figures[kind].items():
            settings.add_row(name, *_columns(step))
        console.print(settings)
    outage = Table("MiB, or as it says", *figures["outage"], title="Jaeger and Loki away")
    for figure in figures["outage"][AS_COMMITTED]:
        outage.add_row(figure.replace("_", " "), *(f"{each[figure]:,.1f}" for each in figures["outage"].values()))
    console.print(outage)


def _columns(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{step['memory']:,.0f}",
        f"{sum(step['queued'].values()):.1f}",
        f"{step['refused']}",
        f"{step['microseconds_per_node']:.1f}",
        f"{step['cores']:.2f}",
        f"{step['strangers']:.2f}",
    )


if __name__ == "__main__":
    typer.run(main)
