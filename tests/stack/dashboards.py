"""The dashboards' queries put to the real servers after the demo load; no assertions."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
from hamilton_otel import semconv

from grafana.dashboards import PAGES
from grafana.dashboards.__main__ import HERE
from stack import Stack
from tests.dashboards.grafana import Answer, Query, read
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.demo_load import RUNS

ENVIRONMENT = "dashboards"
NAMESPACE = "shops"
#: Everything is asked within this environment, because other tests send as well.
MINE = f'deployment_environment_name="{ENVIRONMENT}"'
ROOT = Path(__file__).parents[2]


@contextmanager
def load(stack: Stack, folder: Path) -> Iterator[float]:
    """Run the demo load and yield the time when it began; one of its runs is in progress until the end."""
    began = time.time()
    living = _process(stack, folder, "living")
    try:
        killed = _process(stack, folder, "killed")
        try:
            _run_to_the_end(stack, folder)
            active = f'hamilton_run_active{{hamilton_dag_name="killed", {MINE}}}'
            eventually(lambda: backends.value(stack, active) == 1)
        finally:
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
        _wait_until_recorded(stack)
        yield began
    finally:
        living.communicate("", timeout=60)


def _environment(stack: Stack, kind: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
        "OTEL_SERVICE_NAME": f"shop {kind}".strip(),
        "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace={NAMESPACE},deployment.environment.name={ENVIRONMENT}",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "HAMILTON_OTEL_EXIT_TIMEOUT": "30",
    }


def _process(stack: Stack, folder: Path, kind: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("demo_load.py")), str(folder), *([kind] if kind else [])]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=_environment(stack, kind), text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def _run_to_the_end(stack: Stack, folder: Path) -> None:
    process = _process(stack, folder, "")
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert json.loads(output.splitlines()[-1]) == RUNS


def _wait_until_recorded(stack: Stack) -> None:
    """Until the rules that look a minute back have seen everything."""
    ended = sum(sum(outcomes.values()) for outcomes in RUNS.values())
    runs = f"sum(sum_over_time(hamilton:runs:increase1m{{{MINE}}}[15m]))"
    eventually(lambda: backends.value(stack, runs) == ended, timeout=150)
    eventually(lambda: backends.value(stack, f"sum(hamilton:lost_runs{{{MINE}}})") == 1, timeout=100)
    too_fast = f"count_over_time((hamilton:error_budget:burn_rate1h{{{MINE}}} > 1)[10m:1m])"
    eventually(lambda: backends.value(stack, too_fast), timeout=150)


@dataclass(frozen=True)
class Asked:
    """A query as Grafana sends it, and what the server said."""

    query: Query
    data: Any

    @property
    def answer(self) -> Answer:
        return Answer(self.query, self.data)

    @cached_property
    def series(self) -> list[tuple[dict[str, str], list[float]]]:
        """Labels and values of each series of numbers."""
        found = [(one["metric"], one.get("values") or [one["value"]]) for one in self.data["result"]]
        return [(labels, [float(value) for _, value in values]) for labels, values in found]

    @property
    def lines(self) -> list[tuple[dict[str, str], str]]:
        """Labels and text of each log line."""
        return [(one["stream"], line) for one in self.data["result"] for _, line in one["values"]]

    @property
    def empty(self) -> bool:
        """Nothing would be drawn."""
        if self.query.datasource_type == "jaeger" or self.query.of == "variable":
            return not self.data
        if self.data.get("resultType") == "streams":
            return not self.lines
        return not any(value == value for _, values in self.series for value in values)


class Dashboards:
    """Every dashboard, with the variables that its readers choose, and the answers to its queries."""

    def __init__(self, stack: Stack, began: float) -> None:
        self.stack = stack
        self.start, self.end = began - 60, time.time()
        self.runs = [labels for labels, _ in backends.logs(stack, _ENDED)]
        chosen = self._choices()
        self.models = [
            {**json.loads((HERE / f"{name}.json").read_text()), "uid": f"{name} {what}".strip()}
            for name, choices in chosen.items()
            for what in choices
        ]
        variables = {
            f"{name} {what}".strip(): values for name, choices in chosen.items() for what, values in choices.items()
        }
        self.read = read(self.models, start_ms=int(self.start * 1000), end_ms=int(self.end * 1000), variables=variables)
        self.asked = [
            Asked(query, self._ask(query)) for page in self.read for query in page.queries if not query.hidden
        ]

    def of(self, dashboard: str, panel: str, ref_id: str = "A") -> Asked:
        """Return what a panel's query was answered; *dashboard* is its name, and what it was asked for."""
        (found,) = [
            asked
            for asked in self.asked
            if (asked.query.dashboard, asked.query.name, asked.query.ref_id) == (dashboard, panel, ref_id)
        ]
        return found

    def number(self, dashboard: str, panel: str) -> float:
        """Return what a panel of one number shows."""
        ((_, values),) = self.of(dashboard, panel).series
        return values[-1]

    def by(self, label: str, dashboard: str, panel: str, ref_id: str = "A") -> dict[str, float]:
        """Return the last value of each series by a label."""
        return {labels[label]: values[-1] for labels, values in self.of(dashboard, panel, ref_id).series}

    def panel(self, dashboard: str, title: str) -> tuple[list[Answer], list[dict[str, Any]]]:
        """Return the answers of a panel's queries, and its transformations."""
        (model,) = [model for model in self.models if model["uid"] == dashboard]
        (panel,) = [panel for panel in model["panels"] if panel["title"] == title and panel["type"] != "row"]
        answers = [
            asked.answer
            for asked in self.asked
            if asked.query.dashboard == dashboard and asked.query.panel_id == panel["id"]
        ]
        return answers, panel.get("transformations", [])

    def run(self, dag: str, outcome: str, number: int = 0) -> dict[str, str]:
        """Return the labels of the last event of a run."""
        return [
            labels
            for labels in self.runs
            if (labels["hamilton_dag_name"], labels["hamilton_outcome"]) == (dag, outcome)
        ][number]

    def _choices(self) -> dict[str, dict[str, Mapping[str, str]]]:
        here = {"environment": ENVIRONMENT}
        choices: dict[str, dict[str, Mapping[str, str]]] = {name: {"": here} for name in PAGES}
        choices["overview"]["ops"] = {**here, "team": "ops"}
        choices["runs"]["shop"] = {**here, "service": f"{NAMESPACE}/shop"}
        choices["dag"] = {dag: {**here, "dag": dag} for dag in [*RUNS, "living"]}
        choices["run"] = {outcome: _as_variables(self.run("orders", outcome)) for outcome in ("failure", "success")}
        a, b = (_as_variables(self.run("orders", "success", number)) for number in (0, 1))
        pair = {"run_a": a["run"], "trace_a": a["trace"], "run_b": b["run"], "trace_b": b["trace"]}
        choices["compare"] = {"": {**here, **pair}}
        return choices

    def _ask(self, query: Query) -> Any:
        assert not query.missing, f"{query.where}: {query.missing} have no value"
        if query.of == "variable":
            return [item for request in query.requests for item in self._get(query, request.path, request.params)]
        if query.datasource_type == "jaeger":
            return self._get(query, f"api/traces/{query.query['query']}", {})
        loki = query.datasource_type == "loki"
        scale = 10**6 if loki else 10**-3
        path = "loki/api/v1" if loki else "api/v1"
        most = {"limit": query.query.get("maxLines", 1000)} if loki else {}
        if query.kind == "instant":
            return self._get(query, f"{path}/query", {"query": query.expr, "time": query.end_ms * scale, **most})
        span = {"start": query.start_ms * scale, "end": query.end_ms * scale, "step": (query.step_ms or 60_000) / 1000}
        return self._get(query, f"{path}/query_range", {"query": query.expr, **span, **most})

    def _get(self, query: Query, path: str, parameters: Mapping[str, Any]) -> Any:
        server = {"prometheus": self.stack.prometheus, "loki": self.stack.loki, "jaeger": self.stack.jaeger}
        url = f"{server[query.datasource_type]}/{path.lstrip('/')}"
        response = requests.get(url, params=parameters, timeout=30)
        assert response.ok, f"{query.where}: {response.text[:500]}\n{query.query}"
        return response.json()["data"]


def _as_variables(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        "run": labels["hamilton_run_id"],
        "trace": labels["trace_id"],
        "dag": labels["hamilton_dag_name"],
        "version": labels["hamilton_dag_version"],
    }


_ENDINGS = "|".join(event.name for event in (semconv.RUN_COMPLETED, semconv.RUN_FAILED, semconv.RUN_CANCELLED))
_ENDED = f'{{{MINE}}} | event_name=~"{_ENDINGS}"'
