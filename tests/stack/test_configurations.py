"""What the servers' own checkers say of the committed configurations, and the tests of the Prometheus rules."""

import os
import subprocess
from pathlib import Path

import pytest

from stack import Stack
from stack.recipes import ROOT

FEATURE = "--enable-feature=promql-extended-range-selectors"


#: What the overlays read from the environment; an empty token would not pass.
OVERLAYS = {
    "secure.yaml": {"COLLECTOR_CERTIFICATE": "a.pem", "COLLECTOR_KEY": "a.pem"},
    "spool.yaml": {"SPOOL_DIR": "/"},
}


def run(stack: Stack, folder: Path, *command: str, **settings: str) -> None:
    environment = {**stack.servers["prometheus"].environment, **settings}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "prometheus" / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(stack: Stack, path: Path) -> None:
    """Promtool evaluates the rules over invented series."""
    run(stack, path.parent, "promtool", "test", "rules", FEATURE, path.name)


def test_every_file_passes_the_checker_of_its_server(stack: Stack) -> None:
    """Including files that the native stack does not read as they are."""
    run(stack, ROOT / "prometheus", "promtool", "check", "config", FEATURE, "prometheus.yml")
    run(stack, ROOT / "alerting", "amtool", "check-config", "alertmanager.yml")
    run(stack, ROOT, "loki", "-config.file=loki/config.yaml", "-config.expand-env=true", "-verify-config")
    run(stack, ROOT, "collector", "validate", "--config=collector/config.yaml")
    run(stack, ROOT, "jaeger", "validate", "--config=jaeger/config.yaml")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_pass_with_the_configuration_below_them(stack: Stack, overlay: str, tmp_path: Path) -> None:
    """The Collector's checker takes each with config.yaml."""
    (tmp_path / "token").write_text("token: one\n")
    settings = {**OVERLAYS[overlay], "COLLECTOR_TOKEN_FILE": str(tmp_path / "token")}
    configs = [f"--config=collector/{name}" for name in ("config.yaml", overlay)]
    run(stack, ROOT, "collector", "validate", *configs, **settings)
