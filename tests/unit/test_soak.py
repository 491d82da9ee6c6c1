import json
import subprocess
import sys
from pathlib import Path

from tests.unit.conftest import ROOT


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """The short form of `make soak`: 50,000 nodes with every signal on; nothing is lost, memory stays where it was."""
    sizes = ["--executions", "50000", "--nodes", "100", "--growth", "0.1"]
    results = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *sizes, "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(results.read_text())
    assert written["machine"]["cores"] >= 1
    figures = written["figures"]
    assert figures["executions"] == 50_000
    assert figures["delivered"]
    assert (figures["dropped"], figures["own_errors"]) == (0, 0)
