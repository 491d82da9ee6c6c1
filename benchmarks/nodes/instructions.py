"""Counts the instructions of the executing thread with callgrind, which no other program on the machine disturbs.

A tie-break where times are too close: `python -m benchmarks.nodes instructions`. Not for what caches and waiting cost.
``main`` runs under valgrind and executes what it is told on standard input.
"""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from .child import ROOT, MeasurementFailed, Progress, clean_environment
from .graphs import Graph
from .plan import CONFIGURATIONS
from .receiver import receiving

NODES: Final = 50
RUNS: Final = 10
"""Runs that are counted, and twice as many; the difference is free of what surrounds them."""
COUNTED: Final[Mapping[str, Sequence[str]]] = {
    "all signals": ("bare", "no-op", "floor", "ours"),
    "all signals, public API": ("bare", "floor", "ours"),
}
"""Variants by the configuration of ours."""


def count(progress: Progress = lambda _: None, runs: int = RUNS) -> dict[str, dict[str, float]]:
    """Return the instructions a node of each variant, by configuration of ours.

    Raises MeasurementFailed where valgrind is missing or a process fails.
    """
    with ThreadPoolExecutor() as pool:  # a busy machine changes no count
        counted = pool.map(lambda configuration: _of(configuration, progress, runs), COUNTED)
        return dict(zip(COUNTED, counted, strict=True))


def _of(configuration: str, progress: Progress, runs: int) -> dict[str, float]:
    valgrind, control = shutil.which("valgrind"), shutil.which("callgrind_control")
    if valgrind is None or control is None:
        raise MeasurementFailed("valgrind is not installed; its package has that name everywhere.")
    counted = {}
    with receiving() as receiver, tempfile.TemporaryDirectory() as directory:
        environment = {
            **clean_environment(),
            "XDG_STATE_HOME": directory,
            "PYTHONHASHSEED": "0",
        }
        command = [
            *(valgrind, "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--quiet"),
            f"--callgrind-out-file={directory}/counts",
            *(sys.executable, "-m", __name__, configuration, receiver.url, directory),
        ]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            try:
                for variant in COUNTED[configuration]:
                    progress(f"instructions of {configuration}: {variant}")
                    once, twice = (
                        _count(process, control, Path(directory), f"{variant}\t{times}") for times in (runs, 2 * runs)
                    )
                    counted[variant] = (twice - once) / (runs * NODES)
            except (_Ended, subprocess.CalledProcessError):
                said.seek(0)
                raise MeasurementFailed(f"instructions ended: {said.read()[-2_000:].strip()}") from None
            finally:
                process.communicate()
    return counted


class _Ended(Exception):
    """The process under valgrind has ended."""


def _count(process: subprocess.Popen[str], control: str, directory: Path, order: str) -> int:
    """Have *order* executed between switching the counting on and off; return what the first thread has executed."""
    _say(process, "prepare")
    subprocess.run([control, "--instr=on", str(process.pid)], check=True, capture_output=True)
    _say(process, f"execute\t{order}")
    subprocess.run([control, "--instr=off", str(process.pid)], check=True, capture_output=True)
    before = set(directory.glob("counts.*-01"))  # 01 is the first thread
    subprocess.run([control, "--dump", str(process.pid)], check=True, capture_output=True)
    written = set(directory.glob("counts.*-01")) - before
    return sum(int(re.findall(r"^totals: (\d+)", path.read_text(), re.MULTILINE)[0]) for path in written)


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise _Ended from None
    if not process.stdout.readline():
        raise _Ended


def main(configuration: str, url: str, directory: str) -> None:
    """Prepare or execute what standard input says, a line for each, and answer each with a line."""
    from .variants import Subject, Variants

    graph = Graph("diamonds", NODES)
    variants = Variants(url, CONFIGURATIONS[configuration], Path(directory))
    subjects: dict[str, Subject] = {}
    for name in COUNTED[configuration]:
        subjects[name] = variants.make(name, graph)
        for _ in range(3):
            subjects[name].execute()
        subjects[name].flush()
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        order, *rest = line.rstrip("\n").split("\t")
        if order == "execute":
            subject = subjects[rest[0]]
            for _ in range(int(rest[1])):
                subject.execute()
        else:
            gc.collect()
            for subject in subjects.values():
                subject.flush()  # nothing is exported meanwhile
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
