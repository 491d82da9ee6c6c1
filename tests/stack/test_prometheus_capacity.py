"""The benchmark of Prometheus in its smallest form: that it measures what it should, not what the figures are."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hamilton_otel import semconv
from rich.console import Console

from benchmarks.prometheus import points
from benchmarks.prometheus.__main__ import measure, show
from benchmarks.prometheus.expressions import Expression, dashboards, find, substituted
from benchmarks.prometheus.past import Size
from stack.recipes import ROOT


def test_a_few_dags_are_measured_like_many() -> None:
    """Blocks hold every series, each expression is answered, and the Collector and Prometheus have them all live."""
    console = Console(file=io.StringIO(), width=200)
    size = Size(dags=2, nodes=5, hours=2, days=1, interval=120)
    figures = measure(console, size, dense_dags=1, live_seconds=5, compact=False)
    show(figures, console)
    assert figures["blocks"]["raw_samples"] == figures["series"] * 60
    assert figures["blocks"]["recorded"]["hamilton:lost_runs"]["series"] == 2
    assert figures["loaded_blocks"] >= 2
    dense = figures["as_scraped"]
    assert dense["blocks"]["raw_samples"] == dense["series"] * 7200 // dense["size"]["interval"]
    asked = {(each["kind"], each["name"]): each for each in figures["expressions"]}
    assert {("record", "hamilton:lost_runs"), ("alert", "Watchdog"), ("panel", "hamilton:lost_runs")} <= set(asked)
    assert [each for each in figures["expressions"] if each["error"]] == []
    # Of other sources some ask for what the servers say about themselves, which is not in the blocks.
    sure = [each for each in figures["expressions"] if each["source"] in ("typical", "datasources.yml", "recorded")]
    assert [each["name"] for each in sure if not each["series"]] == []
    live = figures["live"]
    # The Collector's two pages say about the processes what is no metric of ours, and what it measures of its host.
    assert figures["series"] <= live["samples_per_scrape"] <= figures["series"] + 200
    assert (live["refused"], live["scrapes_that_failed"]) == (0, 0)


def test_every_metric_of_the_catalogue_has_series() -> None:
    """A new metric is measured without a change to the benchmark, and histograms have all their buckets."""
    counted = points.count(dags=4, nodes=20)
    assert set(counted) == {metric.prometheus_name for metric in semconv.METRICS.values()}
    series: Counter[str] = Counter()
    for point in points.points(4, 20):
        series[point.metric.prometheus_name] += len(list(points.series(point)))
    assert series == counted
    assert counted["hamilton_node_duration_seconds"] == 4 * (20 + 1) * 15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(a[$__rate_interval])", "rate(a[5m])"),
        ("increase(a[${__range}] anchored) / $__range_s", "increase(a[24h] anchored) / 86400"),
        ('a{hamilton_dag_name=~"$dag", job=~"${job:regex}"}', 'a{hamilton_dag_name=~".*", job=~".*"}'),
        ('a{hamilton_dag_name="$dag", job="$job"}', 'a{hamilton_dag_name="dag_000", job=~".*"}'),
        ('a{hamilton_node_name="${__span.tags["x.y"]}"}', 'a{hamilton_node_name="node_000"}'),
        ("a{hamilton_dag_name=~`${dag:regex}`, job=~`${service:regex}`}", 'a{hamilton_dag_name=~".*", job=~".*"}'),
        ("topk($limit, a[$window])", "topk(10, a[5m])"),
    ],
)
def test_variables_become_what_a_reader_sees_who_chose_all(text: str, expected: str) -> None:
    """What is left is an expression that Prometheus takes."""
    assert substituted(text) == expected


def test_a_variable_without_all_has_one_value() -> None:
    """The dashboard of one DAG is not asked for all of them."""
    text = "a{hamilton_dag_name=~`${dag:regex}`, hamilton_node_name=~`${node:regex}`}"
    assert substituted(text, {"dag"}) == 'a{hamilton_dag_name="dag_000", hamilton_node_name=~".*"}'


def test_dashboards_are_found(tmp_path: Path) -> None:
    """Panels in rows too, instant targets and variables; not those of Loki."""
    targets = [{"expr": "a[$__range]"}, {"expr": "b", "instant": True}]
    loki = {"type": "loki", "uid": "loki"}
    dashboard = {
        "title": "DAGs",
        "templating": {
            "list": [
                {"type": "query", "query": {"query": 'label_values(up{job=~"$job", x="1"}, instance)'}},
                {"type": "query", "query": "label_values(line)", "datasource": loki},
            ]
        },
        "panels": [
            {"type": "row", "panels": [{"title": "Runs", "datasource": {"type": "prometheus"}, "targets": targets}]},
            {"title": "Lines", "datasource": loki, "targets": [{"expr": '{job="a"}'}]},
        ],
    }
    (tmp_path / "dags.json").write_text(json.dumps(dashboard))
    assert list(dashboards(tmp_path)) == [
        Expression("panel", "dags.json", "Runs", "a[24h]"),
        Expression("number", "dags.json", "Runs", "b"),
        Expression("variable", "dags.json", "instance", 'up{job=~".*", x="1"}'),
    ]


def test_the_checkout_has_no_expression_that_is_not_asked() -> None:
    """Every rule file and every link of a trace is among what is found."""
    sources = {each.source for each in find(ROOT)}
    assert {path.name for path in (ROOT / "prometheus" / "rules").glob("*.yml")} <= sources
    assert {"datasources.yml", "typical"} <= sources
