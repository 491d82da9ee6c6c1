"""Compare runs: two runs side by side, node by node."""

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig
from hamilton_otel import semconv

from grafana.generator import logql
from grafana.generator.page import PLACE, Page, Row, dag, environment, path, service, text
from grafana.generator.panels import BAD, GOOD, SO_SO, Column, table, transformation, without_empty_frames
from grafana.generator.promql import label
from grafana.generator.queries import Query, log_lines, trace

from .listing import listing, run_columns, runs_of

ROWS = label(semconv.RUN_ROWS)
SLOWER = ((None, GOOD), (1.5, SO_SO), (3, BAD))
SIDES = ("A", "B")


def _ratio(title: str) -> DataTransformerConfig:
    """Return the transformation that adds how B compares with A, from two columns of that name."""
    return transformation(
        "calculateField",
        mode="binary",
        alias="B / A",
        binary={"left": f"{title} B", "operator": "/", "right": f"{title} A"},
        replaceFields=False,
    )


def _rows_of(side: str) -> Query:
    return log_lines(
        logql.lines(
            logql.EVERYTHING,
            logql.event(*logql.ENDINGS),
            logql.of_run(f"run_{side.lower()}"),
            f'{ROWS}!=""',
            logql.as_object(ROWS, f'"Node":"Rows {side}"', logql.quoted("$at"), "{{ $item }}"),
        ),
        most=1,
    )


PAIR = Row(
    "The two runs",
    [
        table(
            "Versions, tags, outcomes",
            "What the last events of the two runs say; a column for each.",
            [
                log_lines(
                    logql.lines(
                        logql.EVERYTHING,
                        logql.event(*logql.ENDINGS),
                        f'{logql.RUN}=~"$run_a|$run_b"',
                        f'label_format run=`{{{{ if eq .{logql.RUN} "$run_a" }}}}A{{{{ else }}}}B{{{{ end }}}}`',
                    ),
                    most=2,
                )
            ],
            [],
            transformation("extractFields", source="labels", format="json", replace=True, keepTime=False),
            without_empty_frames(),
            transformation("sortBy", fields={}, sort=[{"field": "run", "desc": False}]),
            transformation("organize", excludeByName={}, indexByName={"run": 0}, renameByName={}),
            transformation("transpose", firstFieldName="Field", restFieldsName="", addNewFields=False),
            height=10,
        ),
        table(
            "Durations",
            "Time of each node (and of the run and its tasks) in both runs, from their traces; several executions of "
            "one node are added up.",
            [trace("$trace_a"), trace("$trace_b")],
            [
                Column("Duration A", "ms"),
                Column("Duration B", "ms"),
                Column("B / A", "none", SLOWER, decimals=2),
            ],
            *(
                transformation(
                    "organize",
                    only=side,
                    excludeByName={},
                    indexByName={},
                    renameByName={"operationName": "Span", "duration": side},
                )
                for side in SIDES
            ),
            *(
                transformation(
                    "groupBy",
                    only=side,
                    fields={
                        "Span": {"aggregations": [], "operation": "groupby"},
                        side: {"aggregations": ["sum"], "operation": "aggregate"},
                    },
                )
                for side in SIDES
            ),
            transformation("joinByField", byField="Span", mode="outer"),
            transformation(
                "organize",
                excludeByName={},
                indexByName={},
                renameByName={f"{side} (sum)": f"Duration {side}" for side in SIDES},
            ),
            _ratio("Duration"),
            sort="Duration B",
            width=14,
            height=12,
        ),
        table(
            "Rows",
            "Rows of the tables that nodes returned, in both runs.",
            [_rows_of(side) for side in SIDES],
            [Column("B / A", "none", ((None, SO_SO), (0.9, GOOD), (1.1, SO_SO)), decimals=2)],
            transformation("extractFields", source="Line", format="json", replace=True, keepTime=False),
            without_empty_frames(),
            transformation("transpose", firstFieldName="Node", restFieldsName="", addNewFields=False),
            transformation("joinByField", byField="Node", mode="outer"),
            transformation(
                "convertFieldType",
                fields={},
                conversions=[{"targetField": f"Rows {side}", "destinationType": "number"} for side in SIDES],
            ),
            _ratio("Rows"),
            width=10,
            height=12,
        ),
    ],
)

CHOICE = Row(
    "Choose",
    [
        listing(
            "Runs",
            "Click the outcome of a run to take it as A or as B.",
            runs_of(logql.ANY_SERVICE, logql.ANY_DAG),
            run_columns(*PLACE, "dag", "run_a", "trace_a", "run_b", "trace_b"),
            height=12,
        )
    ],
)

STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "compare",
    "Compare runs",
    "Two runs side by side: which node became slower, which one returned fewer rows, what was different.",
    rows=[PAIR, CHOICE],
    variables=[
        environment(STARTS),
        service(STARTS),
        dag(),
        text("run_a", "Run A", "Id of the first run."),
        text("trace_a", "Trace A", "Id of its trace.", hidden=True),
        text("run_b", "Run B", "Id of the second run."),
        text("trace_b", "Trace B", "Id of its trace.", hidden=True),
    ],
    links={"All runs": path("runs", *PLACE, "dag")},
)
