"""Finds out why no telemetry arrives: checks the way of each signal from the settings to the server that keeps it.

Prints nothing; that is ``cli/doctor.py``. Not for reading runs: that is ``history``.
"""

from .checks import Check, examine
from .probes import SERVICE

__all__ = ["SERVICE", "Check", "examine"]
