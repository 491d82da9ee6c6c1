"""LogQL over the events of the catalogue. Not for panels."""

from typing import Final

from hamilton_otel import semconv
from hamilton_otel.semconv import Event

from .promql import DAG, OUTCOME, chosen, label

SERVICE: Final = "service_name"
ENVIRONMENT: Final = "deployment_environment_name"
EVENT: Final = "event_name"
RUN: Final = label(semconv.RUN_ID)
ENDINGS: Final = (semconv.RUN_COMPLETED, semconv.RUN_FAILED, semconv.RUN_CANCELLED)

ANY_SERVICE: Final = f"{{{SERVICE}=~{chosen('service')}, {ENVIRONMENT}=~{chosen('environment')}}}"
EVERYTHING: Final = f'{{{SERVICE}=~".+"}}'
ONE_DAG: Final = f"{DAG}=~{chosen('dag')}"
ANY_DAG: Final = ONE_DAG
ANY_TEAM: Final = f"{label(semconv.RUN_TAGS)}_team=~{chosen('team')}"
ANY_OUTCOME: Final = f"{OUTCOME}=~{chosen('outcome')}"


def lines(streams: str, *filters: str) -> str:
    """Return the lines of *streams* that pass all filters."""
    return " | ".join((streams, *filters))


def event(*events: Event) -> str:
    """Return the filter for any of *events*."""
    if len(events) == 1:
        return f'{EVENT}="{events[0].name}"'
    return f'{EVENT}=~"{"|".join(one.name for one in events)}"'


def of_run(variable: str) -> str:
    """Return the filter for the run whose id the dashboard's variable holds."""
    # What belongs to no run has no id either, which an empty variable would match.
    return f'{RUN}="${variable}" | {RUN}!=""'


def counted(query: str, window: str, *by: str) -> str:
    """Return how many lines a query finds in each window."""
    lines = f"count_over_time({query} [{window}])"
    return f"sum by ({', '.join(by)}) ({lines})" if by else f"sum({lines})"


def quoted(value: str) -> str:
    """Return the part of a line's template that writes *value* as a string of JSON."""
    return f'{{{{ {value} | printf "%q" }}}}'


def as_object(field: str, first: str, key: str, value: str) -> str:
    """Return the template of a line that is one JSON object: the pair *first*, then one for each item of *field*.

    *field* holds JSON; *key* and *value* are templates in which ``$at`` is an item's index or key and ``$item`` itself.
    """
    items = f"{{{{ range $at, $item := fromJson .{field} }}}},{key}:{value}{{{{ end }}}}"
    return f"line_format `{{{first}{items}}}`"
