"""How much longer the flights demo takes with every signal on, sent through the real Collector where it is built.

``measure`` runs in a process that ``child.py`` starts: the pipeline of `make demo` in turns without and with telemetry.
Not for the demo's own process, which `make demo` starts and which imports besides.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from .child import ROOT, Progress, ask

HOOKS: Final = ("pre_graph_execute", "post_graph_execute", "pre_node_execute", "post_node_execute")
SERVERS: Final = ("jaeger", "loki", "collector")


def flights(
    pairs: int, rows: int | None, collector: bool | None, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Return times and ratios of *pairs* executions without and with telemetry.

    *collector* says whether they go through the real Collector; None: where it is built.
    """
    with _endpoint(collector, progress) as (endpoint, way):
        answer = ask("flights", {"pairs": pairs, "rows": rows, "endpoint": endpoint}, progress, extensions=True)
    measured = {name: answer[name] for name in ("seconds", "ratio", "error", "hooks")}
    return {**measured, "pairs": pairs, "rows": rows, "through": way}


def measure(given: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Execute the pipeline in this process."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = given["endpoint"] or f"{given['url']}/ours"
    sys.path.insert(0, str(ROOT / "examples" / "flights"))
    import flight_delays
    import hamilton_otel
    import pipeline
    from hamilton import driver

    hamilton_otel.configure(service_name="benchmark")
    builder = driver.Builder().with_modules(flight_delays)
    drivers = {"bare": builder.build()}
    hooks = Stopwatch(hamilton_otel.TelemetryAdapter("flight_delays"), HOOKS)
    drivers["ours"] = builder.copy().with_adapters(hooks.adapter).build()
    inputs = {} if given["rows"] is None else {"rows": given["rows"]}
    output = Path(given["directory"])
    wall: dict[str, list[float]] = {name: [] for name in drivers}
    shares = []
    for number in range(-1, given["pairs"]):
        progress(f"flights, {max(0, number + 1)} of {given['pairs']} pairs")
        for name in sorted(drivers, reverse=number % 2 == 1):
            gc.collect()
            hooks.seconds, begin = 0.0, perf_counter()
            pipeline.run(drivers[name], inputs, output)
            taken = perf_counter() - begin
            hamilton_otel.flush(60.0)
            if number >= 0:  # the first of each is to warm up
                wall[name].append(taken)
                if name == "ours":
                    shares.append(taken / (taken - hooks.seconds))
    return {
        "seconds": {name: median(taken) for name, taken in wall.items()},
        **_ratio(wall),
        "hooks": median(shares),
    }


class Stopwatch:
    """Adds up the ``seconds`` that *hooks* of *adapter* take."""

    def __init__(self, adapter: Any, hooks: Sequence[str]) -> None:
        self.adapter = adapter
        self.seconds = 0.0
        for name in hooks:
            setattr(adapter, name, partial(self._timed, getattr(adapter, name)))

    def _timed(self, hook: Callable[..., None], **arguments: Any) -> None:
        begin = perf_counter()
        hook(**arguments)
        self.seconds += perf_counter() - begin


def _ratio(taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of the pairs' ratios, and its standard error as the middle half of them tells it."""
    ratios = sorted(ours / bare for ours, bare in zip(taken["ours"], taken["bare"], strict=True))
    spread = ratios[-1 - len(ratios) // 4] - ratios[len(ratios) // 4]
    return {"ratio": median(ratios), "error": 0.93 * spread / len(ratios) ** 0.5}


@contextmanager
def _endpoint(collector: bool | None, progress: Progress) -> Iterator[tuple[str | None, str]]:
    """Yield where telemetry goes, None for the receiver, and what that is called."""
    from stack import Ports, Stack, StackError
    from stack.build import Cache
    from stack.recipes import RECIPES

    reason = "--no-collector was given"
    if collector is not False:
        try:
            cache = Cache.default()
            missing = [name for name in SERVERS if not cache.has(RECIPES[name])]
            reason = f"not built: {', '.join(missing)}; `python -m stack build` does"
        except StackError as error:
            missing, reason = list(SERVERS), str(error)
        if collector and missing:
            raise StackError(reason)
        if not missing:
            progress("starting the Collector")
            with tempfile.TemporaryDirectory() as directory:
                servers = Stack(Path(directory), Ports.free(), cache=cache)
                servers.prepare()
                try:
                    for name in SERVERS:
                        servers.servers[name].start()
                    for name in SERVERS:
                        servers.servers[name].wait_ready()
                    yield servers.otlp_http, "the Collector, to Jaeger and Loki"
                finally:
                    servers.stop()
            return
    yield None, f"a receiver in place of the Collector ({reason})"
