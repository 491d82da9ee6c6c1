"""The dashboards: a module each, with the JSON that it makes beside it (``python -m grafana.dashboards``)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from grafana.generator.page import Page

from . import compare, dag, infrastructure, overview, run, runs, slo, telemetry

PAGES: Final[Mapping[str, Page]] = MappingProxyType(
    {module.PAGE.name: module.PAGE for module in (overview, dag, runs, run, compare, infrastructure, telemetry, slo)}
)
