"""Run: one run by its id, reached by links: its trace, its DAG, its failure, its parameters and its log lines."""

from hamilton_otel import semconv

from grafana.generator import logql
from grafana.generator.page import Page, Row, path, text
from grafana.generator.panels import BAD, Column, gantt, logs, node_graph, table, transformation, without_empty_frames
from grafana.generator.promql import ERROR_TYPE, NODE, label
from grafana.generator.queries import Query, log_lines, trace

from .listing import MESSAGE, fields_of_lines, listing, run_columns, runs_of

EDGES = label(semconv.DAG_EDGES)
NODES = label(semconv.DAG_NODES)
STACKTRACE = label(semconv.EXCEPTION_STACKTRACE)
OF_RUN = logql.of_run("run")

FAILURE_FIELDS = {
    NODE: "Node",
    ERROR_TYPE: "Error",
    MESSAGE: "Message",
    label(semconv.ERROR_KIND): "Kind",
    label(semconv.NODE_INPUTS): "Inputs",
    label(semconv.NODE_DURATION): "Failed after",
}


def _definition(heading: str, attribute: str, value: str) -> Query:
    """Return the query for one column of the DAG's nodes or edges: an object with a key for each row."""
    return log_lines(
        logql.lines(
            logql.EVERYTHING,
            logql.event(semconv.DAG_DEFINED),
            logql.ONE_DAG,
            f'{label(semconv.DAG_VERSION)}="$version"',
            logql.as_object(attribute, f'"row":"{heading}"', '"n{{ $at }}"', logql.quoted(value)),
        ),
        most=1,
    )


def _failed_nodes() -> Query:
    line = f'{{"id":{logql.quoted("." + NODE)},"arc__failed":1}}'
    return log_lines(
        logql.lines(logql.EVERYTHING, logql.event(semconv.NODE_FAILED), OF_RUN, f"line_format `{line}`"), most=100
    )


GRAPH = node_graph(
    "DAG",
    "The DAG's nodes and edges as this version defined them; nodes that failed in this run have a red ring. Of "
    "a DAG of hundreds of nodes the first that fit into 48,000 characters. Empty where no process that defined this "
    "version has started within the time range.",
    [
        _definition("id", NODES, "$item.name"),
        _definition("title", NODES, "$item.name"),
        _definition("subtitle", NODES, "$item.type"),
        _definition("source", EDGES, "index $item 0"),
        _definition("target", EDGES, "index $item 1"),
        _failed_nodes(),
    ],
    transformation("extractFields", source="Line", format="json", replace=True, keepTime=False),
    without_empty_frames(),
    transformation("transpose", only="/^[A-E]$/", firstFieldName="row", restFieldsName="", addNewFields=False),
    transformation("joinByField", only="/^transpose-[A-C]$/", byField="row", mode="outer"),
    transformation("joinByField", only="/^transpose-[DE]$/", byField="row", mode="outer"),
    transformation("organize", only="/transpose-D/", excludeByName={}, indexByName={}, renameByName={"row": "id"}),
    transformation("organize", only="/transpose-A/", excludeByName={"row": True}, indexByName={}, renameByName={}),
    transformation("joinByField", only="/transpose-A|^F$/", byField="id", mode="outer"),
)

RUN = Row(
    "Run",
    [
        listing(
            "Run",
            "How the run ended; empty while it is in progress.",
            runs_of(logql.EVERYTHING, OF_RUN, most=1),
            run_columns(),
            height=4,
        ),
        table(
            "Failure",
            "The nodes that raised, with what came in: types and shapes, values only where the capture policy allows.",
            [log_lines(logql.lines(logql.EVERYTHING, logql.event(semconv.NODE_FAILED), OF_RUN), most=100)],
            [Column("Error", steps=((None, BAD),)), Column("Failed after", "s")],
            *fields_of_lines(FAILURE_FIELDS, [label(semconv.NODE_DURATION)]),
            height=5,
        ),
        logs(
            "Stack trace",
            "Where it failed: the last lines name the file and the line of code.",
            log_lines(
                logql.lines(
                    logql.EVERYTHING,
                    logql.event(semconv.NODE_FAILED),
                    OF_RUN,
                    f"line_format `{{{{ .{STACKTRACE} }}}}`",
                ),
                most=10,
            ),
            height=8,
        ),
        gantt(
            "Trace",
            "Every node of the run on a time line. Empty where the trace was not sampled.",
            trace("$trace"),
        ),
    ],
)

DEFINITION = Row("DAG", [GRAPH])

DETAILS = Row(
    "Parameters, tags and logs",
    [
        table(
            "Parameters and tags",
            "What the run's first and last events say of it.",
            [
                log_lines(
                    logql.lines(logql.EVERYTHING, logql.event(semconv.RUN_STARTED, *logql.ENDINGS), OF_RUN),
                    most=10,
                )
            ],
            [],
            transformation("extractFields", source="labels", format="json", replace=True, keepTime=False),
            without_empty_frames(),
            transformation("organize", excludeByName={}, indexByName={logql.EVENT: 0}, renameByName={}),
            transformation("transpose", firstFieldName="Field", restFieldsName="", addNewFields=False),
            width=10,
            height=16,
        ),
        logs(
            "Logs",
            "Every line of the run, the user's code's too, as they come in.",
            log_lines(logql.lines(logql.EVERYTHING, OF_RUN), most=2000),
            width=14,
            height=16,
        ),
    ],
)

PAGE = Page(
    "run",
    "Run",
    "One run: what happened, where the time went, what failed and with which inputs.",
    rows=[RUN, DEFINITION, DETAILS],
    variables=[
        # Links set all four: whoever wrote another run's id into a box would see its logs beside the trace of this one.
        text("run", "Run", "Id of the run (hamilton.run.id).", hidden=True),
        text("trace", "Trace", "Id of its trace.", hidden=True),
        text("dag", "DAG", "Name of its DAG.", hidden=True),
        text("version", "Version", "Version of its DAG.", hidden=True),
    ],
    links={
        "The DAG": path("dag", dag="${dag:percentencode}"),
        "All runs": path("runs"),
    },
    refresh="10s",
)
