"""What the compiler finds in a dashboard, one kind of mistake a test."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards import grafana
from tests.dashboards.test_grafana import custom, dashboard, labels, panel

STEPS = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}
RIGHT: dict[str, Any] = {
    **dashboard(variables=[labels("x", "label_values(m, x)", multi=True, includeAll=True, refresh=2, sort=1)]),
    "schemaVersion": 42,
    "panels": [
        {
            **panel({"expr": "m", "instant": True, "format": "table"}),
            "type": "stat",
            "gridPos": {"x": 0, "y": 0, "w": 1, "h": 1},
            "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"], "values": False}},
            "fieldConfig": {"defaults": {"unit": "s", "thresholds": STEPS}, "overrides": []},
        }
    ],
}

#: What is changed in the dashboard's one panel, or in the dashboard, and what is said of it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a setting of a wrong type": (
        {"fieldConfig": {"defaults": {"decimals": "2"}, "overrides": []}},
        "Type 'string' is not assignable to type 'number'",
    ),
    "an unknown value of an enum": (
        {"options": {"colorMode": "backgrund"}},
        "Type '\"backgrund\"' is not assignable",
    ),
    "an unknown number of an enum": ({"templating": {"list": [custom(sort=99)]}}, '"sort": 99'),
    "a misspelt option": ({"options": {"graphMod": "none"}}, "'\"graphMod\"' does not exist"),
    "a field's setting that another panel has": (
        {"fieldConfig": {"defaults": {"custom": {"drawStyle": "line"}}, "overrides": []}},
        '"drawStyle": "line"',
    ),
    "an override that another panel has": (
        {
            "type": "table",
            "options": {},
            "fieldConfig": {
                "defaults": {},
                "overrides": [{"matcher": {"id": "byName"}, "properties": [{"id": "custom.lineWidth", "value": 1}]}],
            },
        },
        '"custom.lineWidth"',
    ),
    "a query's misspelt field": (
        {"targets": [{"refId": "A", "expr": "m", "formt": "table"}]},
        "'\"formt\"' does not exist",
    ),
    "a panel of an unknown type": ({"type": "timeserie"}, "'\"timeserie\"' does not satisfy"),
    "a dashboard's misspelt setting": ({"tittle": "x"}, "'\"tittle\"' does not exist"),
}


@pytest.fixture(scope="module")
def errors() -> dict[str, list[str]]:
    """What is said of each, by its name, in one run of the compiler."""
    right: dict[str, Any] = {**RIGHT, "uid": "right"}
    models = [right]
    for name, (changed, _) in WRONG.items():
        of_dashboard = not {"templating", "tittle"}.isdisjoint(changed)
        panels = right["panels"] if of_dashboard else [{**right["panels"][0], **changed}]
        models.append({**right, **(changed if of_dashboard else {}), "uid": name, "panels": panels})
    found = grafana.type_errors(models)
    uids = [model["uid"] for model in models]
    return {uid: [error for error in found if error.startswith(f"{uid}.json: ")] for uid in uids}


def test_right(errors: dict[str, list[str]]) -> None:
    """A dashboard that is right has no errors."""
    assert errors["right"] == []


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str, errors: dict[str, list[str]]) -> None:
    """What is wrong in a dashboard is found, and nothing else."""
    (error,) = errors[name]
    assert WRONG[name][1] in error


def test_place(errors: dict[str, list[str]]) -> None:
    """An error has its file, its panel and its line."""
    place = 'a setting of a wrong type.json: panel 1 "panel": "decimals": "2"'
    assert errors["a setting of a wrong type"][0].startswith(place)


def test_file(tmp_path: Path) -> None:
    """A file is read and named."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**RIGHT, "schemaVersion": "42"}))
    assert grafana.type_errors([path])[0].startswith(f"{path}: dashboard: ")
