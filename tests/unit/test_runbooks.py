"""The runbooks say what is there: their sections, names, panels, settings, commands and links.

Whether their queries are ones that the servers take is tested with the servers (tests/stack/test_runbooks.py).
"""

import re
from functools import cache
from typing import Any

import pytest
import typer
import yaml
from hamilton_otel import semconv
from hamilton_otel.cli.app import app as cli

from grafana.dashboards import PAGES
from grafana.generator import servers
from grafana.generator.promql import label
from stack.__main__ import app as stack_app
from stack.recipes import ROOT
from tests.runbooks import ALERTS, BESIDES, BOOKS, FILLED_IN, FOLDER, INDEX, Block, Book, queries

SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]


COMMON_LABELS = {"job", "instance", "deployment_environment_name", "le", "host_name", "process_pid", *servers.LABELS}
ALERT_LABELS = {"alertname", "alertstate", "severity"}
LOG_FIELDS = {"service_name", "event_name", "deployment_environment_name", "host_name", "process_pid"}
KEYWORDS = {"and", "or", "unless", "bool", "offset", "anchored"}
CLAUSE = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"


@cache
def rules() -> list[dict[str, Any]]:
    files = sorted((ROOT / "prometheus/rules").glob("*.yml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alert_rules() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def metrics() -> dict[str, semconv.Metric]:
    """Our metrics by each name that Prometheus has for them."""
    found: dict[str, semconv.Metric] = {}
    for catalogue in (semconv.METRICS, semconv.PROCESS_METRICS, semconv.HOST_METRICS):
        for metric in catalogue.values():
            suffixes = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
            found |= {metric.prometheus_name + suffix: metric for suffix in suffixes}
    return found


@cache
def known_labels() -> set[str]:
    ours = {label(name) for metric in metrics().values() for name in metric.attributes}
    return ours | COMMON_LABELS | {label(semconv.OVERFLOW)}


@cache
def panels() -> dict[str, list[tuple[str, str]]]:
    """Row and title of each panel, by its dashboard's title."""
    return {
        page.title: [(row.title, str(panel.build().title)) for row in page.rows for panel in row.panels]
        for page in PAGES.values()
    }


def selectors(query: str) -> dict[str, set[str]]:
    """Each metric that PromQL asks for, with the labels that it is chosen by."""
    text = re.sub(r'"[^"]*"', '""', query)
    text = re.sub(CLAUSE, "", re.sub(r"\[[^\]]*\]", "", text))
    found: dict[str, set[str]] = {}
    for match in re.finditer(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\s*\(|[\w:])", text):
        name, chosen = match[1], match[2] or ""
        if name not in KEYWORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
    return found


def clauses(query: str) -> set[str]:
    """The labels that a query groups and matches by."""
    return {name.strip() for names in re.findall(CLAUSE, query) for name in names.split(",") if name.strip()}


@pytest.fixture(params=sorted(BOOKS))
def book(request: pytest.FixtureRequest) -> Book:
    return BOOKS[request.param]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_has_the_sections(name: str) -> None:
    """Each alert's page is named after it and has the same four sections, none of them empty."""
    assert BOOKS[name].headings == [f"# {name}", *SECTIONS]
    assert all(part.strip() for part in re.split(r"^#+ .*$", BOOKS[name].text, flags=re.MULTILINE)[2:])


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_says_what_to_ask_and_when_it_is_over(name: str) -> None:
    """Numbered steps with at least one query, and a word on how the alert ends."""
    diagnosis, mitigation = BOOKS[name].text.partition("## Diagnosis")[2].split("## Mitigation")
    assert re.search(r"^1\. ", diagnosis, re.MULTILINE)
    assert "```promql" in diagnosis
    assert re.search(r"\bresolves\b", mitigation)


def test_steps_are_numbered_in_order(book: Book) -> None:
    """Whoever is told to go on with step 3 finds it."""
    for section in book.text.split("\n## "):
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_each_alert_has_its_runbook() -> None:
    """And each runbook its alert, save those whose rules are still to come."""
    assert set(alert_rules()) <= ALERTS, "alerts without a page"
    assert set(alert_rules()) == ALERTS


def test_alerts_link_to_their_runbook() -> None:
    """Where a rule has a link, it is to its own page."""
    for name, rule in alert_rules().items():
        link = rule.get("annotations", {}).get("runbook_url")
        assert link is None or link.endswith(f"/{name}")


def test_the_index_is_complete() -> None:
    """A row for each alert, with its severity and one panel, and a link to each other page."""
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| (\*\*.+›.+\*\*) \|$", BOOKS[INDEX].text, re.MULTILINE)
    assert all(shown == linked for shown, linked, _, _ in rows)
    assert sorted(name for name, *_ in rows) == sorted(ALERTS)
    severities = {name: severity for name, _, severity, _ in rows}
    assert set(severities.values()) <= {"critical", "warning", "none"}
    for name, rule in alert_rules().items():
        severity = rule["labels"]["severity"]
        assert severities[name] == severity, name
    assert {f"{name}.md" for name in BESIDES} <= set(BOOKS[INDEX].links)


def test_links_resolve(book: Book) -> None:
    """No page sends anybody to one that is not there."""
    for link in book.links:
        assert link.startswith("http://localhost:") or (FOLDER / link).is_file(), link


def test_panels_exist(book: Book) -> None:
    """What is bold is a dashboard, or a panel of it; with its row where two panels have the same title."""
    for dashboard, *place in book.panels:
        assert dashboard in panels()
        if place:
            matches = [where for where in panels()[dashboard] if where[-len(place) :] == tuple(place)]
            assert len(matches) == 1, f"{' › '.join((dashboard, *place))}: {matches}"


def test_a_panel_is_a_mark() -> None:
    """Nobody writes of a panel in a way that is not checked."""
    for book in BOOKS.values():
        unmarked = re.sub(r"\*\*.+?\*\*", "", book.prose, flags=re.DOTALL).replace("name with `›`", "")
        assert "›" not in unmarked, book.name


@pytest.mark.parametrize("block", queries("promql"), ids=lambda block: block.where)
def test_promql_asks_for_what_is_there(block: Block) -> None:
    """Each metric is one of ours, of the rules or of the servers, and has the labels that it is chosen by."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    found = selectors(block.text)
    assert found
    for name, chosen in found.items():
        if name in metrics():
            own = {label(attribute) for attribute in metrics()[name].attributes} | {label(semconv.OVERFLOW)}
            assert chosen <= COMMON_LABELS | own, name
        else:
            assert name in recorded | servers.METRICS
            assert chosen <= known_labels() | ALERT_LABELS, name
    assert clauses(block.text) <= known_labels()


@pytest.mark.parametrize("block", queries("logql"), ids=lambda block: block.where)
def test_logql_asks_for_what_is_there(block: Block) -> None:
    """Each field is an attribute of the catalogue, and each event one of its events."""
    fields = {label(name) for name in semconv.ATTRIBUTES} | LOG_FIELDS
    text = re.sub(r'"[^"]*"', '""', block.text)
    assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", text)) | clauses(text) <= fields
    for pattern in re.findall(r'event_name=~?"([^"]*)"', block.text):
        alternatives = re.fullmatch(r"([\w.]+)\((.*)\)|([\w.]+)", pattern)
        assert alternatives, pattern
        names = [alternatives[1] + end for end in alternatives[2].split("|")] if alternatives[1] else [pattern]
        assert set(names) <= set(semconv.EVENTS)


def test_placeholders_are_those_that_the_index_explains() -> None:
    """Whoever fills in a query knows with what."""
    for block in [*queries("promql"), *queries("logql")]:
        assert set(re.findall(r"<[^<>=]+>", block.text)) <= set(FILLED_IN), block.where


def test_names_in_the_text_are_of_the_catalogue(book: Book) -> None:
    """Labels, fields and recorded series in code between words."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", book.text, flags=re.MULTILINE | re.DOTALL))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = {label(name) for name in semconv.ATTRIBUTES} | known_labels() | set(metrics()) | recorded
    named = {name for text in code for name in re.findall(r"\bhamilton[_:][\w:]+", text)}
    assert named <= known


def test_settings_are_documented(book: Book) -> None:
    """Each variable is one of the README, or one that a server's configuration reads."""
    sources = ("README.md", "collector/config.yaml", "docker-compose.yml")
    documented = "".join((ROOT / name).read_text() for name in sources)
    for name in set(re.findall(r"\b(?:HAMILTON_OTEL|OTEL|COLLECTOR|JAEGER|LOKI)_[A-Z_]+[A-Z]\b", book.text)):
        assert name in documented, name


def test_commands_exist(book: Book) -> None:
    """Subcommands of ours, their options, targets of make, and services of docker compose."""
    text = book.text
    ours = typer.main.get_command(cli)
    stacks = typer.main.get_command(stack_app)
    for found, group in (("hamilton-otel", ours), (r"python -m stack", stacks)):
        commands: dict[str, Any] = getattr(group, "commands")  # noqa: B009 - of click's groups alone
        for name, options in re.findall(rf"(?<![\w/_-]){found} (?!\*)([a-z]+)\b([^\n`|]*)", text):
            assert name in commands, name
            offered = {option for parameter in commands[name].params for option in parameter.opts}
            options, _, _ = options.partition(")")
            assert set(re.findall(r"(?<=\s)--[a-z][a-z-]+", options)) <= offered, options
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text)) <= targets
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    for line in re.findall(r"docker compose (?:stop|restart|logs|up|ps)\b([^\n`|]*)", text):
        words = [word for word in line.split() if not re.match(r"-|\d|<", word)]
        assert set(words) <= services, line


def test_messages_are_those_of_the_code() -> None:
    """What a page quotes of our own programs is what they say."""
    said = "".join(path.read_text() for path in (ROOT / "instrumentation/hamilton_otel").rglob("*.py"))
    for quoted in ("does not take it", "refused for good", "nothing waits in", ".reason.txt", "Something waits for"):
        assert quoted in said
        assert quoted in BOOKS["replaying-a-spool"].text
    reasons = re.findall(r"^ *\| `(\w+)` \|", BOOKS["TelemetryDropped"].text, re.MULTILINE)
    assert reasons
    assert all(f'"{reason}"' in said for reason in reasons)
