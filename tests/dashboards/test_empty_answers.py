"""The panels of the committed dashboards where the servers find nothing: transformations must not fail on it."""

import json
from typing import Any

import pytest

from grafana.dashboards import PAGES
from grafana.dashboards.__main__ import HERE
from tests.dashboards.grafana import Answer, Query, read, transform

NOTHING: dict[str, Any] = {
    "instant": {"resultType": "vector", "result": []},
    "range": {"resultType": "matrix", "result": []},
}


def nothing(query: Query) -> Any:
    """The answer of a server that knows nothing of it."""
    if query.datasource_type == "jaeger":
        return []
    return {"resultType": "streams", "result": []} if query.datasource_type == "loki" else NOTHING[query.kind]


@pytest.mark.parametrize("name", PAGES)
def test_transformations_take_empty_answers(name: str) -> None:
    """A DAG without rows, a run without a definition: the panel is empty, and not an error."""
    model = json.loads((HERE / f"{name}.json").read_text())
    chosen = {model["uid"]: {"dag": "none"}} if name == "dag" else {}
    (page,) = read([model], start_ms=0, end_ms=60_000, variables=chosen)
    for panel in (panel for panel in model["panels"] if panel.get("transformations")):
        queries = [query for query in page.queries if query.of == "panel" and query.panel_id == panel["id"]]
        frames = transform([Answer(query, nothing(query)) for query in queries], panel["transformations"])
        assert not any(frame.rows() for frame in frames), panel["title"]
