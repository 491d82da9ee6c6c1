"""Writes the JSON of every dashboard: ``python -m grafana.dashboards [--plain] [FOLDER]``.

``--plain`` is for Prometheus-compatible servers that do not know ``anchored``: counts become estimates there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.generator.promql import plain

from . import PAGES

HERE = Path(__file__).parent


def rendered(name: str, *, anchored: bool = True) -> str:
    """Return a dashboard as Grafana reads it."""
    text = JSONEncoder(sort_keys=True, indent=2).encode(PAGES[name].build())
    return (text if anchored else json.dumps(_plain(json.loads(text)), sort_keys=True, indent=2)) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return plain(value) if isinstance(value, str) else value


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the dashboards as JSON.")
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    parser.add_argument("--plain", action="store_true", help="for servers without extended range selectors")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (options.folder / f"{name}.json").write_text(rendered(name, anchored=not options.plain))


if __name__ == "__main__":
    main()
