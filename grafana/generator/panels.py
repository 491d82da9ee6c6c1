"""Panels as the dashboards use them: each with a title, a description and a unit. Not for what they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, nodegraph
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import logs as logs_builder
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    LogsSortOrder,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    MatcherConfig,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from .queries import REF_IDS, Query, columns, source_of

Panel = Any
"""A panel's builder; the SDK has one class for each kind, with no type in common."""

Steps = Sequence[tuple[float | None, str]]
P = TypeVar("P")

GOOD, BAD, SO_SO, NEUTRAL = "green", "red", "orange", "blue"
NONE_IS_GOOD: Final[Steps] = ((None, GOOD), (1, BAD))
MANY_ARE_GOOD: Final[Steps] = ((None, BAD), (0.95, SO_SO), (0.99, GOOD))
PLAIN: Final[Steps] = ((None, NEUTRAL),)
COLOURS: Final[Mapping[str, str]] = {
    "success": GOOD,
    "failure": BAD,
    "cancelled": SO_SO,
    "hit": GOOD,
    "miss": SO_SO,
    "pass": GOOD,
    "fail": BAD,
    "user": SO_SO,
    "system": "purple",
}
MIXED: Final = DataSourceRef(type_val="datasource", uid="-- Mixed --")


@dataclass(frozen=True, slots=True)
class Column:
    """How a table shows one field: its heading, unit, colours and where a click on it leads."""

    name: str
    unit: str = ""
    steps: Steps = ()
    links: Mapping[str, str] = field(default_factory=dict)
    width: int = 0
    decimals: int | None = None
    bar: bool = False

    def properties(self) -> list[DynamicConfigValue]:
        """Return the overrides for that field."""
        found = [("unit", self.unit)] if self.unit else []
        chosen: list[tuple[str, Any]] = [*found]
        if self.width:
            chosen.append(("custom.width", self.width))
        if self.decimals is not None:
            chosen.append(("decimals", self.decimals))
        if self.bar:
            chosen.append(("custom.cellOptions", {"type": "gauge", "mode": "basic"}))
        if self.steps:
            chosen.append(("thresholds", {"mode": "absolute", "steps": _plain(self.steps)}))
            if not self.bar:
                chosen.append(("custom.cellOptions", {"type": "color-text"}))
        if self.links:
            chosen.append(("links", [{"title": title, "url": url} for title, url in self.links.items()]))
        return [DynamicConfigValue(name, value) for name, value in chosen]


def stat(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = PLAIN,
    links: Mapping[str, str] | None = None,
    width: int = 4,
    height: int = 4,
    empty: str = "none",
    decimals: int | None = None,
) -> Panel:
    """Return a panel of one large number for each query."""
    panel = _measured(stats.Panel(), title, description, unit, queries, steps, links, (width, height))
    panel.no_value(empty).graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel if decimals is None else panel.decimals(decimals)


def over_time(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    bars: bool = False,
    stacked: bool = False,
    steps: Steps = (),
    links: Mapping[str, str] | None = None,
    width: int = 12,
    height: int = 8,
    most: float | None = None,
    points: int | None = None,
) -> Panel:
    """Return a panel of series over time; *most* is the upper end of the axis, *points* what it asks at most."""
    panel = _measured(series.Panel(), title, description, unit, queries, steps, links, (width, height))
    panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    panel.min(0).line_width(1).span_nulls(False).show_points(VisibilityMode.AUTO)
    panel.fill_opacity(80 if bars else 15 if stacked else 5)
    panel.draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    _paint(panel)
    if points is not None:
        panel.max_data_points(points)
    return panel if most is None else panel.max(most)


def heatmap(title: str, description: str, unit: str, query: Query, *, width: int = 12, height: int = 8) -> Panel:
    """Return a panel of a histogram over time; *unit* is that of its boundaries."""
    panel = _dressed(heatmaps.Panel(), title, description, [query], (width, height))
    panel.calculate(False).y_axis(heatmaps.YAxisConfig().unit(unit)).cell_gap(1).show_legend()
    panel.color(heatmaps.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64).exponent(0.5))
    panel.scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
    return panel.unit("short")


def ranking(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    steps: Steps = PLAIN,
    links: Mapping[str, str] | None = None,
    width: int = 8,
    height: int = 8,
) -> Panel:
    """Return a panel of bars, one for each series, the longest first."""
    panel = _measured(bargauge.Panel(), title, description, unit, [query], steps, links, (width, height))
    panel.orientation(VizOrientation.HORIZONTAL).min(0).no_value("none")
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return panel.with_transformation(transformation("sortBy", fields={}, sort=[{"field": "Value", "desc": True}]))


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    looks: Sequence[Column],
    *transformations: DataTransformerConfig,
    width: int = 24,
    height: int = 9,
    sort: str = "",
    unit: str = "none",
) -> Panel:
    """Return a table; *looks* say how its fields look, *transformations* how they come to be."""
    panel = _dressed(tables.Panel(), title, description, queries, (width, height)).unit(unit)
    panel.transformations(list(transformations)).filterable(True)
    for column in looks:
        panel.override_by_name(column.name, column.properties())
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    return panel


def merged(
    title: str,
    description: str,
    rows: Mapping[str, Column],
    shown: Sequence[tuple[Column, str]],
    *,
    sort: str = "",
    width: int = 24,
    height: int = 9,
) -> Panel:
    """Return a table with a row for each set of the labels *rows*, a column for each PromQL expression in *shown*."""
    values = {f"Value #{ref_id}": column for ref_id, (column, _) in zip(REF_IDS, shown, strict=False)}
    looks = [column for column in (*rows.values(), *values.values()) if column.properties()]
    return table(
        title,
        description,
        [columns(expression) for _, expression in shown],
        looks,
        transformation("merge"),
        transformation(
            "organize",
            excludeByName={"Time": True},
            indexByName={name: position for position, name in enumerate(rows)},
            renameByName={name: column.name for name, column in {**rows, **values}.items()},
        ),
        sort=sort,
        width=width,
        height=height,
    )


def logs(title: str, description: str, query: Query, *, width: int = 24, height: int = 9) -> Panel:
    """Return a panel of log lines, the newest first."""
    panel = _dressed(logs_builder.Panel(), title, description, [query], (width, height)).unit("none")
    return (
        panel.show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(LogsSortOrder.DESCENDING)
        .show_labels(False)
    )


def node_graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *transformations: DataTransformerConfig,
    width: int = 24,
    height: int = 14,
) -> Panel:
    """Return a graph of nodes and edges."""
    panel = _dressed(nodegraph.Panel(), title, description, queries, (width, height)).unit("none")
    return panel.transformations(list(transformations))


def gantt(title: str, description: str, query: Query, *, width: int = 24, height: int = 14) -> Panel:
    """Return a trace as bars on a time line."""
    return _dressed(dashboard.Panel().type("traces"), title, description, [query], (width, height)).unit("none")


def transformation(kind: str, *, only: str = "", **options: Any) -> DataTransformerConfig:
    """Return a transformation of the frames of the query *only*, else of all."""
    matcher = MatcherConfig("byRefId", only) if only else None
    return DataTransformerConfig(id_val=kind, filter_val=matcher, options=options)


def without_empty_frames() -> DataTransformerConfig:
    """Return the transformation that leaves out answers without fields, on which Grafana's `transpose` fails."""
    return transformation("filterFieldsByName", include={"pattern": ".*"})


def _measured(
    panel: P,
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    steps: Steps,
    links: Mapping[str, str] | None,
    size: tuple[int, int],
) -> Any:
    dressed = _dressed(panel, title, description, queries, size).unit(unit)
    if steps:
        dressed.thresholds(
            dashboard.ThresholdsConfig()
            .mode(ThresholdsMode.ABSOLUTE)
            .steps([Threshold(value, colour) for value, colour in steps])
        )
        dressed.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    if links:
        dressed.data_links([dashboard.DashboardLink(name).url(url) for name, url in links.items()])
    return dressed


def _dressed(panel: Any, title: str, description: str, queries: Sequence[Query], size: tuple[int, int]) -> Any:
    panel.title(title).description(description).span(size[0]).height(size[1])
    named = [query.ref_id(ref_id) for query, ref_id in zip(queries, REF_IDS, strict=False)]  # type: ignore[attr-defined]
    sources = {source.uid: source for source in (source_of(query.build()) for query in named)}
    if named:
        panel.targets(named).datasource(*sources.values() if len(sources) == 1 else [MIXED])
    return panel


def _paint(panel: Any) -> None:
    for name, colour in COLOURS.items():
        panel.override_by_name(name, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])


def _plain(steps: Steps) -> list[dict[str, object]]:
    return [{"value": value, "color": colour} for value, colour in steps]
