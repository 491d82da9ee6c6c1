"""What the dashboards are tested with: `python demo_load.py FOLDER` runs a bit of everything, and says what it did.

`python demo_load.py FOLDER living` stays in the middle of a run until standard input ends; `... killed` until it is
killed.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hamilton_otel
import pandas as pd
from hamilton import ad_hoc_utils, driver
from hamilton.execution import executors
from hamilton.function_modifiers import check_output, load_from, save_to, source
from hamilton.htypes import Collect, Parallelizable
from hamilton_otel.annotations import record_retry

SLEEPS = (0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.6)
ROWS = 200
BLOCKS = 5
ODD = """it's|a"name"(50%)&$more\\d"""
WORKERS = 2


def build(dag: str, *functions: Callable[..., Any], team: str | None = None) -> driver.Builder:
    adapter = hamilton_otel.TelemetryAdapter(dag, tags={"user": "ada", **({"team": team} if team else {})})
    return driver.Builder().with_modules(ad_hoc_utils.create_temporary_module(*functions)).with_adapters(adapter)


def orders(folder: Path) -> None:
    """Tables: four runs succeed, two fail on their data, one on the network; a check fails without ending the run."""

    def loaded(rows: int) -> pd.DataFrame:
        return pd.DataFrame({"amount": range(rows), "country": ["de", "fr"] * (rows // 2)})

    def parsed(loaded: pd.DataFrame, broken: Exception | None) -> pd.DataFrame:
        if broken is not None:
            raise broken
        return loaded

    @check_output(range=(0, 150), importance="warn")
    def large(parsed: pd.DataFrame) -> pd.Series:
        return parsed["amount"][parsed["amount"] >= len(parsed) // 2]

    @save_to.csv(path=source("target"), output_name_="saved")
    def table(large: pd.Series) -> pd.DataFrame:
        return large.to_frame()

    @load_from.csv(path=source("target"), inject_="stored")
    def reread(stored: pd.DataFrame) -> int:
        return len(stored)

    target = str(folder / "large.csv")
    writer = build("orders", loaded, parsed, large, table, team="sales").build()
    broken = [None, None, ValueError("no amount"), None, ValueError("no amount"), ConnectionError("reset"), None]
    for error in broken:
        try:
            writer.execute(["saved"], inputs={"rows": ROWS, "broken": error, "target": target})
        except (ValueError, ConnectionError):
            assert error is not None
    build("reports", reread, team="sales").build().execute(["reread"], inputs={"target": target})


def steady() -> None:
    """Known durations: nine of ten runs take 0.15 s, one 0.6 s."""

    def waited(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    dr = build("steady", waited).build()
    for seconds in SLEEPS:
        dr.execute(["waited"], inputs={"seconds": seconds})


def cached(folder: Path) -> None:
    """Two nodes, three runs, one of which finds nothing in the cache."""

    def costly(start: int) -> int:
        return start + 1

    def cheap(costly: int) -> int:
        return costly + 1

    dr = build("cached", costly, cheap).with_cache(path=str(folder / "cache")).build()
    for _ in range(3):
        dr.execute(["cheap"], inputs={"start": 1})


def parallel() -> None:
    """One run of so many tasks."""

    def block(blocks: int) -> Parallelizable[int]:
        yield from range(blocks)

    def squared(block: int) -> int:
        return block * block

    def total(squared: Collect[int]) -> int:
        return sum(squared)

    with_tasks("parallel", block, squared, total).execute(["total"], inputs={"blocks": BLOCKS})


def with_tasks(dag: str, *functions: Callable[..., Any]) -> driver.Driver:
    local, remote = executors.SynchronousLocalTaskExecutor(), executors.MultiThreadingExecutor(max_tasks=WORKERS)
    builder = build(dag, *functions).enable_dynamic_execution(allow_experimental_mode=True)
    return builder.with_local_executor(local).with_remote_executor(remote).build()


def oddly_named() -> None:
    """A DAG whose name has everything that a query or an address could take for its own."""

    def one() -> int:
        return 1

    build(ODD, one).build().execute(["one"])


def retried() -> None:
    """A node that needs three attempts."""

    def stubborn(start: int) -> int:
        for _ in range(2):
            record_retry(TimeoutError())
        return start

    build("retried", stubborn).build().execute(["stubborn"], inputs={"start": 1})


def cancelled() -> None:
    """A run that the user interrupts."""

    def interrupted(start: int) -> int:
        raise KeyboardInterrupt

    try:
        build("cancelled", interrupted).build().execute(["interrupted"], inputs={"start": 1})
    except KeyboardInterrupt:
        return


def living() -> None:
    """A run in progress whose tasks wait for one another."""
    goes_on = threading.Event()

    def block(blocks: int) -> Parallelizable[int]:
        yield from range(blocks)

    def waiting(block: int) -> int:
        goes_on.wait()
        return block

    def total(waiting: Collect[int]) -> int:
        return sum(waiting)

    def until_the_end() -> None:
        sys.stdin.read()
        goes_on.set()

    threading.Thread(target=until_the_end, daemon=True).start()
    with_tasks("living", block, waiting, total).execute(["total"], inputs={"blocks": BLOCKS})


def killed() -> None:
    """A run that goes on until the process is killed."""

    def endless(start: int) -> int:
        while True:
            time.sleep(1)

    build("killed", endless, team="ops").build().execute(["endless"], inputs={"start": 1})


#: What the load does: by DAG the runs by outcome; `killed` and `living` have none that ended.
RUNS = {
    "orders": {"success": 4, "failure": 3},
    "reports": {"success": 1},
    "steady": {"success": len(SLEEPS)},
    "cached": {"success": 3},
    "parallel": {"success": 1},
    ODD: {"success": 1},
    "retried": {"success": 1},
    "cancelled": {"cancelled": 1},
}


def main(folder: Path, kind: str = "") -> None:
    hamilton_otel.configure()
    if kind:
        {"living": living, "killed": killed}[kind]()
        return
    steady()
    orders(folder)
    cached(folder)
    parallel()
    oddly_named()
    retried()
    cancelled()
    print(json.dumps(RUNS))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
