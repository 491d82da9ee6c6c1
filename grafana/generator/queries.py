"""What a panel asks: one small function per datasource. Not for the text of queries (promql.py, logql.py)."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders.loki import Dataquery as LokiBuilder
from grafana_foundation_sdk.builders.prometheus import Dataquery as PrometheusBuilder
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.loki import LokiQueryDirection
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Query: TypeAlias = Builder[Any]

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI: Final = DataSourceRef(type_val="loki", uid="loki")
JAEGER: Final = DataSourceRef(type_val="jaeger", uid="jaeger")
"""The uids are those of provisioning/datasources."""

REF_IDS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class JaegerQuery(Dataquery):
    """One trace by its id; the SDK has no query of Jaeger."""

    def __init__(self, ref_id: str, trace_id: str) -> None:
        self.ref_id = ref_id
        self.trace_id = trace_id

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's datasource of Jaeger takes."""
        return {"refId": self.ref_id, "datasource": JAEGER, "query": self.trace_id}


class _Built(Builder[JaegerQuery]):
    def __init__(self, trace_id: str) -> None:
        self._query = JaegerQuery("", trace_id)

    def ref_id(self, ref_id: str) -> "_Built":
        self._query.ref_id = ref_id
        return self

    def build(self) -> JaegerQuery:
        return self._query


def over_time(expression: str, legend: str = "", *, exemplars: bool = False, interval: str = "") -> Query:
    """Return a PromQL query whose series are drawn over time; *interval* is the smallest step."""
    query = PrometheusBuilder().datasource(PROMETHEUS).expr(expression).range().legend_format(legend)
    if exemplars:
        query = query.exemplar(True)
    return query.interval(interval) if interval else query


def buckets(expression: str, interval: str = "") -> Query:
    """Return a PromQL query whose label ``le`` a heatmap takes for the rows."""
    query = PrometheusBuilder().datasource(PROMETHEUS).expr(expression).range()
    query = query.format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    return query.interval(interval) if interval else query


def now(expression: str, legend: str = "") -> Query:
    """Return a PromQL query for the values at the end of the time range."""
    return PrometheusBuilder().datasource(PROMETHEUS).expr(expression).instant().legend_format(legend)


def columns(expression: str) -> Query:
    """Return a PromQL query for a table at the end of the time range, a row per series and a column per label."""
    query = PrometheusBuilder().datasource(PROMETHEUS).expr(expression).instant()
    return query.format(PromQueryFormat.TABLE)


def log_lines(expression: str, most: int = 500) -> Query:
    """Return a LogQL query for up to *most* lines, the newest first."""
    query = LokiBuilder().datasource(LOKI).expr(expression).query_type("range")
    return query.max_lines(most).direction(LokiQueryDirection.BACKWARD)


def log_counts(expression: str, legend: str = "") -> Query:
    """Return a LogQL metric query over time."""
    return LokiBuilder().datasource(LOKI).expr(expression).query_type("range").legend_format(legend)


def log_count(expression: str, legend: str = "") -> Query:
    """Return a LogQL metric query at the end of the time range."""
    return LokiBuilder().datasource(LOKI).expr(expression).query_type("instant").legend_format(legend)


def trace(trace_id: str) -> Query:
    """Return the query for one trace."""
    return _Built(trace_id)


def source_of(query: Any) -> DataSourceRef:
    """Return the datasource of a built query."""
    data: Mapping[str, Any] = query.to_json()
    source = data["datasource"]
    assert isinstance(source, DataSourceRef)
    return source
