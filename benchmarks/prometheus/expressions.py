"""Finds every expression that Prometheus is asked: rules, panels, variables, links of traces; asks nothing itself.

Grafana's variables become what a reader sees who has chosen "all", and a matcher that takes one value gets one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from .points import dag_name, node_name

Kind = Literal["record", "alert", "panel", "number", "variable", "link"]

_BUILT_IN: Final = {
    "__rate_interval": "5m",
    "__interval": "5m",
    "__interval_ms": "300000",
    "__range": "24h",
    "__range_s": "86400",
}
_ONE: Final = {"hamilton_dag_name": dag_name(0), "hamilton_node_name": node_name(0), "hamilton_outcome": "success"}
_VARIABLE: Final = r"\$(?:\{[^}]*\}|\w+)"
_LABEL_VALUES: Final = re.compile(r"label_values\((?:(?P<series>.*),)?\s*(?P<label>\w+)\s*\)", re.DOTALL)
_ALL: Final = "hamilton_dag_name, hamilton_node_name"

POINTS: Final = 720

TYPICAL: Final[dict[str, tuple[Kind, str]]] = {
    "runs of each DAG by outcome": (
        "panel",
        "sum by (hamilton_dag_name, hamilton_outcome) (increase(hamilton_run_duration_seconds_count[5m] anchored))",
    ),
    "p95 of the runs of each DAG": (
        "panel",
        "histogram_quantile(0.95, sum by (hamilton_dag_name, le) (rate(hamilton_run_duration_seconds_bucket[5m])))",
    ),
    "runs in progress": ("panel", "sum by (hamilton_dag_name) (hamilton_run_active)"),
    "executed nodes of all DAGs": ("panel", "sum(rate(hamilton_node_duration_seconds_count[5m]))"),
    "mean of each node of one DAG": (
        "panel",
        'sum by (hamilton_node_name) (rate(hamilton_node_duration_seconds_sum{hamilton_dag_name="$dag"}[5m])) / '
        'sum by (hamilton_node_name) (rate(hamilton_node_duration_seconds_count{hamilton_dag_name="$dag"}[5m]))',
    ),
    "p95 of each node of one DAG": (
        "panel",
        "histogram_quantile(0.95, sum by (hamilton_node_name, le) "
        '(rate(hamilton_node_duration_seconds_bucket{hamilton_dag_name="$dag"}[5m])))',
    ),
    "p95 of the nodes of all DAGs": (
        "panel",
        "histogram_quantile(0.95, sum by (le) (rate(hamilton_node_duration_seconds_bucket[5m])))",
    ),
    "p95 of each node of all DAGs": (
        "panel",
        f"topk(10, histogram_quantile(0.95, sum by ({_ALL}, le) (rate(hamilton_node_duration_seconds_bucket[5m]))))",
    ),
    "slowest nodes of a day": (
        "number",
        f"topk(10, sum by ({_ALL}) (increase(hamilton_node_duration_seconds_sum[24h] anchored)) / "
        f"sum by ({_ALL}) (increase(hamilton_node_duration_seconds_count[24h] anchored)))",
    ),
    "failures of a day by node and error": (
        "number",
        f"topk(10, sum by ({_ALL}, error_type) (increase(hamilton_node_failures_total[24h] anchored)))",
    ),
    "part of the lookups that hit, of each DAG": (
        "panel",
        'sum by (hamilton_dag_name) (rate(hamilton_cache_lookups_total{hamilton_cache_result="hit"}[5m])) / '
        "sum by (hamilton_dag_name) (rate(hamilton_cache_lookups_total[5m]))",
    ),
}
"""What dashboards of such metrics ask, so that figures do not have to wait for the dashboards."""


@dataclass(frozen=True)
class Expression:
    """One expression, and where it comes from.

    A ``panel`` is asked over a range, and so is a ``link``; ``record``, ``alert`` and ``number`` at one moment. A
    ``variable`` asks for the values of the label *name* in the series of *text*. A panel asks for *points* at most; by
    itself for so many that a month is seen in steps of an hour.
    """

    kind: Kind
    source: str
    name: str
    text: str
    points: int = POINTS


def find(root: Path) -> list[Expression]:
    """Return the expressions of a checkout, and the typical ones, each once."""
    found = [
        *rules(root / "prometheus" / "rules"),
        *dashboards(root / "grafana"),
        *links(root / "grafana"),
        *(Expression(kind, "typical", name, substituted(text)) for name, (kind, text) in TYPICAL.items()),
    ]
    return list({(each.kind, each.text, each.name if each.kind == "variable" else ""): each for each in found}.values())


def rules(directory: Path) -> Iterator[Expression]:
    """Yield the expression of each rule."""
    for path in sorted(directory.glob("*.y*ml")):
        for group in (yaml.safe_load(path.read_text()) or {}).get("groups", ()):
            for rule in group.get("rules", ()):
                kind: Kind = "record" if "record" in rule else "alert"
                yield Expression(kind, path.name, rule[kind], str(rule["expr"]).strip())


def dashboards(directory: Path) -> Iterator[Expression]:
    """Yield what the dashboards' panels and variables ask Prometheus."""
    for path in sorted(directory.glob("**/*.json")):
        dashboard = json.loads(path.read_text())
        variables = dashboard.get("templating", {}).get("list", ())
        one = {variable.get("name", "") for variable in variables if not variable.get("includeAll")}
        for found in _panels(dashboard, path.name, "", ""):
            yield replace(found, text=substituted(found.text, one))
        for variable in variables:
            query = variable.get("query", "")
            text = query.get("query", "") if isinstance(query, dict) else str(query)
            asked = _LABEL_VALUES.search(text)
            if variable.get("type") == "query" and asked and _of_prometheus(variable.get("datasource")):
                yield Expression("variable", path.name, asked["label"], substituted(asked["series"] or "", one))


def _panels(node: Any, source: str, title: str, datasource: Any, points: int = POINTS) -> Iterator[Expression]:
    if isinstance(node, list):
        for each in node:
            yield from _panels(each, source, title, datasource, points)
    if not isinstance(node, dict):
        return
    title = node["title"] if isinstance(node.get("title"), str) else title
    datasource = node.get("datasource") or datasource
    points = min(points, node.get("maxDataPoints") or POINTS)
    text = node.get("expr")
    if isinstance(text, str) and text and _of_prometheus(datasource):
        instant = node.get("instant") and not node.get("range")
        yield Expression("number" if instant else "panel", source, title, text, points)
    for value in node.values():
        yield from _panels(value, source, title, datasource, points)


def _of_prometheus(datasource: Any) -> bool:
    names = datasource.values() if isinstance(datasource, dict) else [datasource]
    return not any(other in str(name).lower() for name in names for other in ("loki", "jaeger", "tempo"))


def links(directory: Path) -> Iterator[Expression]:
    """Yield what Grafana asks for a span that is looked at."""
    for path in sorted(directory.glob("provisioning/datasources/*.y*ml")):
        for datasource in (yaml.safe_load(path.read_text()) or {}).get("datasources", ()):
            for query in datasource.get("jsonData", {}).get("tracesToMetrics", {}).get("queries", ()):
                yield Expression("link", path.name, query["name"], substituted(query["query"].replace("$$", "$")))


def substituted(text: str, one: Set[str] = frozenset()) -> str:
    """Return an expression without Grafana's variables; those in *one* have a single value, all others any."""
    for name, value in _BUILT_IN.items():
        text = re.sub(rf"\$(?:{name}\b|\{{{name}(?::\w+)?\}})", value, text)
    text = re.sub(rf'(\w+)\s*=\s*"{_VARIABLE}"', lambda matcher: _equals(matcher[1]), text)
    for name in one:
        text = re.sub(rf"(\w+)\s*=~\s*`\${{{name}:regex}}`", lambda matcher: _equals(matcher[1]), text)
    text = re.sub(rf'=~\s*(["`])[^"`]*{_VARIABLE}[^"`]*\1', '=~".*"', text)
    text = re.sub(rf"\[{_VARIABLE}", "[5m", text)
    return re.sub(_VARIABLE, "10", text)


def _equals(label: str) -> str:
    return f'{label}="{_ONE[label]}"' if label in _ONE else f'{label}=~".*"'
