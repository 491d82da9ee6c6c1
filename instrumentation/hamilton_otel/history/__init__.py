"""Past runs, read back from the telemetry that they left: no second recording, no database.

Not for recording: that is the adapter's.
"""

from .local import LocalStore, open_store
from .model import HistoryError, NodeRun, Run

__all__ = ["HistoryError", "LocalStore", "NodeRun", "Run", "open_store"]
