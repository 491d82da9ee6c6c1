import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''"""A pipeline that never heard of us."""
import sys
from hamilton import driver
import numbers_module

dr = driver.Builder().with_modules(numbers_module).build()
print(sys.argv[1:], __name__, dr.execute(["number"], inputs={"start": int(sys.argv[1])}))
'''
MODULE = """
def number(start: int) -> int:
    if start < 0:
        raise ValueError("negative")
    if start == 7:
        raise SystemExit(7)
    return start
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a user's script and its module."""
    (tmp_path / "pipeline.py").write_text(SCRIPT)
    (tmp_path / "numbers_module.py").write_text(MODULE)
    return tmp_path


def command(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``hamilton-otel`` in *directory*."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "hamilton_otel.cli", *arguments],
        cwd=directory,
        env={**os.environ, **environment, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_run_observes_a_script_without_a_changed_line(project: Path) -> None:
    """The script gets its arguments and prints as ever; its run is in the local store and can be shown."""
    done = command(project, "run", "pipeline.py", "1", "--flag", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['1', '--flag', '--help'] __main__ {'number': 1}\n"
    shown = command(project, "show")
    assert shown.returncode == 0
    assert "✓ run numbers_module" in shown.stdout
    assert "number" in shown.stdout


def test_a_failing_script_fails_as_it_would_alone(project: Path) -> None:
    """The exit code and the traceback are those of `python pipeline.py`; the run is recorded as failed."""
    plain = subprocess.run(
        [sys.executable, "pipeline.py", "-1"], cwd=project, capture_output=True, text=True, check=False
    )
    done = command(project, "run", "pipeline.py", "-1")
    assert done.returncode == plain.returncode == 1
    assert done.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1] == "ValueError: negative"
    assert "runpy" not in done.stderr
    shown = command(project, "show").stdout
    assert "✗ run numbers_module" in shown
    assert "failed: number: ValueError (user error)" in shown


def test_the_exit_code_of_the_script_is_kept(project: Path) -> None:
    """SystemExit passes through, and the run is cancelled."""
    assert command(project, "run", "pipeline.py", "7").returncode == 7
    assert "◌ run numbers_module" in command(project, "show").stdout


def test_a_script_that_is_not_there_is_one_sentence(project: Path) -> None:
    """A wrong path is named, with exit code 2."""
    done = command(project, "run", "absent.py")
    assert done.returncode == 2
    assert done.stderr == "hamilton-otel: 'absent.py' is not a file; give the path of a Python script.\n"


def test_a_wrong_setting_is_one_sentence_before_the_script_starts(project: Path) -> None:
    """A wrong setting ends the command with exit code 2, and the script has not run."""
    done = command(project, "run", "pipeline.py", "1", HAMILTON_OTEL_PROFILE="staging")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("hamilton-otel: HAMILTON_OTEL_PROFILE is 'staging', but must be one of dev, ci, prod")


def test_show_says_where_there_is_nothing(project: Path) -> None:
    """Without a store, and for an unknown run, there is one sentence and exit code 1."""
    empty = command(project, "show")
    assert empty.returncode == 1
    assert empty.stderr.startswith("hamilton-otel: there are no runs in '.hamilton-otel'")
    command(project, "run", "pipeline.py", "1")
    unknown = command(project, "show", "zzz")
    assert unknown.returncode == 1
    assert unknown.stderr == "hamilton-otel: no run in '.hamilton-otel' is called 'zzz'.\n"
