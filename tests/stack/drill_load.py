"""What alert drills are made of: `python drill_load.py SECONDS` plays scenes, each step of one when its name is read.

A scene is a generator: what comes before its first `yield` is its first step, and so on. The last step removes what the
scene did. SECONDS is how long an hour is. Expects no answers of servers.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import hamilton_otel
import pandas as pd
from hamilton import ad_hoc_utils, driver
from hamilton.execution import executors
from hamilton.function_modifiers import check_output, save_to, source
from hamilton.htypes import Collect, Parallelizable

HOUR = float(sys.argv[1]) if __name__ == "__main__" else 3600.0
#: How many of 100 runs fail where a budget is spent slowly: between 3 and 6 times as many as may.
OF_100 = 4

Scene = Generator[None, None, None]


def build(dag: str, *functions: Callable[..., Any]) -> driver.Builder:
    adapter = hamilton_otel.TelemetryAdapter(dag, tags={"team": "drills"})
    return driver.Builder().with_modules(ad_hoc_utils.create_temporary_module(*functions)).with_adapters(adapter)


def breakable(dag: str) -> Callable[[Exception | None], None]:
    """A run of one node, `parsed`, that raises what it is given."""

    def parsed(broken: Exception | None) -> int:
        if broken is not None:
            raise broken
        return 1

    dr = build(dag, parsed).build()

    def run(broken: Exception | None) -> None:
        try:
            dr.execute(["parsed"], inputs={"broken": broken})
        except Exception as error:
            if error is not broken:
                raise
            # Or it would grow with every time that it is raised.
            error.with_traceback(None)

    return run


@contextmanager
def repeated(every: float, run: Callable[[], object]) -> Iterator[None]:
    """Run now, and again and again until the end of the block."""
    end = threading.Event()

    def loop() -> None:
        while not end.wait(every):
            run()

    run()
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def failing(dag: str, times: int, error: Exception) -> Scene:
    run = breakable(dag)
    for _ in range(times):
        run(error)
    yield
    run(None)
    yield


def many_fail() -> Scene:
    return failing("many-fail", 7, ValueError("no amount"))


def last_failed() -> Scene:
    return failing("last-failed", 1, ValueError("no amount"))


def unheard() -> Scene:
    return failing("unheard", 1, ValueError("no amount"))


def node_fails() -> Scene:
    return failing("node-fails", 4, KeyError("country"))


def system_errors() -> Scene:
    return failing("system-errors", 4, ConnectionError("reset by peer"))


def burns_fast() -> Scene:
    return failing("burns-fast", 20, ValueError("no amount"))


def burns_slowly() -> Scene:
    run, number = breakable("burns-slowly"), count(1)
    # The first failure comes late, so that no window ever has more than its share.
    with repeated(HOUR / 300, lambda: run(None if next(number) % (100 // OF_100) else ValueError("no amount"))):
        yield
    yield


def timed(dag: str) -> Callable[[float], object]:
    """A run that takes as long as it is told."""

    def waited(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    dr = build(dag, waited).build()
    return lambda seconds: dr.execute(["waited"], inputs={"seconds": seconds})


def slower() -> Scene:
    run = timed("slower")
    for _ in range(5):
        run(0.1)
    yield
    for _ in range(3):
        run(1.8)
    yield
    yield


def too_long() -> Scene:
    goes_on = threading.Event()

    def waiting(hold: bool) -> bool:
        return goes_on.wait() if hold else True

    dr = build("too-long", waiting).build()
    thread = threading.Thread(target=dr.execute, args=[["waiting"]], kwargs={"inputs": {"hold": True}}, daemon=True)
    thread.start()
    yield
    goes_on.set()
    thread.join()
    # The mean is what counts, too.
    for _ in range(40):
        dr.execute(["waiting"], inputs={"hold": False})
    yield


class SmallCluster(executors.MultiThreadingExecutor):
    """Takes all tasks and has two workers for them, as a cluster does; Hamilton's own takes no more than it has."""

    def create_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=2)


def held(dag: str, tasks: int = 0) -> Scene:
    """A run, or its tasks, that wait until the next step."""
    goes_on = threading.Event()

    def waiting(start: int) -> int:
        goes_on.wait()
        return start

    def block(start: int) -> Parallelizable[int]:
        yield from range(tasks)

    def worked(block: int) -> int:
        goes_on.wait()
        return block

    def total(worked: Collect[int]) -> int:
        return sum(worked)

    if tasks:
        local, remote = executors.SynchronousLocalTaskExecutor(), SmallCluster(max_tasks=tasks)
        builder = build(dag, block, worked, total).enable_dynamic_execution(allow_experimental_mode=True)
        dr, last = builder.with_local_executor(local).with_remote_executor(remote).build(), "total"
    else:
        dr, last = build(dag, waiting).build(), "waiting"
    thread = threading.Thread(target=dr.execute, args=[[last]], kwargs={"inputs": {"start": 1}}, daemon=True)
    thread.start()
    yield
    goes_on.set()
    thread.join()
    yield


def stuck() -> Scene:
    return held("stuck")


def backlog() -> Scene:
    return held("backlog", 30)


def overdue() -> Scene:
    run = timed("overdue")
    run(0.01)
    yield
    yield
    run(0.01)
    yield


def bad_data() -> Scene:
    @check_output(range=(0, 5), importance="warn")
    def column(largest: int) -> pd.Series:
        return pd.Series(range(largest))

    dr = build("bad-data", column).build()
    dr.execute(["column"], inputs={"largest": 10})
    yield
    dr.execute(["column"], inputs={"largest": 3})
    yield


def saving(dag: str) -> Callable[..., object]:
    """A run that saves so many rows, takes so long for it, or saves nothing."""
    target = str(Path(mkdtemp(), "table.csv"))

    @save_to.csv(path=source("target"), output_name_="saved")
    def table(rows: int, seconds: float) -> pd.DataFrame:
        return SlowToSave({"a": range(rows)}).taking(seconds)

    dr = build(dag, table).build()

    def run(rows: int = 10, seconds: float = 0.0, save: bool = True) -> None:
        dr.execute(["saved" if save else "table"], inputs={"rows": rows, "seconds": seconds, "target": target})

    return run


class SlowToSave(pd.DataFrame):
    """A table whose writing takes as long as it is told, as a slow disk would."""

    def taking(self, seconds: float) -> "SlowToSave":
        self.attrs["seconds"] = seconds
        return self

    def to_csv(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(self.attrs["seconds"])
        return super().to_csv(*arguments, **options)


def unsaved() -> Scene:
    run = saving("unsaved")
    for _ in range(30):
        run()
    with repeated(HOUR / 2, lambda: run(save=False)):
        yield
    run()
    yield


def shrunk() -> Scene:
    run = saving("shrunk")
    for _ in range(5):
        run(rows=5000)
    yield
    run(rows=50)
    yield
    for _ in range(4):
        run(rows=5000)
    yield


def slow_saves() -> Scene:
    run = saving("slow-saves")
    for _ in range(5):
        run()
    yield
    for _ in range(3):
        run(seconds=1.8)
    yield
    yield


def cold_cache() -> Scene:
    def costly(start: int) -> int:
        return start + 1

    def cheap(costly: int) -> int:
        return costly + 1

    dr = build("cold-cache", costly, cheap).with_cache(path=mkdtemp()).build()
    for _ in range(20):
        dr.execute(["cheap"], inputs={"start": 1})
    yield
    for start in range(100, 120):
        dr.execute(["cheap"], inputs={"start": start})
    yield
    for _ in range(40):
        dr.execute(["cheap"], inputs={"start": 1})
    yield


def doomed() -> Scene:
    return held("doomed")


def many_nodes() -> Scene:
    """Alone in its process, for which it is too much."""

    def numbered(number: int) -> Callable[..., int]:
        scope: dict[str, Any] = {}
        exec(f"def node_{number}(start: int) -> int:\n    return start", scope)
        node: Callable[..., int] = scope[f"node_{number}"]
        return node

    nodes = [f"node_{number}" for number in range(60)]
    dr = build("many-nodes", *map(numbered, range(60))).build()
    with repeated(0.1, lambda: dr.execute(nodes, inputs={"start": 1})):
        yield
    yield


def away() -> Scene:
    """Alone in its process, whose traces find nobody."""
    run = timed("away")
    with repeated(0.2, lambda: run(0.01)):
        yield
    yield


def healthy() -> Scene:
    run = timed("healthy")
    for _ in range(30):
        run(0.05)
    save = saving("healthy-tables")
    while True:
        for _ in range(5):
            save(rows=100)
        yield


SCENES = {
    scene.__name__: scene
    for scene in (
        many_fail, last_failed, node_fails, system_errors, burns_fast, burns_slowly, slower, too_long, stuck, backlog,
        overdue, bad_data, unsaved, shrunk, slow_saves, cold_cache, doomed, many_nodes, away, unheard, healthy,
    )
}  # fmt: skip


def main() -> None:
    # Hamilton's own account of each failure.
    logging.getLogger("hamilton").setLevel(logging.CRITICAL + 1)
    hamilton_otel.configure()
    playing: dict[str, Scene] = {}

    def say(line: str) -> None:
        # In one piece, as others speak as well.
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def step(name: str) -> None:
        try:
            next(playing.setdefault(name, SCENES[name]()))
        except BaseException:
            traceback.print_exc()
            say(f"{name} failed")
        else:
            say(f"{name} done")

    say("ready")
    for line in sys.stdin:
        threading.Thread(target=step, args=[line.strip()], daemon=True).start()


if __name__ == "__main__":
    main()
