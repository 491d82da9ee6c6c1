"""The benchmark of the Collector; its figures are those of `python -m benchmarks.collector`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.recipes import ROOT


@pytest.mark.stack
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="senders need a core of their own")
def test_the_collector_takes_what_is_replayed(tmp_path: Path) -> None:
    """The short form offers a Collector on one core copies of what a process sent, and it counts every node of them."""
    results = tmp_path / "collector.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.collector", "--short", "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(results.read_text())
    assert figures["machine"]["cores"] >= 2
    sizes = figures["wire"]["back to back"]
    assert 0 < sizes["bytes_per_span_gzip"] < sizes["bytes_per_span"]
    step = figures["limits"]["back to back"]
    assert step["refused"] == 0
    assert step["passed_on"] > 0
    assert step["memory"] > 0
