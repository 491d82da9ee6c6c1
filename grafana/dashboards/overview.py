"""Overview: what runs, what failed, what is late, over all DAGs."""

from hamilton_otel import semconv

from grafana.generator import logql, recording
from grafana.generator.page import (
    PLACE,
    Page,
    Row,
    dag,
    dag_of_row,
    environment,
    failed_runs,
    fired_alerts,
    path,
    service,
    team,
)
from grafana.generator.panels import (
    BAD,
    GOOD,
    MANY_ARE_GOOD,
    NONE_IS_GOOD,
    SO_SO,
    Column,
    logs,
    merged,
    over_time,
    ranking,
    stat,
)
from grafana.generator.promql import (
    ANY_DAG,
    DAG,
    DECIDED,
    ENVIRONMENT,
    FAILURE,
    OUTCOME,
    STEP,
    SUCCESS,
    count,
    legend,
    or_zero,
    quantile,
    ratio,
    recorded,
    total,
)
from grafana.generator.queries import log_lines, now
from grafana.generator.queries import over_time as series

HOUR = 3600
MINUTE = "1m"
#: Each point is a sum over the buckets of all DAGs.
FEW = 120
FINISHED = "_count"
TO_DAG = path("dag", *PLACE, dag="${__field.labels.hamilton_dag_name:percentencode}")


def _finished(*matchers: str, window: str = "$__range") -> str:
    return count(ANY_DAG(semconv.RUN_DURATIONS, *matchers, suffix=FINISHED), window)


def _each(expression: str) -> str:
    return total(expression, ENVIRONMENT, DAG)


def _duration(q: float) -> str:
    return quantile(q, recorded(ANY_DAG(recording.RUN_BUCKETS), STEP))


NOW = Row(
    "Now",
    [
        stat(
            "Runs in progress",
            "Runs that living processes report; a run appears with the first heartbeat of its process.",
            "short",
            now(or_zero(total(ANY_DAG(semconv.RUN_ACTIVE)))),
        ),
        stat(
            "Failed runs",
            "Runs that ended with an exception within the time range. Click for the list.",
            "short",
            now(or_zero(total(_finished(FAILURE)))),
            steps=NONE_IS_GOOD,
            links={"The failed runs": path("runs", *PLACE, "team", "dag", outcome="failure")},
        ),
        stat(
            "Success rate, 24 h",
            "Share of the runs of the last 24 hours, cancelled ones left out, that succeeded.",
            "percentunit",
            now(ratio(total(_finished(SUCCESS, window="24h")), total(_finished(DECIDED, window="24h")))),
            steps=MANY_ARE_GOOD,
            empty="no runs",
            decimals=1,
        ),
        stat(
            "Lost runs",
            "Runs that died without a word (killed, out of memory, host gone), at least; "
            "the most that were missing at any one time within the time range.",
            "short",
            now(or_zero(total(f"max_over_time({ANY_DAG(recording.LOST_RUNS)}[$__range])"))),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Oldest run in progress",
            "For how long the oldest run has been in progress.",
            "s",
            now(f"time() - min({ANY_DAG(semconv.RUN_OLDEST_START)})"),
            steps=((None, GOOD), (HOUR, SO_SO), (6 * HOUR, BAD)),
            empty="no run",
        ),
        stat(
            "Error budget left, worst DAG",
            "What is left of the failures that the objectives allow in 30 days, for the DAG that has least; "
            "below zero the objective is missed.",
            "percentunit",
            now(f"min({ANY_DAG(recording.BUDGET_LEFT)})"),
            steps=((None, BAD), (0, SO_SO), (0.25, GOOD)),
            links={"Objectives": path("slo", *PLACE, "team", "dag")},
            empty="no runs",
        ),
    ],
)

RUNS = Row(
    "Runs",
    [
        over_time(
            "Runs by outcome",
            "Runs that ended, by how they ended.",
            "short",
            series(total(_finished(window=STEP), OUTCOME), legend(OUTCOME), interval=MINUTE),
            bars=True,
            stacked=True,
            width=8,
        ),
        over_time(
            "Run duration",
            "Quantiles of the duration of successful runs; failed ones would make it look short.",
            "s",
            *(series(_duration(q), name, interval=MINUTE) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))),
            width=8,
            points=FEW,
        ),
        over_time(
            "Nodes a minute",
            "Executed nodes, by how they ended.",
            "short",
            series(
                f"{total(recorded(ANY_DAG(recording.NODES), STEP), OUTCOME)} / ($__interval_ms / 60000)",
                legend(OUTCOME),
                interval=MINUTE,
            ),
            stacked=True,
            width=8,
        ),
    ],
)

DAGS = Row(
    "DAGs",
    [
        merged(
            "DAGs",
            "Each DAG within the time range, those with most failures first. Click a name for its dashboard.",
            {DAG: Column("DAG", links={"Open the DAG": dag_of_row("service")}), ENVIRONMENT: Column("Environment")},
            [
                (Column("Runs"), _each(_finished())),
                (
                    Column("Failed", steps=NONE_IS_GOOD),
                    f"{_each(_finished(FAILURE))} or 0 * {_each(_finished())}",
                ),
                (
                    Column("Success rate", "percentunit", MANY_ARE_GOOD, decimals=1),
                    ratio(_each(_finished(SUCCESS)), _each(_finished(DECIDED))),
                ),
                (
                    Column("p95 duration", "s"),
                    quantile(0.95, recorded(ANY_DAG(recording.RUN_BUCKETS)), ENVIRONMENT, DAG),
                ),
                (
                    Column("Since last success", "s"),
                    f"time() - max by ({ENVIRONMENT}, {DAG}) ({ANY_DAG(recording.LAST_SUCCESS)})",
                ),
                (
                    Column("Budget left", "percentunit", ((None, BAD), (0, SO_SO), (0.25, GOOD)), decimals=0),
                    f"min by ({ENVIRONMENT}, {DAG}) ({ANY_DAG(recording.BUDGET_LEFT)})",
                ),
            ],
            sort="Failed",
            width=16,
            height=11,
        ),
        ranking(
            "Where the time goes",
            "The ten DAGs whose runs took most time in sum within the time range.",
            "s",
            now(f"topk(10, {total(count(ANY_DAG(semconv.RUN_DURATIONS, suffix='_sum')), DAG)})", legend(DAG)),
            links={"Open the DAG": TO_DAG},
            height=11,
        ),
        over_time(
            "Time since the last success",
            "The twenty DAGs that have gone longest without a successful run.",
            "s",
            series(
                f"topk(20, time() - max by ({DAG}) ({ANY_DAG(recording.LAST_SUCCESS)}))",
                legend(DAG),
                interval=MINUTE,
            ),
            links={"Open the DAG": TO_DAG},
        ),
        logs(
            "Latest failures",
            "One line for each failed run; its details hold the run, the error and the trace.",
            log_lines(
                logql.lines(logql.ANY_SERVICE, logql.event(semconv.RUN_FAILED), logql.ANY_TEAM, logql.ANY_DAG), most=100
            ),
            width=12,
            height=8,
        ),
    ],
)

STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "overview",
    "Overview",
    "What runs, what failed, what is late: every DAG at a glance.",
    rows=[NOW, RUNS, DAGS],
    variables=[environment(STARTS), service(STARTS), team(), dag()],
    annotations=[failed_runs(logql.ANY_SERVICE, logql.ANY_TEAM, logql.ANY_DAG), fired_alerts()],
    refresh="30s",
)
