"""The committed dashboards as files: whole, consistent, and the ones that the Python makes.

What they show is tested with the real servers (tests/stack/test_dashboards.py).
"""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import PAGES
from grafana.dashboards.__main__ import HERE, rendered
from grafana.generator.page import without_footers
from stack.recipes import ROOT

GRID_WIDTH = 24
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
register_default_plugins()


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels") or []


def shown(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that are not the headings of rows."""
    return [panel for panel in panels(dashboard) if panel["type"] != "row"]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.fixture(params=sorted(PAGES))
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def dashboard(name: str) -> dict[str, Any]:
    model: dict[str, Any] = DASHBOARDS[name]
    return model


def test_the_committed_json_is_what_the_python_makes(name: str) -> None:
    """`make dashboards` has been run."""
    assert (HERE / f"{name}.json").read_text() == rendered(name)


def test_there_is_no_json_without_its_python() -> None:
    """A dashboard that was taken away leaves no file."""
    assert set(DASHBOARDS) == set(PAGES)


def test_it_loads_in_the_typed_models(dashboard: dict[str, Any]) -> None:
    """The models of grafana-foundation-sdk read it and write the same again."""
    again = json.loads(JSONEncoder(sort_keys=True).encode(without_footers(Dashboard.from_json(dashboard))))
    annotations = again.pop("annotations"), dashboard["annotations"]
    assert again == {key: value for key, value in dashboard.items() if key != "annotations"}
    # Their models know no fields of a datasource in annotations, which are therefore compared by name.
    names = [[each["name"] for each in side["list"]] for side in annotations]
    assert names[0] == names[1]


def test_uids_are_unique() -> None:
    """No dashboard replaces another."""
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids)


def test_panel_ids_are_unique(dashboard: dict[str, Any]) -> None:
    """Links to a panel lead to one panel."""
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(number, int) and number > 0 for number in ids)


def test_panels_neither_overlap_nor_leave_the_grid(dashboard: dict[str, Any]) -> None:
    """Each place of the grid belongs to one panel."""
    places = [(panel["title"], panel["gridPos"]) for panel in panels(dashboard)]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= GRID_WIDTH, title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, f"{one} overlaps {other}"


def test_lines_of_panels_are_full(dashboard: dict[str, Any]) -> None:
    """There are no holes: the panels fill the width of the grid wherever there is one."""
    cells = {
        (x, y)
        for panel in panels(dashboard)
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    assert cells == {(x, y) for x in range(GRID_WIDTH) for _, y in cells}


def test_each_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    """Title, description, unit, and something asked."""
    for panel in shown(dashboard):
        assert panel["title"]
        assert len(panel["description"]) > 5, panel["title"]
        assert panel["description"][-1] == ".", panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel.get("targets") or panel["type"] == "text", panel["title"]


def test_titles_are_unique_within_a_row(dashboard: dict[str, Any]) -> None:
    """Nobody has to ask which of two panels is meant."""
    row, seen = "", set()
    for panel in panels(dashboard):
        if panel["type"] == "row":
            row = panel["title"]
        else:
            assert (row, panel["title"]) not in seen
            seen.add((row, panel["title"]))


def test_nobody_edits_in_place(dashboard: dict[str, Any]) -> None:
    """What would be lost with the next version is not offered."""
    assert dashboard["editable"] is False
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/dashboards.yml").read_text())
    assert [each["allowUiUpdates"] for each in provider["providers"]] == [False]


def test_datasources_are_provisioned(dashboard: dict[str, Any]) -> None:
    """Each query's datasource is one of provisioning/, of the right type."""
    files = (ROOT / "grafana/provisioning/datasources").glob("*.yml")
    known = {each["uid"]: each["type"] for path in files for each in yaml.safe_load(path.read_text())["datasources"]}
    known["-- Mixed --"] = "datasource"
    asked = [
        *dashboard["annotations"]["list"],
        *(each for each in dashboard.get("templating", {}).get("list", []) if each["type"] == "query"),
        *shown(dashboard),
        *(target for panel in shown(dashboard) for target in panel.get("targets", [])),
    ]
    sources = [each["datasource"] for each in asked if "datasource" in each]
    assert sources
    assert {(source["uid"], source["type"]) for source in sources} <= set(known.items())


def test_links_lead_somewhere(dashboard: dict[str, Any]) -> None:
    """Each link opens a dashboard that is there, keeps the time range, and sets variables that it has."""
    variables = {
        each["uid"]: {variable["name"] for variable in each.get("templating", {}).get("list", [])}
        for each in DASHBOARDS.values()
    }
    for link in (text for text in strings(dashboard) if text.startswith("/d/")):
        parts = urlsplit(link)
        uid = parts.path.split("/")[2]
        assert uid in variables, link
        assert "${__url_time_range}" in link
        assert {key.removeprefix("var-") for key in parse_qs(parts.query) if key.startswith("var-")} <= variables[uid]
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", link))
        assert kept <= variables[uid] & variables[dashboard["uid"]], link


def test_links_escape_what_they_carry(dashboard: dict[str, Any]) -> None:
    """The name of a DAG may hold what an address takes for its own."""
    for link in (text for text in strings(dashboard) if text.startswith("/d/")):
        assert not re.search(r"var-\w+=\$\{(?![^}]*:percentencode\})", link), link


def test_a_row_of_one_environment_leads_to_it(dashboard: dict[str, Any]) -> None:
    """The same DAG may run in another, and do well there."""
    for panel in shown(dashboard):
        overrides = panel["fieldConfig"]["overrides"]
        in_row = json.dumps(panel.get("transformations", [])).count('"Environment"')
        for link in (text for text in strings(overrides) if in_row and text.startswith("/d/hamilton-dag/")):
            assert 'var-environment=${__data.fields["Environment"]:percentencode}' in link, panel["title"]
            assert "${environment:queryparam}" not in link


def test_the_dashboards_link_to_each_other(dashboard: dict[str, Any]) -> None:
    """A list of all dashboards keeps the time range and the variables."""
    listed = [link for link in dashboard["links"] if link["type"] == "dashboards"]
    assert [(link["includeVars"], link["keepTime"], link["tags"]) for link in listed] == [(True, True, ["hamilton"])]
    assert dashboard["tags"] == ["hamilton"]


def test_chosen_values_stand_between_backquotes(dashboard: dict[str, Any]) -> None:
    """A DAG may have quotation marks and apostrophes in its name, and a reader may write a regular expression."""
    asked = [text for text in strings(dashboard) if re.search(r"=~", text)]
    assert asked
    assert not [text for text in asked if re.search(r'=~"[^"]*\$(?!run_)', text)]


def test_what_is_recorded_has_a_rule() -> None:
    """Each name with a colon is recorded by a rule."""
    files = (ROOT / "prometheus/rules").glob("*.yml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    recorded = {rule.get("record") for group in groups for rule in group["rules"]}
    asked = {each for text in strings(list(DASHBOARDS.values())) for each in re.findall(r"hamilton:\w+(?::\w+)?", text)}
    assert asked
    assert asked <= recorded


def test_anchored_stands_in_one_place() -> None:
    """Whoever has to do without it changes one constant."""
    sources = [*ROOT.glob("grafana/**/*.py")]
    assert [path.name for path in sources if re.search(r"\banchored\b", _code(path))] == ["promql.py"]


def test_plain_dashboards_do_without_anchored(name: str) -> None:
    """The fallback for servers that do not know it changes nothing else."""
    committed, plain = rendered(name), rendered(name, anchored=False)
    assert " anchored" not in plain
    assert plain == committed.replace("] anchored)", "])")


def test_the_readme_says_what_each_answers(name: str) -> None:
    """Nobody has to open a dashboard to know whether it is the one."""
    readme = (ROOT / "README.md").read_text()
    assert f"\n| {PAGES[name].title} | " in readme


def _code(path: Path) -> str:
    """A module without its docstrings and comments and without the name of a parameter."""
    text = re.sub(r'""".*?"""|#[^\n]*', "", path.read_text(), flags=re.DOTALL)
    return (
        text.replace("anchored=", "")
        .replace("anchored: bool", "")
        .replace("if anchored", "")
        .replace("not anchored", "")
    )
