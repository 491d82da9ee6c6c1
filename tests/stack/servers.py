"""New servers for tests, those of the session or a module's own; no questions to them."""

from collections.abc import Sequence
from pathlib import Path

from stack import Ports, Stack
from stack.build import Cache
from stack.progress import build_missing
from stack.recipes import ROOT

#: Short, so that tests see in seconds what takes a minute with the defaults.
LIVE_EXPIRATION = "10s"
SCRAPE_INTERVAL = "1s"
HOST_METRICS_INTERVAL = "1s"


def new_stack(directory: Path, overlays: Sequence[str] = (), **settings: str) -> Stack:
    """Servers that have not been started, on free ports; `overlays` are files in collector/."""
    cache = Cache.default()
    build_missing(cache)
    return Stack(
        directory,
        Ports.free(),
        cache=cache,
        settings={"LIVE_EXPIRATION": LIVE_EXPIRATION, "HOST_METRICS_INTERVAL": HOST_METRICS_INTERVAL, **settings},
        scrape_interval=SCRAPE_INTERVAL,
        collector_configs=[ROOT / "collector" / name for name in overlays],
    )
