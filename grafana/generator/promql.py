"""PromQL made of the catalogue's names. Not for panels, nor for what a dashboard asks."""

from dataclasses import dataclass
from typing import Final

from hamilton_otel import semconv
from hamilton_otel.semconv import Metric

RANGE: Final = "$__range"
STEP: Final = "$__interval"
RATE: Final = "$__rate_interval"

ANCHORED: Final = " anchored"
"""Makes increases exact integers; `plain()` takes it out again for servers that do not know it."""


def label(attribute: str) -> str:
    """Return the name that Prometheus and Loki give to *attribute*."""
    return attribute.replace(".", "_")


def chosen(name: str) -> str:
    """Return what Grafana replaces by a pattern, in a string, for the chosen values of the variable *name*.

    Between backquotes, where nothing but a backquote has to be escaped: Grafana escapes no quotation mark, and takes an
    apostrophe for one of the string around it.
    """
    return f"`${{{name}:regex}}`"


JOB: Final = "job"
ENVIRONMENT: Final = "deployment_environment_name"
DAG: Final = label(semconv.DAG_NAME)
TEAM: Final = label(semconv.TEAM)
NODE: Final = label(semconv.NODE_NAME)
OUTCOME: Final = label(semconv.OUTCOME)
ERROR_TYPE: Final = label(semconv.ERROR_TYPE)
ERROR_KIND: Final = label(semconv.ERROR_KIND)

SUCCESS: Final = f'{OUTCOME}="success"'
FAILURE: Final = f'{OUTCOME}="failure"'
DECIDED: Final = f'{OUTCOME}=~"success|failure"'
"""Cancelled runs say nothing of the DAG."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which series a dashboard is about: the matchers that each of its queries begins with."""

    matchers: tuple[str, ...] = ()

    def __call__(self, metric: Metric | str, *matchers: str, suffix: str = "") -> str:
        """Return a selector of *metric* (one of ours, or the name of another or of a recording rule)."""
        name = metric if isinstance(metric, str) else metric.prometheus_name
        within = ", ".join((*self.matchers, *matchers))
        return f"{name}{suffix}{{{within}}}" if within else f"{name}{suffix}"


_PLACE: Final = (f"{JOB}=~{chosen('service')}", f"{ENVIRONMENT}=~{chosen('environment')}")
ANY_DAG: Final = Scope((*_PLACE, f"{TEAM}=~{chosen('team')}", f"{DAG}=~{chosen('dag')}"))
ONE_DAG: Final = Scope((*_PLACE, f"{DAG}=~{chosen('dag')}"))
ANY_SERVICE: Final = Scope(_PLACE)
EVERYTHING: Final = Scope()


def count(series: str, window: str = RANGE) -> str:
    """Return by how much a counter grew in *window*, exactly."""
    return f"increase({series}[{window}]{ANCHORED})"


def rate(series: str, window: str = RATE) -> str:
    """Return how much a counter grows per second."""
    return f"rate({series}[{window}])"


def recorded(series: str, window: str = RANGE) -> str:
    """Return by how much a counter grew in *window*, from what a rule recorded each minute."""
    return f"sum_over_time({series}[{window}])"


def total(expression: str, *by: str) -> str:
    """Return the sum, by labels where they are given."""
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def quantile(q: float, buckets: str, *by: str) -> str:
    """Return the quantile of increases or rates of buckets, nothing where they did not grow (and not NaN)."""
    return f"histogram_quantile({q}, {total(buckets, *by, 'le')}) >= 0"


def ratio(part: str, whole: str) -> str:
    """Return *part* / *whole*, nothing where the whole is zero; an absent part counts as zero."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """Return zero where a sum over everything has nothing to add up."""
    return f"{expression} or vector(0)"


def plain(expression: str) -> str:
    """Return *expression* for servers without extended range selectors: counts become estimates."""
    return expression.replace(f"]{ANCHORED}", "]")


def legend(label: str) -> str:
    """Return what Grafana replaces by the value of *label* in the name of a series."""
    return f"{{{{{label}}}}}"
