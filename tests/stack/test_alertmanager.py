"""Who is told of which alert, what mutes what, and what notifications say, with the real Alertmanager and the inbox."""

import email
import email.policy
import html
import itertools
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from stack import Stack
from stack.build import Cache
from stack.progress import build_missing
from stack.recipes import ROOT
from tests.stack.alerts import SHORT_WAITS, Alerts, amtool, running
from tests.stack.backends import eventually

pytestmark = pytest.mark.stack

ALERTING = ROOT / "alerting"
CONFIG = ALERTING / "alertmanager.yml"
RECEIVERS = {"critical": "critical", "warning": "warning", "info": "nobody", "none": "nobody", "unheard-of": "warning"}
#: HTML, templates, YAML that holds a template, quotes, lines, and Slack's control characters.
HOSTILE = [
    '<script>alert("x")</script>&amp;',
    "{{ .ExternalURL }} {{ broken",
    '{a: "{{ broken"}',
    '["{{ .X }}", 1]',
    "one\nRunbook: http://elsewhere\r\n.\r\n--- {a: b}",
    "'\"`|<!channel> <@U1> *bold* _x_ ${x} %s \\",
    "ä☃𝄞\x01",
    "long " * 2000,
]


@pytest.fixture(scope="module")
def path() -> str:
    """A PATH with amtool."""
    cache = Cache.default()
    build_missing(cache, ["alertmanager"])
    return cache.path


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    """An Alertmanager of this module, which waits for a second instead of half a minute."""
    with running(tmp_path_factory.mktemp("alertmanager")) as started:
        yield started


def of_dag(dag: str, severity: str = "critical", name: str = "NodeFailing", **more: str) -> dict[str, str]:
    labels = {
        "alertname": name,
        "severity": severity,
        "hamilton_dag_name": dag,
        "job": "shops/etl",
        "hamilton_team": "ops",
    }
    return {**labels, "deployment_environment_name": "production", **more}


def route(path: str, labels: Mapping[str, str], config: Path = CONFIG) -> str:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool("config", "routes", "test", f"--config.file={config}", *pairs, path=path).strip()


def test_the_configuration_passes_its_checker(path: str) -> None:
    """With its templates."""
    assert "1 templates" in amtool("check-config", str(CONFIG), path=path)


@pytest.mark.parametrize("severity", RECEIVERS)
def test_the_severity_decides_who_is_told(path: str, severity: str) -> None:
    """Whatever the team, the environment and the DAG are, and without them."""
    labels = {
        "hamilton_team": ("", "ops", "data"),
        "deployment_environment_name": ("", "production", "dev"),
        "hamilton_dag_name": ("", "flights"),
    }
    for values in itertools.product(*labels.values()):
        chosen = {name: value for name, value in zip(labels, values, strict=True) if value}
        assert route(path, {"alertname": "Any", "severity": severity, **chosen}) == RECEIVERS[severity], chosen


def test_an_alert_without_severity_is_not_lost(path: str) -> None:
    """It is told like a warning."""
    assert route(path, {"alertname": "Any"}) == "warning"


@pytest.mark.parametrize("severity", ["none", "critical", "info"])
def test_the_watchdog_has_a_receiver_of_its_own(path: str, severity: str) -> None:
    """Whatever its severity were."""
    assert route(path, {"alertname": "Watchdog", "severity": severity}) == "dead-mans-switch"


def test_the_example_of_a_team_works_when_it_is_switched_on(path: str, tmp_path: Path) -> None:
    """Its critical alerts go to the team; all else goes where it went."""
    text = CONFIG.read_text()
    for start in ("- {matchers: ['hamilton_team", "- name: ops", "  slack_configs: [{api_url_file"):
        assert f"# {start}" in text
        text = text.replace(f"# {start}", start)
    config = tmp_path / "alertmanager.yml"
    config.write_text(text)
    shutil.copytree(ALERTING / "templates", tmp_path / "templates")
    amtool("check-config", str(config), path=path)
    flights = {"hamilton_team": "ops", "hamilton_dag_name": "flights"}
    assert route(path, {**flights, "severity": "critical"}, config) == "ops"
    assert route(path, {**flights, "severity": "warning"}, config) == "warning"
    assert route(path, {**flights, "severity": "critical", "hamilton_team": "data"}, config) == "critical"
    assert route(path, {"severity": "critical"}, config) == "critical"


def _leaves(value: Any, keys: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, keys)
    else:
        yield keys[-1], str(value)


def test_no_secret_is_in_the_configuration() -> None:
    """Keys, passwords and addresses that are secret are named by files, all of which have a stand-in."""
    config = yaml.safe_load(CONFIG.read_text())
    leaves = list(_leaves({name: config[name] for name in ("global", "receivers", "route")}))
    secret = re.compile(r"(password|secret|token|key|credentials|api_url|webhook_url|^url)$")
    assert [key for key, _ in leaves if secret.search(key)] == []
    files = {Path(value) for key, value in leaves if key.endswith("_file")}
    assert {file.parent for file in files} == {Path("/etc/alertmanager/secrets")}
    assert {file.name for file in files} == {file.name for file in (ALERTING / "secrets").iterdir()}
    assert "@" not in re.sub(r"\S+@hamilton\.localhost", "", json.dumps(config["global"]))


def test_every_receiver_is_told_of_the_end() -> None:
    """Except for the dead man's switch, which would take it for a sign of life."""
    config = yaml.safe_load(CONFIG.read_text())
    told = {
        (receiver["name"], one["send_resolved"])
        for receiver in config["receivers"]
        for key, configs in receiver.items()
        if key != "name"
        for one in configs
    }
    assert told == {("critical", True), ("warning", True), ("dead-mans-switch", False)}


def inhibited(alerts: Alerts, **labels: str) -> bool:
    return bool(alerts.status(**labels)["inhibitedBy"])


def test_a_critical_alert_mutes_what_is_less_of_the_same_dag_and_environment(alerts: Alerts) -> None:
    """And nothing of another DAG, another environment, or that is as critical."""
    less = [of_dag("muting", "warning", "Less"), of_dag("muting", "info", "Least")]
    other = [
        of_dag("muting", "critical", "AsCritical"),
        of_dag("other", "warning", "OtherDag"),
        of_dag("muting", "warning", "OtherEnvironment", deployment_environment_name="dev"),
    ]
    alerts.post(of_dag("muting"), *less, *other)
    eventually(lambda: all(inhibited(alerts, alertname=one["alertname"]) for one in less))
    assert not any(inhibited(alerts, alertname=one["alertname"]) for one in other)
    assert not inhibited(alerts, hamilton_dag_name="muting", alertname="NodeFailing")


def test_alerts_without_dag_or_environment_mute_nothing_wholesale(alerts: Alerts) -> None:
    """Labels that both lack are equal to Alertmanager."""
    alerts.post(
        {"alertname": "HostFull", "severity": "critical"},
        {"alertname": "HostSlow", "severity": "warning"},
        {"alertname": "NoEnvironmentBad", "severity": "critical", "hamilton_dag_name": "nowhere"},
        {"alertname": "NoEnvironment", "severity": "warning", "hamilton_dag_name": "nowhere"},
        {"alertname": "NoDagBad", "severity": "critical", "deployment_environment_name": "production"},
        {"alertname": "NoDag", "severity": "warning", "deployment_environment_name": "production"},
        of_dag("marked"),
        of_dag("marked", "warning", "Marked"),
    )
    eventually(lambda: inhibited(alerts, alertname="Marked"))
    assert not any(inhibited(alerts, alertname=name) for name in ("HostSlow", "NoEnvironment", "NoDag"))


@pytest.mark.parametrize(
    "outage",
    [
        {"alertname": "CollectorExportFailing", "severity": "critical"},
        {"alertname": "TelemetryTargetDown", "severity": "warning", "job": "collector"},
        {"alertname": "TelemetryTargetDown", "severity": "warning", "job": "collector-aggregated"},
    ],
    ids=lambda outage: f"{outage['alertname']}-{outage.get('job')}",
)
def test_an_outage_of_telemetry_mutes_only_what_it_causes(tmp_path: Path, outage: dict[str, str]) -> None:
    """Runs that seem lost or overdue; neither failures nor the watchdog, nor by way of what is muted."""
    caused = [of_dag("a", "critical", "RunLost"), of_dag("b", "warning", "SuccessOverdue")]
    other = [
        of_dag("a", "warning", "OfTheSameDag"),
        of_dag("c", "critical", "NodeFailing"),
        of_dag("d", "warning", "RunLostAndFound"),
        {"alertname": "TelemetryTargetDown", "severity": "warning", "job": "loki"},
        {"alertname": "HostFull", "severity": "warning"},
        {"alertname": "Watchdog", "severity": "none"},
    ]
    with running(tmp_path) as fresh:
        fresh.post(outage, *caused, *other)
        eventually(lambda: all(inhibited(fresh, **one) for one in caused))
        assert not any(inhibited(fresh, **one) for one in [outage, *other])


def test_another_target_that_is_down_mutes_no_run(alerts: Alerts) -> None:
    """Runs are counted by the Collector, not by Loki."""
    alerts.post(
        {"alertname": "TelemetryTargetDown", "severity": "critical", "job": "loki"},
        of_dag("unmuted", "warning", "RunLost"),
        of_dag("witness"),
        of_dag("witness", "warning", "Witness"),
    )
    eventually(lambda: inhibited(alerts, alertname="Witness"))
    assert not inhibited(alerts, alertname="RunLost", hamilton_dag_name="unmuted")


def test_maintenance_mutes_alerts_but_not_the_watchdog(tmp_path: Path) -> None:
    """Of a DAG or of none; what has no known severity is told as well, as the root cannot be muted."""
    with running(tmp_path, {**SHORT_WAITS, '{years: ["2000"]}': '{years: ["2000:2100"]}'}) as fresh:
        fresh.post(
            of_dag("a", name="Dag"),
            of_dag("b", "warning", name="DagToo"),
            {"alertname": "Host", "severity": "critical"},
            {"alertname": "HostToo", "severity": "warning"},
            {"alertname": "Watchdog", "severity": "none"},
            {"alertname": "Root", "severity": "odd"},
        )
        eventually(lambda: fresh.messages("watchdog", "Watchdog") and fresh.messages("email", "Root"))
        muted = ["Dag", "DagToo", "Host", "HostToo"]
        eventually(lambda: [fresh.muted().get(name) for name in muted] == [["maintenance"]] * 4)
        assert [fresh.muted()[name] for name in ("Watchdog", "Root")] == [[], []]
        assert not fresh.messages("pagerduty", "")
        assert all("Root" in one["raw"] for kind in ("email", "slack") for one in fresh.messages(kind, ""))


def test_no_maintenance_is_planned_as_it_is(alerts: Alerts) -> None:
    """The example is off."""
    alerts.post(of_dag("unplanned", name="Unplanned"))
    eventually(lambda: alerts.messages("pagerduty", "unplanned"))
    assert alerts.muted()["Unplanned"] == []


def test_a_silence_of_amtool_mutes_a_dag(alerts: Alerts, path: str) -> None:
    """As the page on receivers says, for work that happens once."""
    silence = (
        "silence",
        "add",
        "hamilton_dag_name=silenced",
        "--duration=2h",
        "--author=me",
        "--comment=Backfill of May",
    )
    amtool(f"--alertmanager.url={alerts.url}", *silence, path=path)
    alerts.post(of_dag("silenced"))
    assert len(eventually(lambda: alerts.status(hamilton_dag_name="silenced")["silencedBy"])) == 1


def test_one_dag_s_alerts_come_in_one_notification(alerts: Alerts) -> None:
    """Those of its other environment come in another one."""
    alerts.post(
        of_dag("grouped", name="First", hamilton_node_name="one"),
        of_dag("grouped", name="Second", hamilton_node_name="two"),
        of_dag("grouped", name="Third", deployment_environment_name="dev"),
        # Older ones would not wait for each other.
        since=0,
    )
    both, other = eventually(lambda: _two(alerts.messages("slack", "grouped")))
    if "Third" in both["text"]:
        both, other = other, both
    assert both["title"] == "[CRITICAL] grouped (production): 2 alerts"
    assert "First" in both["text"]
    assert "Second" in both["text"]
    assert other["title"] == "[CRITICAL] grouped (dev): Third"


def _two(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return messages if len(messages) == 2 else []


def test_alerts_of_no_dag_come_one_by_one(alerts: Alerts) -> None:
    """A full disk is no afterthought to another incident."""
    alerts.post(*({"alertname": f"Alone{number}", "severity": "critical", "job": "x"} for number in range(2)))
    for number in range(2):
        (only,) = eventually(partial(alerts.messages, "pagerduty", f"Alone{number}"))
        assert json.loads(only["raw"])["payload"]["class"] == f"Alone{number}"


def test_the_dead_mans_switch_hears_again_and_again(alerts: Alerts) -> None:
    """And nothing of the end, which would be one more sign of life."""
    alerts.post({"alertname": "Watchdog", "severity": "none"}, annotations={"summary": "Alerting works"})
    eventually(lambda: len(alerts.messages("watchdog", "Watchdog")) >= 3)
    alerts.post({"alertname": "Watchdog", "severity": "none"}, ended=0)
    eventually(lambda: not [one for one in alerts.all() if one["labels"]["alertname"] == "Watchdog"])
    heard = alerts.messages("watchdog", "Watchdog")
    assert {(one["title"], one["text"]) for one in heard} == {("Watchdog is firing", "Alerting works")}
    assert not alerts.messages("email", "Watchdog")


def test_the_way_from_rule_to_notification_works(stack: Stack) -> None:
    """Prometheus' own Watchdog reaches the dead man's switch of the whole stack."""
    heard = eventually(lambda: Alerts(stack).messages("watchdog", "Watchdog"), timeout=60)
    payload = json.loads(heard[0]["raw"])
    assert (payload["receiver"], payload["status"]) == ("dead-mans-switch", "firing")
    assert payload["externalURL"] == stack.alertmanager


ANNOTATIONS = {
    "summary": "Node delay fails",
    "description": "3 of 4 executions in 15 minutes failed.",
    "runbook_url": "http://localhost:8026/runbooks/NodeFailing",
    "dashboard_url": "http://localhost:3000/d/hamilton-dag/dag?var-dag=flights",
}


def parts(message: dict[str, str]) -> tuple[str, str]:
    """The text and the HTML of an e-mail."""
    mail = email.message_from_string(message["raw"], policy=email.policy.default)
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert all(bodies)
    plain, page = (str(body.get_content()).replace("\r\n", "\n") for body in bodies if body)
    return plain, page


def links(page: str) -> list[str]:
    return [html.unescape(address) for address in re.findall(r'href="([^"]*)"', page)]


def expect_links_of(dag: str, addresses: Sequence[str], *, until: str | None) -> None:
    """Runs, traces and logs of this DAG from before the alert until its end, which Grafana knows."""
    by_path = {urlsplit(one).path: parse_qs(urlsplit(one).query) for one in addresses if "panes" not in one}
    runs = by_path["/d/hamilton-runs/runs"]
    assert {name: runs[f"var-{name}"] for name in ("dag", "environment", "outcome")} == {
        "dag": [dag],
        "environment": ["production"],
        "outcome": ["failure"],
    }
    assert runs["to"] == [until] if until else runs["to"][0].isdecimal()
    assert runs["from"][0].isdecimal()
    panes = [json.loads(parse_qs(urlsplit(one).query)["panes"][0])["a"] for one in addresses if "panes" in one]
    by_source = {pane["datasource"]: pane for pane in panes}
    (jaeger,), (loki,) = by_source["jaeger"]["queries"], by_source["loki"]["queries"]
    assert jaeger["service"] == "etl"
    assert jaeger["tags"] == f"hamilton.dag.name={quoted(dag)} error=true"
    streams = '{service_name=~".+", deployment_environment_name="production"}'
    assert loki["expr"] == f'{streams} | hamilton_dag_name={quoted(dag)} | hamilton_node_name="delay"'
    for pane in panes:
        assert pane["range"] == {"from": runs["from"][0], "to": runs["to"][0]}


def quoted(value: str) -> str:
    """As Go writes JSON."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def test_the_links_lead_to_what_grafana_has() -> None:
    """The dashboard, its variables and the data sources are those that are provisioned."""
    runs = json.loads((ROOT / "grafana" / "dashboards" / "runs.json").read_text())
    assert runs["uid"] == "hamilton-runs"
    assert {"dag", "environment", "outcome"} <= {one["name"] for one in runs["templating"]["list"]}
    sources = yaml.safe_load((ROOT / "grafana" / "provisioning" / "datasources" / "datasources.yml").read_text())
    assert {"loki", "jaeger"} <= {one["uid"] for one in sources["datasources"]}


def test_a_warning_comes_by_mail_and_slack_and_so_does_its_end(alerts: Alerts) -> None:
    """With what failed where, numbers, links and the runbook; the end says how long it lasted."""
    labels = of_dag("mailed", "warning", hamilton_node_name="delay", error_type="builtins.ValueError", zone="z1")
    alerts.post(labels, since=3723, annotations=ANNOTATIONS)
    (mail,) = eventually(lambda: alerts.messages("email", "mailed"))
    (slack,) = eventually(lambda: alerts.messages("slack", "mailed"))
    assert mail["title"] == slack["title"] == "[WARNING] mailed (production): NodeFailing"
    plain, page = parts(mail)
    for field in (
        "NodeFailing: Node delay fails",
        "What: 3 of 4 executions in 15 minutes failed.",
        "DAG: mailed",
        "Node: delay",
        "Error: builtins.ValueError",
        "Environment: production",
        "Team: ops",
        "Service: shops/etl",
        "zone: z1",
        "Severity: warning",
        f"Runbook: {ANNOTATIONS['runbook_url']}",
        f"Dashboard: {ANNOTATIONS['dashboard_url']}",
    ):
        assert f"\n{field}\n" in plain, plain
        name, _, value = field.partition(": ")
        assert (name in page and value in page) or name in ("Dashboard", "Runbook"), page
    assert "Lasted" not in plain
    expect_links_of("mailed", links(page), until="now")
    expect_links_of("mailed", re.findall(r"(http\S+)", plain), until="now")
    assert {ANNOTATIONS["runbook_url"], ANNOTATIONS["dashboard_url"]} <= set(links(page))
    for field in ("What: 3 of 4", "DAG: mailed", "Node: delay", "Error: builtins.ValueError", "Team: ops"):
        assert field in slack["text"]
    expect_links_of("mailed", re.findall(r"<([^|>]*)\|", slack["text"]), until="now")
    assert f"<{ANNOTATIONS['runbook_url']}|Runbook>" in slack["text"]
    assert json.loads(slack["raw"])["attachments"][0]["color"] == "warning"

    alerts.post(labels, since=3723, ended=0, annotations=ANNOTATIONS)
    _, mail = eventually(lambda: _two(alerts.messages("email", "mailed")))
    _, slack = eventually(lambda: _two(alerts.messages("slack", "mailed")))
    assert mail["title"] == slack["title"] == "[RESOLVED] mailed (production): NodeFailing"
    plain, page = parts(mail)
    assert re.search(r"\nLasted: 1h 2m \d+s, until \d{4}-", plain)
    assert re.search(r"Lasted</th>\s*<td[^>]*>1h 2m \d+s, until ", page)
    expect_links_of("mailed", links(page), until=None)
    assert "Lasted: 1h 2m " in slack["text"]
    assert json.loads(slack["raw"])["attachments"][0]["color"] == "good"
    assert not alerts.messages("pagerduty", "mailed")


def test_a_critical_alert_pages_and_the_end_closes_the_incident(alerts: Alerts) -> None:
    """Slack hears of both, mail of neither."""
    labels = of_dag("paged", hamilton_node_name="delay", error_type="builtins.ValueError")
    alerts.post(labels, annotations=ANNOTATIONS)
    (page,) = eventually(lambda: alerts.messages("pagerduty", "paged"))
    event = json.loads(page["raw"])
    assert event["event_action"] == "trigger"
    assert event["routing_key"] == (ALERTING / "secrets" / "pagerduty_routing_key").read_text().strip()
    payload = event["payload"]
    assert payload["summary"] == "[CRITICAL] paged (production): NodeFailing: Node delay fails"
    assert (payload["severity"], payload["class"], payload["component"]) == ("critical", "NodeFailing", "paged")
    assert (payload["group"], payload["source"]) == ("ops", "shops/etl (production)")
    details = payload["custom_details"]
    assert details["num_firing"] == 1
    assert details["firing"].startswith("1 firing\n")
    assert "\nError: builtins.ValueError\n" in details["firing"]
    assert details["resolved"] == "0 resolved\n"
    addresses = {link["text"]: link["href"] for link in event["links"]}
    expect_links_of("paged", list(addresses.values()), until="now")
    assert addresses["Runbook"] == ANNOTATIONS["runbook_url"]
    eventually(lambda: alerts.messages("slack", "paged"))

    alerts.post(labels, ended=0, annotations=ANNOTATIONS)
    _, page = eventually(lambda: _two(alerts.messages("pagerduty", "paged")))
    closing = json.loads(page["raw"])
    assert (closing["event_action"], closing["dedup_key"]) == ("resolve", event["dedup_key"])
    assert "\nLasted: 1m " in closing["payload"]["custom_details"]["resolved"]
    _, slack = eventually(lambda: _two(alerts.messages("slack", "paged")))
    assert slack["title"].startswith("[RESOLVED] paged")
    assert not alerts.messages("email", "paged")


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_hostile_values_arrive_intact_and_do_nothing(alerts: Alerts, severity: str, value: str) -> None:
    """In every channel, for every place that a value can be in."""
    mark = f"h{severity[0]}{HOSTILE.index(value)}"
    labels = of_dag(f"{value}{mark}", severity, hamilton_node_name=value, error_type=value, hamilton_team=value)
    labels |= {"job": value, "deployment_environment_name": value}
    alerts.post(labels, annotations=dict.fromkeys(ANNOTATIONS, value))
    (slack,) = eventually(lambda: alerts.messages("slack", mark))
    attachment = json.loads(slack["raw"])["attachments"][0]
    outside_links = re.sub(r"<https?://[^<>|\s]*\|[A-Z][A-Za-z ]*>", "", attachment["text"])
    assert not set("<>") & set(outside_links)
    assert html.unescape(_cut(outside_links, "What: ")).startswith(_indented(value)[:600].rstrip())
    assert "\n" not in attachment["title"]
    if severity == "critical":
        (page,) = eventually(lambda: alerts.messages("pagerduty", mark))
        payload = json.loads(page["raw"])["payload"]
        assert payload["component"] == f"{value}{mark}"
        assert payload["group"] == value
        assert f"\nNode: {_indented(value)}\n" in payload["custom_details"]["firing"]
    else:
        (mail,) = eventually(lambda: alerts.messages("email", mark))
        plain, page_source = parts(mail)
        assert f"\nNode: {_indented(value)}\n" in _with_newlines(plain)
        assert "\nRunbook: http://elsewhere" not in plain
        cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page_source, re.DOTALL)]
        assert cells.count(_with_newlines(value)) >= 4
        assert "<script" not in page_source
        assert all(one.startswith(("http://", "#", "%")) or ":" not in one for one in links(page_source))
        assert "\n" not in mail["title"]


def _cut(text: str, start: str) -> str:
    return text[text.index(start) + len(start) :]


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _indented(text: str) -> str:
    return _with_newlines(text).replace("\n", "\n    ")


@pytest.mark.parametrize("kind", ["text", "html"])
def test_templates_render_without_any_known_label(path: str, tmp_path: Path, kind: str) -> None:
    """An alert of one's own may have nothing that ours have."""
    alert = {"status": "firing", "labels": {}, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"}
    data = {"status": "firing", "externalURL": "http://a", "alerts": [alert] * 7, "commonLabels": {}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    names = ["email.html"] if kind == "html" else ["title", "email.text", "slack.text", "slack.titlelink"]
    names += [] if kind == "html" else ["pagerduty.firing", "pagerduty.description", "pagerduty.source"]
    rendered = {
        name: amtool(
            *("template", "render", f"--template.type={kind}", f"--template.glob={ALERTING / 'templates' / '*.tmpl'}"),
            *(f"--template.data={tmp_path / 'data.json'}", f'--template.text={{{{ template "hamilton.{name}" . }}}}'),
            path=path,
        )
        for name in names
    }
    assert all(rendered.values())
    if kind == "text":
        assert rendered["title"] == "[FIRING] several: 7 alerts"
        assert "The first 5 of 7; <http://a|all of them>" in rendered["slack.text"]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_stay_text_in_links(path: str, tmp_path: Path, value: str) -> None:
    """A query for them finds them and nothing else."""
    labels = of_dag(value, hamilton_node_name="delay")
    alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z", "annotations": {}}
    (tmp_path / "data.json").write_text(json.dumps({"status": "firing", "alerts": [alert]}))
    page = amtool(
        *("template", "render", "--template.type=html", f"--template.glob={ALERTING / 'templates' / '*.tmpl'}"),
        *(f"--template.data={tmp_path / 'data.json'}", '--template.text={{ template "hamilton.email.html" . }}'),
        path=path,
    )
    assert "ZgotmplZ" not in page
    (runs,) = [one for one in links(page) if "/d/hamilton-runs" in one]
    assert parse_qs(urlsplit(runs).query)["var-dag"] == [value]
    (logs,) = [one for one in links(page) if "loki" in one]
    query = json.loads(parse_qs(urlsplit(logs).query)["panes"][0])["a"]["queries"][0]["expr"]
    assert json.loads(query.partition("hamilton_dag_name=")[2].partition(' | hamilton_node_name="delay"')[0]) == value
