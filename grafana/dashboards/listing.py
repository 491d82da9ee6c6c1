"""Tables made of log events: the fields of each line become columns. Shared by the dashboards that list runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hamilton_otel import semconv

from grafana.generator import logql
from grafana.generator.page import PLACE, cell, dag_of_row, path
from grafana.generator.panels import BAD, NONE_IS_GOOD, Column, Panel, table, transformation
from grafana.generator.promql import DAG, ENVIRONMENT, ERROR_TYPE, OUTCOME, label
from grafana.generator.queries import Query, log_lines

TRACE: Final = "trace_id"
USER: Final = label(f"{semconv.RUN_TAGS}.user")
MESSAGE: Final = label(semconv.EXCEPTION_MESSAGE)
TO_RUN: Final = path("run", run=cell("Run"), trace=cell("Trace"), dag=cell("DAG"), version=cell("Version"))

RUN_FIELDS: Final = {
    "Time": "Ended",
    "timestamp": "Ended",
    DAG: "DAG",
    OUTCOME: "Outcome",
    label(semconv.RUN_DURATION): "Duration",
    label(semconv.RUN_NODE_COUNT): "Nodes",
    label(semconv.RUN_FAILED_NODE_COUNT): "Failed nodes",
    ERROR_TYPE: "Error",
    MESSAGE: "Message",
    USER: "User",
    label(semconv.DAG_VERSION): "Version",
    logql.SERVICE: "Service",
    ENVIRONMENT: "Environment",
    logql.RUN: "Run",
    TRACE: "Trace",
}
"""Fields of a run's last event, in order, with their headings; the first two are names of the same."""

NUMBERS: Final = tuple(
    label(name) for name in (semconv.RUN_DURATION, semconv.RUN_NODE_COUNT, semconv.RUN_FAILED_NODE_COUNT)
)


def runs_of(streams: str, *filters: str, most: int = 1000) -> Query:
    """Return the query for the last events of runs, *most* of them, the newest first."""
    return log_lines(logql.lines(streams, logql.event(*logql.ENDINGS), *filters), most=most)


def fields_of_lines(fields: Mapping[str, str], numbers: Sequence[str] = (), only: str = "") -> tuple[Any, ...]:
    """Return the transformations that make a table of log lines: *fields* by name, with their headings, in order."""
    return (
        transformation("extractFields", only=only, source="labels", format="json", replace=True, keepTime=True),
        transformation("filterFieldsByName", only=only, include={"names": list(fields)}),
        transformation(
            "convertFieldType",
            only=only,
            fields={},
            conversions=[{"targetField": name, "destinationType": "number"} for name in numbers],
        ),
        transformation(
            "organize",
            only=only,
            excludeByName={},
            indexByName={name: position for position, name in enumerate(fields)},
            renameByName=dict(fields),
        ),
    )


def run_columns(*variables: str) -> tuple[Column, ...]:
    """Return how the columns of a table of runs look on a dashboard with those *variables*, which links keep."""
    place = [name for name in (*PLACE, "dag") if name in variables]
    other = {side: [name for name in (f"run_{side}", f"trace_{side}") if name in variables] for side in "ab"}
    as_a = path("compare", *place, *other["b"], run_a=cell("Run"), trace_a=cell("Trace"))
    as_b = path("compare", *place, *other["a"], run_b=cell("Run"), trace_b=cell("Trace"))
    to_dag = dag_of_row(*(name for name in place if name == "service"))
    return (
        Column("Ended", "dateTimeAsLocal", width=175),
        Column("DAG", links={"Open the DAG": to_dag}),
        Column("Duration", "s", width=100),
        Column("Nodes", width=80),
        Column("Failed nodes", steps=NONE_IS_GOOD, width=110),
        Column("Error", steps=((None, BAD),)),
        Column("Run", links={"Open the run": TO_RUN}, width=300),
        Column("Trace", width=90),
        Column(
            "Outcome",
            links={"Open the run": TO_RUN, "Compare: take as A": as_a, "Compare: take as B": as_b},
            width=110,
        ),
    )


def listing(title: str, description: str, query: Query, columns: Sequence[Column], *, height: int = 9) -> Panel:
    """Return a table of runs."""
    return table(
        title, description, [query], columns, *fields_of_lines(RUN_FIELDS, NUMBERS), sort="Ended", height=height
    )
