"""Every query of every dashboard answered by the real servers after a load whose numbers are known."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from hamilton_otel import semconv
from hamilton_otel.semconv import Metric

from grafana.dashboards import PAGES
from grafana.dashboards.__main__ import HERE
from grafana.generator.promql import label
from grafana.generator.servers import LABELS, METRICS
from stack import Stack
from stack.build import Cache
from tests.dashboards.grafana import transform, type_errors
from tests.stack.dashboards import ENVIRONMENT, Dashboards, load
from tests.stack.demo_load import BLOCKS, ROWS, RUNS, SLEEPS, WORKERS

pytestmark = pytest.mark.timeout(300)  # the rules look a minute back

#: Queries that rightly find nothing after a load in which all goes well with the telemetry; by dashboard and panel.
EMPTY = {
    ("telemetry", "Dropped, spooled, replayed, rejected", "A"): "nothing was dropped",
    ("telemetry", "Dropped, spooled, replayed, rejected", "B"): "nothing had to wait",
    ("telemetry", "Dropped, spooled, replayed, rejected", "C"): "nothing had to wait",
    ("telemetry", "Dropped, spooled, replayed, rejected", "D"): "nothing was rejected",
    ("telemetry", "Why it was dropped", "A"): "nothing was dropped",
    ("telemetry", "Too many series", "A"): "no metric had too many",
    ("telemetry", "Lines into Loki", "B"): "nothing was discarded",
    ("telemetry", "Notifications", "B"): "every notification was sent",
    **{(name, "Alerts", "Anno"): "no alert fires" for name in PAGES if name not in ("run", "compare")},
}
#: The load is seen by the last of the rules up to three minutes after it, which is more than a test usually gets.
pytestmark = pytest.mark.timeout(330)
ENDED = {
    outcome: sum(runs.get(outcome, 0) for runs in RUNS.values()) for outcome in ("success", "failure", "cancelled")
}
BUCKETS = {metric: (0.0, *(metric.boundaries or ())) for metric in (semconv.RUN_DURATIONS, semconv.NODE_DURATIONS)}


@pytest.fixture(scope="module")
def dashboards(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboards]:
    """The answers to all queries."""
    with load(stack, tmp_path_factory.mktemp("load")) as began:
        yield Dashboards(stack, began)


def of_buckets(metric: Metric, seconds: float) -> tuple[float, float]:
    """The bucket that holds a duration."""
    bounds = BUCKETS[metric]
    upper = next(bound for bound in bounds if bound >= seconds)
    return bounds[bounds.index(upper) - 1], upper


def test_each_query_returns_data(dashboards: Dashboards) -> None:
    """Of each panel, variable and annotation; what is rightly empty is listed with the reason."""
    full: dict[tuple[str, str, str], bool] = {}
    for asked in dashboards.asked:
        key = (asked.query.dashboard.split()[0], asked.query.name, asked.query.ref_id)
        full[key] = full.get(key, False) or not asked.empty
    assert set(EMPTY) <= set(full)
    assert {key for key, has_data in full.items() if not has_data} <= set(EMPTY)


def test_everything_is_asked(dashboards: Dashboards) -> None:
    """No panel, variable or annotation of any dashboard was left out."""
    asked = {(asked.query.dashboard.split()[0], asked.query.name) for asked in dashboards.asked}
    for name in PAGES:
        model = json.loads((HERE / f"{name}.json").read_text())
        panels = [panel for panel in model["panels"] if panel["type"] not in ("row", "text")]
        variables = [each for each in model.get("templating", {}).get("list", []) if each["type"] == "query"]
        titles = [each.get("title") or each["name"] for each in (*panels, *variables, *model["annotations"]["list"])]
        assert {(name, title) for title in titles} <= asked


def test_counts_are_those_of_the_load(dashboards: Dashboards) -> None:
    """Every number of runs, exactly: of all DAGs and of each, from metrics and from log events."""
    decided = ENDED["success"] + ENDED["failure"]
    assert dashboards.number("overview", "Failed runs") == ENDED["failure"]
    assert dashboards.number("overview", "Success rate, 24 h") == pytest.approx(ENDED["success"] / decided)
    assert dashboards.number("overview", "Lost runs") == 1
    assert dashboards.number("overview", "Runs in progress") == 1
    assert dashboards.number("runs", "Succeeded") == ENDED["success"]
    assert dashboards.number("runs", "Failed") == ENDED["failure"]
    assert dashboards.number("runs", "Cancelled") == ENDED["cancelled"]
    assert len(dashboards.of("runs", "Runs").lines) == sum(ENDED.values())
    dags = "hamilton_dag_name"
    ended = {dag: float(sum(runs.values())) for dag, runs in RUNS.items()}
    assert dashboards.by(dags, "overview", "DAGs") == ended
    assert dashboards.by(dags, "overview", "DAGs", "B") == {dag: float(RUNS[dag].get("failure", 0)) for dag in RUNS}
    for dag, runs in RUNS.items():
        assert dashboards.number(f"dag {dag}", "Runs") == ended[dag]
        assert dashboards.number(f"dag {dag}", "Failed") == runs.get("failure", 0)


def test_a_service_in_a_namespace_has_metrics_and_logs(dashboards: Dashboards) -> None:
    """Prometheus and Loki call it by the same name."""
    assert dashboards.number("runs shop", "Succeeded") == ENDED["success"]


def test_a_team_sees_its_own(dashboards: Dashboards) -> None:
    """Its lost run, and nobody else's failures."""
    assert dashboards.number("overview ops", "Lost runs") == 1
    assert dashboards.number("overview ops", "Failed runs") == 0
    assert dashboards.of("overview ops", "Latest failures").empty


@pytest.mark.parametrize("page", ["overview", *(f"dag {dag}" for dag in RUNS), "runs"])
def test_bars_add_up_to_the_runs(dashboards: Dashboards, page: str) -> None:
    """The steps of a chart neither overlap nor leave gaps."""
    shown = {
        labels["hamilton_outcome"]: sum(values) for labels, values in dashboards.of(page, "Runs by outcome").series
    }
    expected = ENDED if page in ("overview", "runs") else RUNS[page.split()[1]]
    assert {outcome: number for outcome, number in shown.items() if number} == expected


def test_nodes_are_counted(dashboards: Dashboards) -> None:
    """Executions, failures and retries of each node, and the nodes of all DAGs."""
    node = "hamilton_node_name"
    executions = dashboards.by(node, "dag orders", "Slowest nodes")
    assert executions["loaded"] == executions["parsed"] == sum(RUNS["orders"].values())
    assert executions["table"] == RUNS["orders"]["success"]
    assert dashboards.by(node, "dag orders", "Slowest nodes", "F")["parsed"] == RUNS["orders"]["failure"]
    assert dashboards.by(node, "dag orders", "By node") == {"parsed": 3}
    assert dashboards.by("error_type", "dag orders", "By exception") == {"ValueError": 2, "ConnectionError": 1}
    assert dashboards.by("hamilton_error_kind", "dag orders", "User or system") == {"user": 2, "system": 1}
    ((labels, values),) = dashboards.of("dag retried", "Retries").series
    assert (labels[node], sum(values)) == ("stubborn", 2)
    shares = dashboards.by(node, "dag orders", "Slowest nodes", "E")
    assert sum(shares.values()) == pytest.approx(1)


def test_data_is_counted(dashboards: Dashboards) -> None:
    """Cache hits, rows, checks, artifacts, and the size of a parallel block."""
    assert dashboards.number("dag cached", "Cache hit ratio") == pytest.approx(4 / 6)
    node = "hamilton_node_name"
    rows_in, rows_out = (dashboards.by(node, "dag orders", "Rows in and out", ref_id) for ref_id in "AB")
    assert (rows_in["parsed"], rows_out["parsed"]) == (4 * ROWS, 4 * ROWS)
    assert rows_out["loaded"] == 7 * ROWS
    assert rows_out["large"] == 4 * ROWS // 2
    assert dashboards.by(node, "dag orders", "Data quality checks") == {"large": 4}
    assert dashboards.by(node, "dag orders", "Data quality checks", "B") == {"large": 4}
    ((_, sizes),) = dashboards.of("dag parallel", "Fan-out").series
    assert {size for size in sizes if size == size} == {BLOCKS}
    saved = [labels for labels, _ in dashboards.of("dag orders", "Artifact sizes").series]
    assert [labels["hamilton_artifact_format"] for labels in saved] == ["csv"]


def test_quantiles_lie_in_the_buckets_of_the_true_values(dashboards: Dashboards) -> None:
    """Of known durations, in a panel, in a table over all DAGs, and in the chart of recorded buckets."""
    low, high = of_buckets(semconv.RUN_DURATIONS, max(SLEEPS))
    assert low <= dashboards.number("dag steady", "p95 duration") <= high
    assert low <= dashboards.by("hamilton_dag_name", "overview", "DAGs", "D")["steady"] <= high
    low, high = of_buckets(semconv.NODE_DURATIONS, max(SLEEPS))
    assert low <= dashboards.by("hamilton_node_name", "dag steady", "Slowest nodes", "D")["waited"] <= high
    low, _ = of_buckets(semconv.RUN_DURATIONS, min(SLEEPS))
    _, high = of_buckets(semconv.RUN_DURATIONS, max(SLEEPS))
    for ref_id in "ABC":
        ((_, values),) = dashboards.of("dag steady", "Run duration", ref_id).series
        known = [value for value in values if value == value]
        assert known
        assert all(low <= value <= high for value in known)


def test_time_adds_up(dashboards: Dashboards) -> None:
    """The mean and the sum of a node's known durations are shown as they were."""
    node = "hamilton_node_name"
    assert dashboards.by(node, "dag steady", "Slowest nodes", "B")["waited"] == pytest.approx(sum(SLEEPS), rel=0.2)
    mean = sum(SLEEPS) / len(SLEEPS)
    assert dashboards.by(node, "dag steady", "Slowest nodes", "C")["waited"] == pytest.approx(mean, rel=0.2)
    assert dashboards.by("hamilton_dag_name", "overview", "Where the time goes")["steady"] >= sum(SLEEPS)
    assert dashboards.by(node, "dag steady", "Against its own last week")["waited"] == pytest.approx(1)


def test_what_runs_is_shown(dashboards: Dashboards) -> None:
    """The run in progress: its age, and its tasks at work; its executor takes no task before it has a slot."""
    assert 0 < dashboards.number("overview", "Oldest run in progress") < 600
    ((_, pending),) = dashboards.of("dag living", "Tasks", "A").series
    ((_, active),) = dashboards.of("dag living", "Tasks", "B").series
    assert (pending[-1], active[-1]) == (0, WORKERS)


def test_objectives_are_held_against_what_happened(dashboards: Dashboards) -> None:
    """Budget and burn rate of the DAG that failed, and of one that did not."""
    dag = "hamilton_dag_name"
    share = RUNS["orders"]["failure"] / sum(RUNS["orders"].values())
    assert dashboards.by(dag, "slo", "Each DAG", "B")["orders"] == pytest.approx(1 - share)
    assert dashboards.by(dag, "slo", "Each DAG", "C")["orders"] == pytest.approx(1 - share / 0.01)
    assert dashboards.by(dag, "slo", "Each DAG", "C")["steady"] == 1
    assert dashboards.by(dag, "slo", "Each DAG", "D")["orders"] == pytest.approx(share / 0.01)
    assert dashboards.number("slo", "DAGs that miss it") == 1
    assert set(dashboards.by(dag, "slo", "Recent violations")) == {"orders"}


def test_a_failed_run_leads_to_its_line_of_code(dashboards: Dashboards) -> None:
    """Its stack trace names file and line, its table the node with what came in, its trace all its nodes."""
    ((_, text),) = dashboards.of("run failure", "Stack trace").lines
    assert re.search(r'File ".*demo_load.py", line \d+, in parsed', text)
    (row,) = transform(*dashboards.panel("run failure", "Failure"))[0].rows()
    assert row["Node"] == "parsed"
    assert row["Error"] in ("ValueError", "ConnectionError")
    assert json.loads(row["Inputs"])["loaded"] == f"pandas.DataFrame [{ROWS} x 2]"
    (trace,) = dashboards.of("run failure", "Trace").data
    assert {"run orders", "node loaded", "node parsed"} == {span["operationName"] for span in trace["spans"]}


def test_the_node_graph_is_the_dag(dashboards: Dashboards) -> None:
    """Nodes with their types, edges between them, and a red ring around the one that failed."""
    nodes, edges = graph(dashboards, "failure")
    assert {node["id"] for node in nodes} >= {"rows", "loaded", "parsed", "large", "table", "saved"}
    assert {node["subtitle"] for node in nodes if node["id"] == "loaded"} == {"DataFrame"}
    assert {"loaded", "parsed"} in [{edge["source"], edge["target"]} for edge in edges]
    assert all(edge["id"] for edge in edges)
    assert [node["id"] for node in nodes if node.get("arc__failed")] == ["parsed"]
    nodes, edges = graph(dashboards, "success")
    assert nodes
    assert edges
    assert not any(node.get("arc__failed") for node in nodes)


def graph(dashboards: Dashboards, run: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the two frames that the panel takes for nodes and for edges."""
    frames = [frame for frame in transform(*dashboards.panel(f"run {run}", "DAG")) if frame.fields]
    with_id = [frame for frame in frames if any(field.name == "id" for field in frame.fields)]
    (edges,) = [frame for frame in with_id if any(field.name == "source" for field in frame.fields)]
    (nodes,) = [frame for frame in with_id if frame is not edges]
    return nodes.rows(), edges.rows()


def test_the_list_of_runs_is_a_table(dashboards: Dashboards) -> None:
    """Each run with its outcome, duration as a number, user, and the ids that links need."""
    (frame,) = transform(*dashboards.panel("runs", "Runs"))
    rows = frame.rows()
    assert len(rows) == sum(ENDED.values())
    assert {row["User"] for row in rows} == {"ada"}
    assert {row["Outcome"] for row in rows} == {"success", "failure", "cancelled"}
    assert all(isinstance(row["Duration"], float) for row in rows)
    assert all(len(row["Run"]) == 36 and len(row["Trace"]) == 32 and row["Version"] and row["Ended"] for row in rows)
    slow = [row["Duration"] for row in rows if row["DAG"] == "steady"]
    assert max(slow) == pytest.approx(max(SLEEPS), rel=0.3)


def test_tables_have_a_row_for_each(dashboards: Dashboards) -> None:
    """What several queries say of a DAG or node stands in one row, under its heading."""
    (frame,) = transform(*dashboards.panel("overview", "DAGs"))
    rows = {row["DAG"]: row for row in frame.rows()}
    assert set(rows) == set(RUNS)
    assert (rows["orders"]["Runs"], rows["orders"]["Failed"]) == (7, 3)
    assert rows["orders"]["Success rate"] == pytest.approx(4 / 7)
    assert 0 < rows["steady"]["Since last success"] < 600
    (frame,) = transform(*dashboards.panel("slo", "Each DAG"))
    assert {"DAG", "Objective", "Success, 30 d", "Budget left", "Burn 1h"} <= {field.name for field in frame.fields}
    (frame,) = transform(*dashboards.panel("dag orders", "Slowest nodes"))
    assert {"Node", "Executions", "Time in sum", "Mean", "p95", "Share", "Failed"} <= {
        field.name for field in frame.fields
    }


def test_two_runs_are_compared(dashboards: Dashboards) -> None:
    """Node by node: durations and their ratio, rows and their ratio, and what their last events say."""
    (frame,) = transform(*dashboards.panel("compare", "Durations"))
    rows = {row["Span"]: row for row in frame.rows()}
    row = rows["node parsed"]
    assert row["Duration A"] > 0
    assert row["B / A"] == pytest.approx(row["Duration B"] / row["Duration A"])
    (frame,) = transform(*dashboards.panel("compare", "Rows"))
    rows = {row["Node"]: row for row in frame.rows()}
    assert (rows["parsed"]["Rows A"], rows["parsed"]["Rows B"], rows["parsed"]["B / A"]) == (ROWS, ROWS, 1)
    (frame,) = transform(*dashboards.panel("compare", "Versions, tags, outcomes"))
    rows = {row["Field"]: row for row in frame.rows()}
    assert rows["hamilton_outcome"] == {"Field": "hamilton_outcome", "A": "success", "B": "success"}
    assert rows["hamilton_run_id"]["A"] != rows["hamilton_run_id"]["B"]


def test_a_run_is_described(dashboards: Dashboards) -> None:
    """Its parameters and tags, a row for each, from its first and its last event."""
    (frame,) = transform(*dashboards.panel("run failure", "Parameters and tags"))
    rows = {row["Field"]: row for row in frame.rows()}
    assert rows["hamilton_run_tags_user"]["hamilton.run.failed"] == "ada"
    assert rows["hamilton_run_tags_user"]["hamilton.run.started"] == "ada"


def test_names_are_of_the_catalogue(dashboards: Dashboards) -> None:
    """Each metric and each label that PromQL asks for is one that we, the rules or the servers make."""
    catalogues = (semconv.METRICS, semconv.PROCESS_METRICS, semconv.HOST_METRICS)
    ours = {metric.prometheus_name: metric for catalogue in catalogues for metric in catalogue.values()}
    everywhere = {"job", "instance", "deployment_environment_name", "le", "host_name", "process_pid", *LABELS}
    known = everywhere | {label(name) for metric in ours.values() for name in metric.attributes}
    for asked in dashboards.asked:
        if asked.query.datasource_type != "prometheus" or asked.query.of == "variable":
            continue
        for node in _nodes(_parsed(dashboards.stack, asked.query.expr)):
            assert set(node.get("grouping") or ()) <= known, asked.query.where
            if node["type"] not in ("vectorSelector", "matrixSelector"):
                continue
            name = node["name"]
            labels = {matcher["name"] for matcher in node["matchers"]} - {"__name__"}
            metric = ours.get(re.sub(r"_(bucket|count|sum)$", "", name)) or ours.get(name)
            if metric is not None:
                assert labels <= everywhere | set(map(label, metric.attributes)), f"{asked.query.where}: {labels}"
            else:
                assert name.startswith("hamilton:") or name in METRICS, f"{asked.query.where}: {name}"
                assert labels <= known | {"alertstate", "severity"}


def _parsed(stack: Stack, expression: str) -> dict[str, Any]:
    response = requests.get(f"{stack.prometheus}/api/v1/parse_query", params={"query": expression}, timeout=10)
    tree: dict[str, Any] = response.json()["data"]
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "type" in tree:
            yield tree
        for child in tree.values():
            yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def test_fields_of_log_events_are_of_the_catalogue(dashboards: Dashboards) -> None:
    """Each field that LogQL asks for is an attribute of ours."""
    known = {label(name) for name in semconv.ATTRIBUTES}
    tags = label(semconv.RUN_TAGS)
    for asked in dashboards.asked:
        if asked.query.datasource_type == "loki":
            text = re.sub(r'"[^"]*"', "", asked.query.expr)
            fields = {name for name in re.findall(r"\bhamilton_\w+", text) if not name.startswith(f"{tags}_")}
            assert fields <= known, asked.query.where


def test_promtool_takes_every_expression(dashboards: Dashboards, tmp_path: Path) -> None:
    """As rules, with the flag that Prometheus itself runs with."""
    asked = [
        asked.query
        for asked in dashboards.asked
        if asked.query.datasource_type == "prometheus" and asked.query.of != "variable"
    ]
    rules = [{"record": f"query:{number}", "expr": query.expr} for number, query in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [str(Cache.default().binary("promtool")), "check", "rules", "--lint=none"]
    feature = "--enable-feature=promql-extended-range-selectors"
    done = subprocess.run([*command, feature, str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_they_have_the_types_of_grafana() -> None:
    """The JSON compiles against Grafana's own types of dashboards and panels."""
    assert type_errors(sorted(HERE.glob("*.json"))) == []


def test_links_keep_what_was_chosen(dashboards: Dashboards) -> None:
    """A link carries the time range, the environment, and what was clicked."""
    (overview,) = [page for page in dashboards.read if page.uid == "overview"]
    links = {link.title: link.url for link in overview.links}
    failed = links["The failed runs"]
    assert failed.startswith("/d/hamilton-runs/runs?")
    assert f"var-environment={ENVIRONMENT}" in failed
    assert "from=" in failed
    assert "var-outcome=failure" in failed
    assert links["Open the DAG"]
