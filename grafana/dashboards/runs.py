"""Runs: the list of all runs, from their log events, which are complete where traces are sampled."""

from hamilton_otel import semconv

from grafana.generator import logql
from grafana.generator.page import (
    PLACE,
    Page,
    Row,
    dag,
    environment,
    failed_runs,
    fired_alerts,
    outcome,
    service,
    team,
    text,
)
from grafana.generator.panels import over_time, stat
from grafana.generator.promql import OUTCOME, RANGE, STEP, label, legend
from grafana.generator.queries import log_count, log_counts

from .listing import USER, listing, run_columns, runs_of

TAG = f"{label(semconv.RUN_TAGS)}_${{tag:raw}}=~`${{tag_value:raw}}`"
FILTERS = (
    logql.ANY_TEAM,
    logql.ANY_DAG,
    logql.ANY_OUTCOME,
    f"{USER}=~`${{user:raw}}`",
    TAG,
    f"{logql.RUN}=~`${{run_id:raw}}`",
)
ENDED = logql.lines(logql.ANY_SERVICE, logql.event(*logql.ENDINGS), *FILTERS)


def _number(title: str, event: semconv.Event) -> object:
    query = logql.lines(logql.ANY_SERVICE, logql.event(event), *FILTERS)
    return stat(
        title,
        f"Lines of `{event.name}` within the time range, as far back as Loki keeps them (a week).",
        "short",
        log_count(logql.counted(query, RANGE)),
    )


STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "runs",
    "Runs",
    "Every run that ended, whether or not its trace was sampled.",
    rows=[
        Row(
            "Runs",
            [
                _number("Succeeded", semconv.RUN_COMPLETED),
                _number("Failed", semconv.RUN_FAILED),
                _number("Cancelled", semconv.RUN_CANCELLED),
                over_time(
                    "Runs by outcome",
                    "Runs that ended, by how they ended, from their log events, which Loki keeps for a week.",
                    "short",
                    log_counts(logql.counted(ENDED, STEP, OUTCOME), legend(OUTCOME)),
                    bars=True,
                    stacked=True,
                    height=4,
                ),
                listing(
                    "Runs",
                    "The newest thousand runs that the filters let through. Click a run to see all of it; an outcome "
                    "also offers to compare two runs.",
                    runs_of(logql.ANY_SERVICE, *FILTERS),
                    run_columns(*PLACE, "dag"),
                    height=22,
                ),
            ],
        )
    ],
    variables=[
        environment(STARTS),
        service(STARTS),
        team(),
        dag(),
        outcome(),
        text("user", "User", "Regular expression for the tag `user`.", ".*"),
        text("tag", "Tag", "Name of a tag, with _ for what is no letter or digit.", "user"),
        text("tag_value", "Tag's value", "Regular expression for its value.", ".*"),
        text("run_id", "Run", "Id of a run (hamilton.run.id), or a regular expression for it.", ".*"),
    ],
    annotations=[failed_runs(logql.ANY_SERVICE, logql.ANY_TEAM, logql.ANY_DAG), fired_alerts()],
)
