import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hamilton import driver
from hamilton_otel.testing import CapturedTelemetry

from tests.unit import plain_dag
from tests.unit.conftest import ROOT, module_of


def costly(start: int) -> int:
    return start


def later(costly: int) -> int:
    if Path("broken").exists():
        raise ValueError("broken")
    return costly + 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the cache is kept."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def execute(telemetry: CapturedTelemetry) -> Any:
    builder = driver.Builder().with_modules(module_of(costly, later)).with_adapters(telemetry.adapter("cached"))
    return builder.with_cache(path="cache").build().execute(["later"], inputs={"start": 1})


def by_node(telemetry: CapturedTelemetry, metric: str) -> dict[str, float]:
    points = telemetry.points(metric)
    return {
        " ".join(str(value) for key, value in sorted(attributes) if key != "hamilton.dag.name"): count
        for attributes, count in points.items()
    }


def test_hits_misses_and_stores_are_told(telemetry: CapturedTelemetry, project: Path) -> None:
    """The first run misses and stores, the second hits; spans say which."""
    assert execute(telemetry) == {"later": 2}
    assert by_node(telemetry, "hamilton.cache.lookups") == {"miss costly": 1, "miss later": 1}
    assert by_node(telemetry, "hamilton.cache.stores") == {"costly": 1, "later": 1}
    assert execute(telemetry) == {"later": 2}
    assert by_node(telemetry, "hamilton.cache.lookups") == {
        "miss costly": 1, "miss later": 1, "hit costly": 1, "hit later": 1,
    }  # fmt: skip
    assert by_node(telemetry, "hamilton.cache.stores") == {"costly": 1, "later": 1}
    results = [(span.attributes or {}).get("hamilton.cache.result") for span in telemetry.spans]
    assert results == ["miss", "miss", None, "hit", "hit", None]
    assert telemetry.points("hamilton.run.resumes") == {}


def test_a_run_that_reuses_a_failed_ones_nodes_is_resumed(telemetry: CapturedTelemetry, project: Path) -> None:
    """After a failure the next run that finds its stored nodes says so; the run after that is an ordinary one."""
    (project / "broken").touch()
    with pytest.raises(ValueError, match="broken"):
        execute(telemetry)
    (project / "broken").unlink()
    execute(telemetry)
    execute(telemetry)
    runs = [span for span in telemetry.spans if span.name == "run cached"]
    assert [(span.attributes or {}).get("hamilton.run.resumed") for span in runs] == [None, True, None]
    assert sum(telemetry.points("hamilton.run.resumes").values()) == 1
    (event,) = telemetry.events("hamilton.run.resumed")
    assert event.span_id == runs[1].context.span_id


DIES = """
import os
from hamilton import driver
from hamilton_otel.testing import CapturedTelemetry
from tests.unit.test_caching import builder_for

def dies(b: int) -> int:
    os._exit(9)

builder_for(CapturedTelemetry(), dies).build().execute(["dies"], inputs={"start": 1})
"""


def builder_for(telemetry: CapturedTelemetry, *functions: Any) -> driver.Builder:
    """A cached driver over the plain dataflow and more."""
    modules = [plain_dag, module_of(*functions)] if functions else [plain_dag]
    adapter = telemetry.adapter("cached")
    return driver.Builder().with_modules(*modules).with_adapters(adapter).with_cache(path="cache")


def test_a_run_after_a_killed_process_is_resumed(telemetry: CapturedTelemetry, project: Path) -> None:
    """What a process had stored before it died is resumed by another process."""
    done = subprocess.run(
        [sys.executable, "-c", DIES], cwd=project, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=False
    )
    assert done.returncode == 9
    builder_for(telemetry).build().execute(["b"], inputs={"start": 1})
    assert (telemetry.span("run cached").attributes or {})["hamilton.run.resumed"] is True


def test_another_dags_success_leaves_the_failure_to_resume(telemetry: CapturedTelemetry, project: Path) -> None:
    """In a cache that two DAGs share, the success of one does not make the other forget its failure."""
    (project / "broken").touch()
    with pytest.raises(ValueError, match="broken"):
        execute(telemetry)
    (project / "broken").unlink()
    other = driver.Builder().with_modules(plain_dag).with_adapters(telemetry.adapter("other"))
    other.with_cache(path="cache").build().execute(["b"], inputs={"start": 1})
    execute(telemetry)
    assert sum(telemetry.points("hamilton.run.resumes").values()) == 1
