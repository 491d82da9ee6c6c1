"""DAG: one DAG's runs, its nodes and what is slow or breaks among them, its data, tasks, resources and logs."""

from hamilton_otel import semconv

from grafana.generator import logql, recording
from grafana.generator.page import (
    PLACE,
    Page,
    Row,
    cell,
    dag,
    environment,
    failed_runs,
    fired_alerts,
    node,
    outcome,
    path,
    service,
)
from grafana.generator.panels import (
    BAD,
    GOOD,
    MANY_ARE_GOOD,
    NONE_IS_GOOD,
    SO_SO,
    Column,
    heatmap,
    logs,
    merged,
    over_time,
    ranking,
    stat,
)
from grafana.generator.promql import (
    ANY_SERVICE,
    DECIDED,
    ENVIRONMENT,
    ERROR_KIND,
    ERROR_TYPE,
    FAILURE,
    JOB,
    NODE,
    ONE_DAG,
    OUTCOME,
    STEP,
    SUCCESS,
    chosen,
    count,
    label,
    legend,
    or_zero,
    quantile,
    rate,
    ratio,
    recorded,
    total,
)
from grafana.generator.queries import buckets, log_lines, now
from grafana.generator.queries import over_time as series

from .listing import listing, run_columns, runs_of

MINUTE = "1m"
WEEK = "7d"
NODES = f"{NODE}=~{chosen('node')}"
ENDED = f"{OUTCOME}=~{chosen('outcome')}"
HOST, PID = label(semconv.HOST_NAME), label(semconv.PROCESS_PID)
TASK = label(semconv.TASK_NAME)
CACHE_RESULT = label(semconv.CACHE_RESULT)
DIRECTION = label(semconv.ROWS_DIRECTION)
FORMAT = label(semconv.ARTIFACT_FORMAT)
OPERATION = label(semconv.ARTIFACT_OPERATION)
CHECK = label(semconv.CHECK)
CHECK_RESULT = label(semconv.CHECK_RESULT)
ROWS_IN, ROWS_OUT = f'{DIRECTION}="in"', f'{DIRECTION}="out"'
HIT = f'{CACHE_RESULT}="hit"'
FAILED_CHECK = f'{CHECK_RESULT}="fail"'
QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def _runs(*matchers: str, window: str = "$__range") -> str:
    return count(ONE_DAG(semconv.RUN_DURATIONS, *matchers, suffix="_count"), window)


def _nodes(*matchers: str, suffix: str, window: str = "$__range") -> str:
    return count(ONE_DAG(semconv.NODE_DURATIONS, NODES, *matchers, suffix=suffix), window)


def _of_processes(name: str) -> str:
    """Return a metric of the processes of those services that have started runs of the DAG."""
    services = f"group by ({JOB}, {ENVIRONMENT}) ({ONE_DAG(semconv.RUN_STARTS)})"
    return f"{ANY_SERVICE(semconv.PROCESS_METRICS[name])} and on ({JOB}, {ENVIRONMENT}) {services}"


def _mean(window: str) -> str:
    def grown(name: str) -> str:
        return total(recorded(ONE_DAG(name, NODES), window), NODE)

    return f"({grown(recording.NODE_SUM)} / ({grown(recording.NODE_COUNT)} > 0))"


EXECUTIONS = total(_nodes(ENDED, suffix="_count"), NODE)
TIME = total(_nodes(ENDED, suffix="_sum"), NODE)
CHECKED = total(count(ONE_DAG(semconv.CHECKS, NODES)), NODE, CHECK)

RUNS = Row(
    "Runs",
    [
        stat(
            "Runs",
            "Runs that ended within the time range.",
            "short",
            now(or_zero(total(_runs()))),
            links={"The runs": path("runs", *PLACE, "dag")},
        ),
        stat(
            "Failed",
            "Runs that ended with an exception.",
            "short",
            now(or_zero(total(_runs(FAILURE)))),
            steps=NONE_IS_GOOD,
            links={"The failed runs": path("runs", *PLACE, "dag", outcome="failure")},
        ),
        stat(
            "Success rate",
            "Share of the runs, cancelled ones left out, that succeeded.",
            "percentunit",
            now(ratio(total(_runs(SUCCESS)), total(_runs(DECIDED)))),
            steps=MANY_ARE_GOOD,
            empty="no runs",
            decimals=1,
        ),
        stat(
            "p95 duration",
            "Nineteen of twenty successful runs took no longer.",
            "s",
            now(quantile(0.95, count(ONE_DAG(semconv.RUN_DURATIONS, SUCCESS, suffix="_bucket")))),
            empty="no runs",
        ),
        stat(
            "Since last success",
            "Time since a run of this DAG last succeeded.",
            "s",
            now(f"time() - max({ONE_DAG(recording.LAST_SUCCESS)})"),
            empty="never",
        ),
        stat(
            "In progress",
            "Runs that living processes report.",
            "short",
            now(or_zero(total(ONE_DAG(semconv.RUN_ACTIVE)))),
        ),
        over_time(
            "Runs by outcome",
            "Runs that ended, by how they ended.",
            "short",
            series(total(_runs(window=STEP), OUTCOME), legend(OUTCOME), interval=MINUTE),
            bars=True,
            stacked=True,
            width=8,
        ),
        over_time(
            "Run duration",
            "Quantiles over successful runs; each point is an example whose trace opens with a click.",
            "s",
            *(
                series(
                    quantile(q, rate(ONE_DAG(semconv.RUN_DURATIONS, SUCCESS, suffix="_bucket"))),
                    name,
                    exemplars=True,
                    interval=MINUTE,
                )
                for q, name in QUANTILES
            ),
            width=8,
        ),
        heatmap(
            "Run durations",
            "How many runs took how long.",
            "s",
            buckets(total(count(ONE_DAG(semconv.RUN_DURATIONS, ENDED, suffix="_bucket"), STEP), "le"), interval=MINUTE),
            width=8,
        ),
        listing(
            "Latest runs",
            "The last runs of this DAG from their log events. Click a run to see all of it.",
            runs_of(logql.ANY_SERVICE, logql.ONE_DAG, logql.ANY_OUTCOME),
            run_columns(*PLACE, "dag"),
        ),
    ],
)

NODE_PANELS = Row(
    "Nodes",
    [
        heatmap(
            "Node durations",
            "How many nodes took how long.",
            "s",
            buckets(total(_nodes(ENDED, suffix="_bucket", window=STEP), "le"), interval=MINUTE),
            width=8,
        ),
        over_time(
            "Node duration",
            "Quantiles over the chosen nodes; each point is an example whose trace opens with a click.",
            "s",
            *(
                series(
                    quantile(q, rate(ONE_DAG(semconv.NODE_DURATIONS, NODES, ENDED, suffix="_bucket"))),
                    name,
                    exemplars=True,
                    interval=MINUTE,
                )
                for q, name in QUANTILES
            ),
            width=8,
        ),
        ranking(
            "Against its own last week",
            "Mean duration of each node within the time range, as a multiple of its mean over the last seven days; "
            "the ten that have become slowest.",
            "none",
            now(f"topk(10, {_mean('$__range')} / {_mean(WEEK)})", legend(NODE)),
            steps=((None, GOOD), (1.5, SO_SO), (3, BAD)),
        ),
        merged(
            "Slowest nodes",
            "Each node within the time range, by the time that all its executions took. A failure counts as an "
            "execution.",
            {NODE: Column("Node", links={"Only this node": path("dag", *PLACE, "dag", node=cell("Node"))})},
            [
                (Column("Executions"), EXECUTIONS),
                (Column("Time in sum", "s"), TIME),
                (Column("Mean", "s"), f"{TIME} / ({EXECUTIONS} > 0)"),
                (Column("p95", "s"), quantile(0.95, _nodes(ENDED, suffix="_bucket"), NODE)),
                (
                    Column("Share", "percentunit", ((None, "blue"),), bar=True),
                    f"{TIME} / ignoring({NODE}) group_left() ({total(_nodes(ENDED, suffix='_sum'))} > 0)",
                ),
                (
                    Column("Failed", steps=NONE_IS_GOOD),
                    f"{total(_nodes(FAILURE, suffix='_count'), NODE)} or 0 * {total(_nodes(suffix='_count'), NODE)}",
                ),
            ],
            sort="Time in sum",
        ),
    ],
)

FAILURES = Row(
    "Failures",
    [
        ranking(
            "By node",
            "Nodes that raised.",
            "short",
            now(f"topk(10, {total(count(ONE_DAG(semconv.NODE_FAILURES, NODES)), NODE)} > 0)", legend(NODE)),
            steps=((None, BAD),),
        ),
        ranking(
            "By exception",
            "Exceptions that ended runs.",
            "short",
            now(f"topk(10, {total(count(ONE_DAG(semconv.RUN_FAILURES)), ERROR_TYPE)} > 0)", legend(ERROR_TYPE)),
            steps=((None, BAD),),
        ),
        ranking(
            "User or system",
            "system: memory, network, broken workers, for whoever runs the machines; user: everything else, for "
            "whoever wrote the DAG or brought the data.",
            "short",
            now(f"{total(count(ONE_DAG(semconv.RUN_FAILURES)), ERROR_KIND)} > 0", legend(ERROR_KIND)),
            steps=((None, BAD),),
        ),
        over_time(
            "Retries",
            "Retries inside nodes, as their code told them.",
            "short",
            series(total(count(ONE_DAG(semconv.NODE_RETRIES, NODES), STEP), NODE), legend(NODE), interval=MINUTE),
            bars=True,
            stacked=True,
            width=8,
        ),
        logs(
            "Failing nodes",
            "A line for each node that raised: its details hold the exception, the types and shapes of its inputs, "
            "and the trace.",
            log_lines(logql.lines(logql.ANY_SERVICE, logql.event(semconv.NODE_FAILED), logql.ONE_DAG)),
            width=16,
            height=8,
        ),
    ],
)

DATA = Row(
    "Data and cache",
    [
        stat(
            "Cache hit ratio",
            "Share of the nodes looked for in Hamilton's cache that were there.",
            "percentunit",
            now(
                ratio(
                    total(count(ONE_DAG(semconv.CACHE_LOOKUPS, NODES, HIT))),
                    total(count(ONE_DAG(semconv.CACHE_LOOKUPS, NODES))),
                )
            ),
            empty="no cache",
            decimals=1,
            height=8,
        ),
        over_time(
            "Cache lookups",
            "Nodes looked for in the cache.",
            "short",
            series(
                total(count(ONE_DAG(semconv.CACHE_LOOKUPS, NODES), STEP), CACHE_RESULT),
                legend(CACHE_RESULT),
                interval=MINUTE,
            ),
            bars=True,
            stacked=True,
            width=8,
        ),
        over_time(
            "Rows out of each node",
            "Rows of the tables that nodes returned.",
            "short",
            series(
                f"topk(20, {total(count(ONE_DAG(semconv.ROWS, NODES, ROWS_OUT), STEP), NODE)})",
                legend(NODE),
                interval=MINUTE,
            ),
            width=12,
        ),
        merged(
            "Rows in and out",
            "Rows of the tables that nodes were given and returned within the time range.",
            {NODE: Column("Node")},
            [
                (Column(heading), total(count(ONE_DAG(semconv.ROWS, NODES, direction)), NODE))
                for heading, direction in (("Rows in", ROWS_IN), ("Rows out", ROWS_OUT))
            ],
            sort="Rows out",
            width=8,
        ),
        merged(
            "Data quality checks",
            "Results of Hamilton's checks (@check_output).",
            {NODE: Column("Node"), CHECK: Column("Check")},
            [
                (Column("Checked"), CHECKED),
                (
                    Column("Failed", steps=NONE_IS_GOOD),
                    f"{total(count(ONE_DAG(semconv.CHECKS, NODES, FAILED_CHECK)), NODE, CHECK)} or 0 * {CHECKED}",
                ),
            ],
            sort="Failed",
            width=8,
        ),
        over_time(
            "Fan-out",
            "Mean number of tasks of a parallel block, by the node that opened it.",
            "short",
            series(
                f"{total(count(ONE_DAG(semconv.FANOUT_SIZES, NODES, suffix='_sum'), STEP), NODE)} / "
                f"({total(count(ONE_DAG(semconv.FANOUT_SIZES, NODES, suffix='_count'), STEP), NODE)} > 0)",
                legend(NODE),
                interval=MINUTE,
            ),
            width=8,
            height=9,
        ),
        over_time(
            "Artifact sizes",
            "Mean size of what data savers wrote and loaders read.",
            "bytes",
            series(
                f"{total(count(ONE_DAG(semconv.ARTIFACT_SIZES, NODES, suffix='_sum'), STEP), NODE, FORMAT)} / "
                f"({total(count(ONE_DAG(semconv.ARTIFACT_SIZES, NODES, suffix='_count'), STEP), NODE, FORMAT)} > 0)",
                f"{legend(NODE)} {legend(FORMAT)}",
                interval=MINUTE,
            ),
        ),
        over_time(
            "Artifact operations",
            "95th percentile of the time that saving and loading took.",
            "s",
            series(
                quantile(0.95, rate(ONE_DAG(semconv.ARTIFACT_DURATIONS, NODES, suffix="_bucket")), OPERATION, NODE),
                f"{legend(OPERATION)} {legend(NODE)}",
                interval=MINUTE,
            ),
        ),
    ],
)

TASKS = Row(
    "Tasks (parallel blocks)",
    [
        over_time(
            "Tasks",
            "Tasks that wait and tasks that are being executed.",
            "short",
            series(total(ONE_DAG(semconv.TASK_PENDING)), "pending"),
            series(total(ONE_DAG(semconv.TASK_ACTIVE)), "active"),
            width=8,
        ),
        over_time(
            "Task duration",
            "95th percentile.",
            "s",
            series(
                quantile(0.95, rate(ONE_DAG(semconv.TASK_DURATIONS, ENDED, suffix="_bucket")), TASK),
                legend(TASK),
                interval=MINUTE,
            ),
            width=8,
        ),
        over_time(
            "Wait before a task starts",
            "95th percentile; long waits say that the executor has too few slots.",
            "s",
            series(
                quantile(0.95, rate(ONE_DAG(semconv.TASK_WAITS, suffix="_bucket")), TASK),
                legend(TASK),
                interval=MINUTE,
            ),
            width=8,
        ),
    ],
)

RESOURCES = Row(
    "Resources",
    [
        over_time(
            title,
            f"{what} of the processes of the services that run this DAG; other DAGs of theirs are in it.",
            unit,
            series(f"topk(20, {of_service})", f"{legend(JOB)} {legend(HOST)}:{legend(PID)}"),
            width=8,
        )
        for title, what, unit, of_service in (
            ("CPU", "Part of all CPUs of the host in use", "percentunit", _of_processes("process.cpu.utilization")),
            ("Memory", "Physical memory", "bytes", _of_processes("process.memory.usage")),
            ("Threads", "Threads", "short", _of_processes("process.thread.count")),
        )
    ],
)

LOGS = Row(
    "Logs",
    [
        logs(
            "Logs",
            "Lines of this DAG's runs and nodes, of the user's code too.",
            log_lines(logql.lines(logql.ANY_SERVICE, logql.ONE_DAG)),
            height=12,
        )
    ],
)

STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "dag",
    "DAG",
    "One DAG: its runs, what is slow or breaks among its nodes, its data, and its logs.",
    rows=[RUNS, NODE_PANELS, FAILURES, DATA, TASKS, RESOURCES, LOGS],
    variables=[environment(STARTS), service(STARTS), dag(one=True), node(), outcome()],
    annotations=[failed_runs(logql.ANY_SERVICE, logql.ONE_DAG), fired_alerts()],
)
