"""Each alert tells what to do about it and is tested; what it does is tested by promtool (prometheus/tests)."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from grafana.dashboards import PAGES
from stack.recipes import ROOT

RULES = [
    rule
    for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({alert["alert"] for alert in ALERTS})
TESTS: list[dict[str, Any]] = [
    test
    for path in (ROOT / "prometheus" / "tests").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["tests"]
    for test in group.get("alert_rule_test", [])
]
ALWAYS = "Watchdog"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_seen_to_fire_and_to_be_silent(name: str) -> None:
    """At least one test each; where it fires labels and annotations are compared."""
    tests = [test["exp_alerts"] for test in TESTS if test["alertname"] == name]
    assert any(tests)
    assert name == ALWAYS or not all(tests)
    assert all(set(alert) == {"exp_labels", "exp_annotations"} for fired in tests for alert in fired)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_it_tells_what_to_do(alert: dict[str, Any]) -> None:
    """A severity, a line, a description, the runbook of that name and a dashboard that there is, with its variables."""
    assert alert["labels"]["severity"] in (("none",) if alert["alert"] == ALWAYS else ("critical", "warning", "info"))
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "\n" not in said["summary"]
    assert alert["alert"] == ALWAYS or "$value" in said["description"] or alert["expr"] == "up == 0"
    assert said["runbook_url"] == "{{ $externalLabels.runbooks_url }}/" + alert["alert"]
    url = urlsplit(re.sub(r"\{\{.*?\}\}", "_", said["dashboard_url"]))
    page = url.path.rpartition("/")[2]
    assert url.path == f"_/d/hamilton-{page}/{page}"
    query = parse_qs(url.query)
    variables = {variable.build().name for variable in PAGES[page].variables}
    assert {key.removeprefix("var-") for key in query if key.startswith("var-")} <= variables
    assert {"from", "to"} <= set(query)


def test_no_alert_names_a_label_that_its_tests_do_not_show() -> None:
    """An empty label in a sentence would go unnoticed."""
    for test in TESTS:
        for alert in test["exp_alerts"]:
            for text in alert["exp_annotations"].values():
                assert "<no value>" not in text
                assert not re.search(r"  | ,| \.|<error", text), text


def test_links_begin_with_what_prometheus_gets_from_its_environment() -> None:
    """And the labels that hold it do not go out with the alerts, where they would be noise."""
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    labels = config["global"]["external_labels"]
    assert labels == {"grafana_url": "${GRAFANA_URL}", "runbooks_url": "${RUNBOOKS_URL}"}
    (relabel,) = config["alerting"]["alert_relabel_configs"]
    assert relabel == {"regex": "|".join(labels), "action": "labeldrop"}


def test_what_rules_and_templates_read_is_recorded() -> None:
    """Each name with colons is recorded by a rule, or made of the objectives."""
    recorded = {rule.get("record") for rule in RULES}
    read = set(re.findall(r"hamilton:\w+(?::\w+)?", str(RULES)))
    constants = {name for name in read if name.endswith(":constant")}
    assert read - constants <= recorded
