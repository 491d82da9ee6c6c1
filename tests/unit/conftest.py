"""What all unit tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hamilton import ad_hoc_utils, driver
from hamilton_otel.guard import guard
from hamilton_otel.testing import CapturedTelemetry

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_errors_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under test, what the guard would swallow is raised."""
    monkeypatch.setattr(guard, "reraise", True)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own settings or spool."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "HAMILTON_OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def telemetry(hamilton_telemetry: CapturedTelemetry) -> CapturedTelemetry:
    """Telemetry kept in memory: the fixture that users have."""
    return hamilton_telemetry


def module_of(*functions: Callable[..., Any]) -> ModuleType:
    """Return *functions* as a Hamilton module."""
    module: ModuleType = ad_hoc_utils.create_temporary_module(*functions)
    return module


def driver_of(*functions: Callable[..., Any], adapters: Any = ()) -> driver.Driver:
    """Return a driver over *functions*."""
    return driver.Builder().with_modules(module_of(*functions)).with_adapters(*adapters).build()


def run_python(code: str, directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a Python process of its own, in *directory*, with warnings as errors."""
    script = directory / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
