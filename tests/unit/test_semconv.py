import pytest
from hamilton_otel import semconv
from hamilton_otel.testing import CapturedTelemetry
from opentelemetry.util.types import AttributeValue

from docs import render
from tests.unit.conftest import driver_of
from tests.unit.test_adapter import ALL


def test_the_readme_lists_every_name() -> None:
    """The README's tables are what `make docs` writes from `semconv.py`."""
    text = render.README.read_text()
    assert render.readme_with_tables(text) == text


def known(name: str) -> bool:
    """Tell whether an attribute is in the catalogue, as itself or below a prefix."""
    prefixes = (f"{semconv.RUN_TAGS}.", f"{semconv.NODE_TAGS}.")
    return name in semconv.ATTRIBUTES or name.startswith(prefixes)


def test_every_name_that_is_emitted_is_in_the_catalogue(telemetry: CapturedTelemetry) -> None:
    """Spans, metrics, events and attributes of a success and a failure are all declared."""
    dr = driver_of(*ALL, adapters=[telemetry.adapter("sums", {"team": "ops"})])
    dr.execute(["total"], inputs={"start": 1})
    with pytest.raises(ValueError, match="cannot use"):
        dr.execute(["broken"], inputs={"start": 1})
    names: set[str] = set()
    carriers: list[dict[str, AttributeValue]] = [dict(span.attributes or {}) for span in telemetry.spans]
    carriers += [dict(event.attributes or {}) for span in telemetry.spans for event in span.events]
    carriers += [dict(record.attributes or {}) for record in telemetry.logs]
    for carrier in carriers:
        names |= set(carrier)
    assert {name for name in names if not known(name)} == set()
    assert {record.event_name for record in telemetry.logs} <= set(semconv.EVENTS)
    for metric in semconv.METRICS.values():
        for point in telemetry.points(metric.name):
            assert {name for name, _ in point} <= set(metric.attributes)


def test_names_follow_the_conventions() -> None:
    """Names are dotted lower case; counters have no `total`; Prometheus' names carry unit and suffix."""
    for name in (
        *semconv.METRICS,
        *semconv.PROCESS_METRICS,
        *semconv.HOST_METRICS,
        *semconv.EVENTS,
        *semconv.ATTRIBUTES,
    ):
        assert name == name.lower()
        assert "total" not in name
    assert semconv.RUN_STARTS.prometheus_name == "hamilton_run_starts_total"
    assert semconv.RUN_DURATIONS.prometheus_name == "hamilton_run_duration_seconds"
    assert semconv.RUN_ACTIVE.prometheus_name == "hamilton_run_active"
    assert semconv.PROCESS_CPU_UTILIZATION.prometheus_name == "process_cpu_utilization_ratio"
