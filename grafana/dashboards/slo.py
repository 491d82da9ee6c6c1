"""SLO: objectives of each DAG, how fast their error budgets are spent, what is left, and where they were missed."""

from hamilton_otel import semconv

from grafana.generator import logql, recording
from grafana.generator.page import (
    Page,
    Row,
    dag,
    dag_of_row,
    environment,
    failed_runs,
    fired_alerts,
    service,
    team,
)
from grafana.generator.panels import BAD, GOOD, SO_SO, Column, merged, over_time, stat
from grafana.generator.promql import ANY_DAG, DAG, ENVIRONMENT, legend
from grafana.generator.queries import now
from grafana.generator.queries import over_time as series

MINUTE = "1m"
BUDGET = ((None, BAD), (0, SO_SO), (0.25, GOOD))
BURN = ((None, GOOD), (1, SO_SO), (6, BAD))
WINDOWS = ("1h", "6h", "1d", "3d")
#: From the multi-window, multi-burn-rate alerts of Google's SRE workbook.
FAST, SLOW = 14.4, 6


def _each(expression: str, how: str = "max") -> str:
    return f"{how} by ({ENVIRONMENT}, {DAG}) ({expression})"


EACH = {DAG: Column("DAG", links={"Open the DAG": dag_of_row("service")}), ENVIRONMENT: Column("Environment")}
TOO_FAST = f"({_each(ANY_DAG(recording.burn('1h')))} > 1)[$__range:1m]"

OBJECTIVES = Row(
    "Objectives",
    [
        stat(
            "DAGs within their objective",
            "DAGs that have error budget left over the last 30 days.",
            "short",
            now(f"count({_each(ANY_DAG(recording.BUDGET_LEFT), 'min')} >= 0) or vector(0)"),
            width=6,
        ),
        stat(
            "DAGs that miss it",
            "DAGs with more failures in the last 30 days than the objective allows.",
            "short",
            now(f"count({_each(ANY_DAG(recording.BUDGET_LEFT), 'min')} < 0) or vector(0)"),
            steps=((None, GOOD), (1, BAD)),
            width=6,
        ),
        stat(
            "Fastest burn, 1 h",
            "How fast the worst DAG spends its budget: 1 spends it in exactly 30 days.",
            "none",
            now(f"max({ANY_DAG(recording.burn('1h'))})"),
            steps=BURN,
            empty="no runs",
            width=6,
            decimals=1,
        ),
        stat(
            "Least budget left",
            "What is left of the failures that the objective allows in 30 days, for the DAG that has least.",
            "percentunit",
            now(f"min({ANY_DAG(recording.BUDGET_LEFT)})"),
            steps=BUDGET,
            empty="no runs",
            width=6,
            decimals=0,
        ),
        merged(
            "Each DAG",
            "Objective, success rate over 30 days, what is left of the budget, and how fast it is being spent.",
            EACH,
            [
                (Column("Objective", "percentunit"), _each(ANY_DAG(recording.OBJECTIVE))),
                (
                    Column("Success, 30 d", "percentunit", decimals=2),
                    f"1 - {_each(ANY_DAG(recording.errors('30d')))}",
                ),
                (
                    Column("Budget left", "percentunit", BUDGET, decimals=0),
                    _each(ANY_DAG(recording.BUDGET_LEFT), "min"),
                ),
                *(
                    (Column(f"Burn {window}", steps=BURN, decimals=1), _each(ANY_DAG(recording.burn(window))))
                    for window in WINDOWS
                ),
            ],
        ),
    ],
)

BURNING = Row(
    "How budgets are spent",
    [
        over_time(
            "Burn rate, 1 h",
            f"The twenty DAGs that burn fastest. Above {FAST} a month's budget is gone in two days.",
            "none",
            series(f"topk(20, max by ({DAG}) ({ANY_DAG(recording.burn('1h'))}))", legend(DAG), interval=MINUTE),
        ),
        over_time(
            "Burn rate, 6 h",
            f"The twenty DAGs that burn fastest. Above {SLOW} a month's budget is gone in five days.",
            "none",
            series(f"topk(20, max by ({DAG}) ({ANY_DAG(recording.burn('6h'))}))", legend(DAG), interval=MINUTE),
        ),
        over_time(
            "Budget left",
            "The twenty DAGs with least; below zero the objective is missed.",
            "percentunit",
            series(f"bottomk(20, min by ({DAG}) ({ANY_DAG(recording.BUDGET_LEFT)}))", legend(DAG), interval=MINUTE),
        ),
        merged(
            "Recent violations",
            "DAGs that spent budget faster than allowed within the time range: for how long, and how fast at worst.",
            EACH,
            [
                (Column("Too fast for", "s"), f"60 * count_over_time({TOO_FAST})"),
                (Column("Fastest burn", steps=BURN, decimals=1), f"max_over_time({TOO_FAST})"),
            ],
            sort="Too fast for",
            width=12,
            height=8,
        ),
    ],
)

STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "slo",
    "SLO",
    "Objectives of each DAG, burn rates, what is left of the error budgets, and recent violations.",
    rows=[OBJECTIVES, BURNING],
    variables=[environment(STARTS), service(STARTS), team(), dag()],
    annotations=[failed_runs(logql.ANY_SERVICE, logql.ANY_TEAM, logql.ANY_DAG), fired_alerts()],
    since="now-7d",
)
