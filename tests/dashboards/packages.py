"""Grafana's npm packages for the tests of the dashboards: installed once for each lock file; no part of the product."""

import hashlib
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"


class PackagesError(Exception):
    """The packages cannot be installed."""


def install() -> None:
    """Have exactly the packages of the lock file; nothing to do where they are there already."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise PackagesError("the tests of the dashboards need Node 20 or newer, with npm")
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    # It lies among the packages, because npm throws them away before it installs others.
    stamp = MODULES / ".lock"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    command = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackagesError(f"npm ci: {done.stderr.strip()}")
    stamp.write_text(wanted)


if __name__ == "__main__":
    install()
