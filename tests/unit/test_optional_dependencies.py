from importlib.metadata import requires
from pathlib import Path

from hamilton_otel.history import open_store

from tests.unit.conftest import run_python
from tests.unit.test_providers import PIPELINE

OPTIONAL = ("dask", "distributed", "fastapi", "narwhals", "ray", "rich", "stamina", "tenacity", "typer")

BLOCKED = f"""
import sys
for name in {(*OPTIONAL, "opentelemetry.propagators.b3")!r}:
    sys.modules[name] = None
"""

INCOMING = """
with hamilton_otel.propagation.incoming({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}):
    run()
"""


def test_nothing_optional_is_needed(tmp_path: Path) -> None:
    """Without any of the optional libraries a run is recorded, incoming headers included."""
    done = run_python(BLOCKED + PIPELINE + "hamilton_otel.configure()" + INCOMING, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = open_store(tmp_path / ".hamilton-otel").run("latest")
    assert run.trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_the_base_install_asks_for_none_of_them() -> None:
    """What is optional is required by extras alone."""
    base = [line.split(";")[0] for line in requires("hamilton-otel") or () if "extra ==" not in line]
    assert not [line for line in base if line.startswith((*OPTIONAL, "opentelemetry-propagator-b3"))]


def test_importing_us_imports_none_of_them(tmp_path: Path) -> None:
    """`import hamilton_otel` brings in no optional library that Hamilton and structlog have not brought in already."""
    code = f"""
import sys, hamilton.driver, structlog
before = set(sys.modules)
import hamilton_otel
print([name for name in {OPTIONAL!r} if name in sys.modules and name not in before])
"""
    assert run_python(code, tmp_path).stdout == "[]\n"
