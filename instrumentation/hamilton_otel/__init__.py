"""OpenTelemetry traces, exact metrics and correlated logs for Apache Hamilton."""

from . import propagation
from .adapter import TelemetryAdapter
from .annotations import annotate, record_retry
from .async_adapter import async_adapters
from .current import run_tags
from .providers import configure, flush
from .settings import CapturePolicy, SettingsError
from .version import VERSION as __version__

__all__ = [
    "CapturePolicy",
    "SettingsError",
    "TelemetryAdapter",
    "__version__",
    "annotate",
    "async_adapters",
    "configure",
    "flush",
    "propagation",
    "record_retry",
    "run_tags",
]
