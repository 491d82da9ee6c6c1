"""A dashboard as a whole: its variables, its rows of panels, its annotations, and the links to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.table import Options as TableOptions
from hamilton_otel import semconv

from . import logql, promql
from .panels import Panel
from .queries import LOKI, PROMETHEUS

TAG: Final = "hamilton"
ALL: Final = "$__all"
PREFIX: Final = "hamilton-"

Variable = Any


@dataclass(frozen=True, slots=True)
class Row:
    """A heading with its panels, from left to right; closed ones ask nothing until they are opened."""

    title: str
    panels: Sequence[Panel]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard; ``name`` is the end of its uid and its file's name."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    annotations: Sequence[Any] = ()
    since: str = "now-24h"
    refresh: str = "1m"
    links: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> Dashboard:
        """Return the dashboard, with numbered panels."""
        page = dashboard.Dashboard(self.title).uid(f"{PREFIX}{self.name}").description(self.description)
        page.tags([TAG]).readonly().time(self.since, "now").refresh(self.refresh).timezone("browser")
        page.tooltip(DashboardCursorSync.CROSSHAIR).variables(list(self.variables))
        page.annotations(list(self.annotations)).links([_to_the_others(), *map(_link, self.links.items())])
        for row in self.rows:
            heading = dashboard.Row(row.title).collapsed(row.closed)
            for panel in row.panels if row.closed else ():
                heading.with_panel(panel)
            page.with_row(heading)
            for panel in () if row.closed else row.panels:
                page.with_panel(panel)
        built = page.build()
        for number, panel in enumerate(_panels(built), start=1):
            panel.id_val = number
        return without_footers(built)


def without_footers(built: Dashboard) -> Dashboard:
    """Return the dashboard without the option that the SDK gives to tables and that they no longer have."""
    for panel in _panels(built):
        if isinstance(getattr(panel, "options", None), TableOptions):
            panel.options.footer = None
    return built


def path(name: str, /, *keep: str, **variables: str) -> str:
    """Return the link to another dashboard: with the time range, the variables in *keep*, and *variables* set."""
    chosen = [f"var-{variable}={value}" for variable, value in variables.items()]
    kept = [f"${{{variable}:queryparam}}" for variable in keep]
    return f"/d/{PREFIX}{name}/{name}?" + "&".join(["${__url_time_range}", *kept, *chosen])


def cell(column: str) -> str:
    """Return what a link writes for the value of *column* in the row that was clicked, escaped for an address."""
    return f'${{__data.fields["{column}"]:percentencode}}'


def dag_of_row(*keep: str) -> str:
    """Return the link to the DAG of the row that was clicked, in the environment of that row."""
    return path("dag", *keep, environment=cell("Environment"), dag=cell("DAG"))


PLACE: Final = ("environment", "service")


def environment(metric: str) -> Variable:
    """Return the choice of environments among the series of *metric*."""
    return _choice("environment", "Environment", metric, promql.ENVIRONMENT)


def service(metric: str) -> Variable:
    """Return the choice of services (Prometheus' ``job``)."""
    within = f"{metric}{{{promql.ENVIRONMENT}=~{promql.chosen('environment')}}}"
    # Loki takes no query whose streams could be all there are.
    return _choice("service", "Service", within, promql.JOB, everything=".+")


def host() -> Variable:
    """Return the choice of hosts."""
    cpus = semconv.HOST_METRICS["system.cpu.logical.count"].prometheus_name
    return _choice("host", "Host", cpus, promql.label(semconv.HOST_NAME))


def team() -> Variable:
    """Return the choice of teams."""
    return _choice("team", "Team", promql.ANY_SERVICE(semconv.RUN_STARTS), promql.TEAM)


def dag(*, one: bool = False, within: promql.Scope = promql.ANY_SERVICE) -> Variable:
    """Return the choice of DAGs, or of a single one."""
    return _choice("dag", "DAG", within(semconv.RUN_STARTS), promql.DAG, one=one)


def node() -> Variable:
    """Return the choice of the DAG's nodes."""
    return _choice("node", "Node", promql.ONE_DAG(semconv.NODE_DURATIONS, suffix="_count"), promql.NODE)


def outcome() -> Variable:
    """Return the choice of outcomes."""
    variable = dashboard.CustomVariable("outcome").label("Outcome").values("success,failure,cancelled")
    return variable.multi(True).include_all(True).all_value(".*").current(_ALL)


def text(name: str, title: str, description: str, default: str = "", *, hidden: bool = False) -> Variable:
    """Return a box to write into."""
    variable = dashboard.TextBoxVariable(name).label(title).description(description).default_value(default)
    variable.current(VariableOption(text=default, value=default))
    return variable.hide(VariableHide.HIDE_VARIABLE) if hidden else variable


def failed_runs(streams: str, *filters: str) -> Any:
    """Return the annotation that marks each failed run."""
    query = logql.lines(streams, logql.event(semconv.RUN_FAILED), *filters)
    return _Annotation(
        {
            "name": "Failed runs",
            "datasource": LOKI,
            "enable": True,
            "iconColor": "red",
            "expr": query,
            "titleFormat": f"{promql.legend(promql.DAG)} failed",
            "textFormat": f"{promql.legend(promql.ERROR_TYPE)} in run {promql.legend(logql.RUN)}",
            "tagKeys": promql.DAG,
        }
    )


def fired_alerts() -> Any:
    """Return the annotation that marks when an alert fired."""
    return _Annotation(
        {
            "name": "Alerts",
            "datasource": PROMETHEUS,
            "enable": True,
            "iconColor": "orange",
            "expr": 'ALERTS{alertstate="firing", severity!="none"}',
            "step": "60s",
            "titleFormat": "{{alertname}}",
            "textFormat": f"{promql.legend('severity')} {promql.legend(promql.DAG)}",
            "tagKeys": "severity",
        }
    )


class _Annotated(AnnotationQuery):
    """An annotation query with the fields of its datasource, which the SDK does not know."""

    def __init__(self, data: dict[str, object]) -> None:
        super().__init__()
        self._data = data

    def to_json(self) -> dict[str, object]:
        return self._data


class _Annotation:
    def __init__(self, data: dict[str, object]) -> None:
        self._built = _Annotated(data)

    def build(self) -> AnnotationQuery:
        return self._built


_ALL: Final = VariableOption(text="All", value=ALL)


def _choice(name: str, title: str, series: str, label: str, *, one: bool = False, everything: str = ".*") -> Variable:
    variable = dashboard.QueryVariable(name).label(title).datasource(PROMETHEUS)
    query = {"query": f"label_values({series}, {label})", "refId": "PrometheusVariableQueryEditor-VariableQuery"}
    variable.query({**query, "qryType": 1}).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.sort(VariableSort.ALPHABETICAL_ASC)
    return variable if one else variable.multi(True).include_all(True).all_value(everything).current(_ALL)


def _to_the_others() -> Any:
    link = dashboard.DashboardLink("Hamilton").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True)


def _link(named: tuple[str, str]) -> Any:
    title, url = named
    # The address has the time range and the variables already (path()); Grafana would add them once more.
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url)


def _panels(built: Dashboard) -> list[Any]:
    found: list[Any] = []
    for panel in built.panels or []:
        found.append(panel)
        found.extend(getattr(panel, "panels", None) or [])
    return found
