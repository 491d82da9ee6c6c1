"""OpenTelemetry traces, exact metrics and correlated logs for Apache Hamilton.

Importing this costs no more than OpenTelemetry's SDK: names that need Hamilton or structlog are imported when they are
first asked for (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import propagation
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

if TYPE_CHECKING:
    from .adapter import TelemetryAdapter
    from .annotations import annotate, record_retry
    from .async_adapter import async_adapters
    from .current import run_tags
else:  # a type checker that saw __getattr__ would take any name for one of ours
    _MODULES = {
        "TelemetryAdapter": ".adapter",
        "annotate": ".annotations",
        "async_adapters": ".async_adapter",
        "record_retry": ".annotations",
        "run_tags": ".current",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_MODULES[name], __name__), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
