import base64
import json
import pickle
from pathlib import Path

import hamilton_otel
import pytest
from hamilton_otel.history import open_store

from tests.unit.conftest import run_python

HEAVY = (
    "asyncio",
    "dask",
    "google.protobuf",
    "grpc",
    "hamilton",
    "numpy",
    "opentelemetry.instrumentation",
    "pandas",
    "polars",
    "portalocker",
    "prometheus_client",
    "pyarrow",
    "ray",
    "requests",
    "rich",
    "ssl",
    "structlog",
    "typer",
    "urllib3",
    "wrapt",
    "yaml",
)
DEFINED_IN = {
    "TelemetryAdapter": "adapter",
    "annotate": "annotations",
    "async_adapters": "async_adapter",
    "record_retry": "annotations",
    "run_tags": "current",
}
LOADED = f"print([name for name in {HEAVY!r} if name in sys.modules])\n"


def test_importing_us_imports_nothing_heavy(tmp_path: Path) -> None:
    """`import hamilton_otel` brings in OpenTelemetry's API and SDK, and no other library."""
    done = run_python(f"import sys, hamilton_otel\n{LOADED}", tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_flushing_and_headers_need_nothing_heavy(tmp_path: Path) -> None:
    """Flushing, trace headers and `dir()` work without what only runs need."""
    code = f"""
import sys, hamilton_otel
with hamilton_otel.propagation.incoming({{}}):
    hamilton_otel.propagation.environment()
assert hamilton_otel.flush()
assert set(hamilton_otel.__all__) <= set(dir(hamilton_otel))
{LOADED}"""
    done = run_python(code, tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", DEFINED_IN)
def test_every_late_name_can_be_the_first(name: str, tmp_path: Path) -> None:
    """Each name that is imported late can be the first; a second look finds the same object."""
    code = f"""
import hamilton_otel
from hamilton_otel import {name}
assert {name} is hamilton_otel.{name} is vars(hamilton_otel)[{name!r}]
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_star_import_brings_every_name(tmp_path: Path) -> None:
    """`from hamilton_otel import *` binds all of `__all__`, as the objects of the modules that define them."""
    code = f"""
from importlib import import_module
from hamilton_otel import *
import hamilton_otel
assert not set(hamilton_otel.__all__) - set(globals())
for name, module in {DEFINED_IN!r}.items():
    assert globals()[name] is getattr(import_module(f"hamilton_otel.{{module}}"), name)
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not ours raises what any module raises; a private module can still be imported."""
    with pytest.raises(AttributeError, match="module 'hamilton_otel' has no attribute 'TelemetryAdaptor'"):
        hamilton_otel.TelemetryAdaptor  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'TelemetryAdaptor'"):
        from hamilton_otel import TelemetryAdaptor  # type: ignore[attr-defined]  # noqa: F401
    assert not hasattr(hamilton_otel, "__wrapped__")
    from hamilton_otel import semconv

    assert semconv.SCOPE


def test_names_can_be_first_asked_for_in_several_threads(tmp_path: Path) -> None:
    """Threads that ask for lazy names at once all get them."""
    code = f"""
import hamilton_otel
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
names = {sorted(DEFINED_IN)!r}
barrier = Barrier(len(names))
def ask(name):
    barrier.wait()
    return getattr(hamilton_otel, name)
with ThreadPoolExecutor(len(names)) as pool:
    assert all(map(callable, pool.map(ask, names)))
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_adapter_is_unpickled_in_a_fresh_process(tmp_path: Path) -> None:
    """A worker process that has not imported us gets an adapter that works there."""
    adapter = hamilton_otel.TelemetryAdapter("prices", tags={"team": "ops"})
    pickled = base64.b64encode(pickle.dumps(adapter)).decode()
    code = """
import base64, json, pickle, sys
assert "hamilton_otel" not in sys.modules
adapter = pickle.loads(base64.b64decode(sys.argv[1]))
again = pickle.loads(pickle.dumps(adapter))
import hamilton_otel
assert type(adapter) is type(again) is hamilton_otel.TelemetryAdapter
print(json.dumps([again.dag_name, again.tags]))
"""
    done = run_python(code, tmp_path, pickled)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == ["prices", {"team": "ops"}]


def test_an_open_run_is_ended_at_exit_though_configure_came_first(tmp_path: Path) -> None:
    """A run whose end is never told is exported as failed, where the adapter was imported after `configure()`."""
    code = """
import hamilton_otel
hamilton_otel.configure()
from hamilton import ad_hoc_utils, driver
from hamilton.lifecycle import GraphExecutionHook

class Breaks(GraphExecutionHook):
    def run_before_graph_execution(self, **_): raise RuntimeError("mine")
    def run_after_graph_execution(self, **_): pass

def number() -> int:
    return 1

module = ad_hoc_utils.create_temporary_module(number)
adapters = (hamilton_otel.TelemetryAdapter("d"), Breaks())
try:
    driver.Builder().with_modules(module).with_adapters(*adapters).build().execute(["number"])
except RuntimeError as error:
    print(error)
"""
    done = run_python(code, tmp_path)
    assert (done.stdout, done.returncode) == ("mine\n", 0)
    assert open_store(tmp_path / ".hamilton-otel").run("latest").outcome == "failure"
