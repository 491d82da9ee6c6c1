import hamilton_otel
from hamilton_otel.testing import CapturedTelemetry

from tests.unit.conftest import driver_of


def value(start: int) -> int:
    return start


def test_run_tags_win_over_the_adapters_and_end_with_their_block(telemetry: CapturedTelemetry) -> None:
    """Tags of the inner block win over the outer one and over the adapter's; after the block they are gone."""
    dr = driver_of(value, adapters=[telemetry.adapter("d", {"team": "ops", "kind": "batch"})])
    with hamilton_otel.run_tags(team="ml", commit="a"), hamilton_otel.run_tags(commit="b"):
        dr.execute(["value"], inputs={"start": 1})
    dr.execute(["value"], inputs={"start": 1})
    tagged, plain = (
        {key: item for key, item in (span.attributes or {}).items() if key.startswith("hamilton.run.tags")}
        for span in telemetry.spans
        if span.name == "run d"
    )
    assert tagged == {
        "hamilton.run.tags.team": "ml",
        "hamilton.run.tags.kind": "batch",
        "hamilton.run.tags.commit": "b",
    }
    assert plain == {"hamilton.run.tags.team": "ops", "hamilton.run.tags.kind": "batch"}
