"""How whole processes deliver, with a receiver that does what the test wants."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.conftest import run_python
from tests.unit.delivery.receiver import receiving

PIPELINE = """
import logging, sys, time
from hamilton import ad_hoc_utils, driver
import hamilton_otel

def first(start: int) -> int:
    logging.getLogger("user").warning("a line of the user's")
    return start

def second(first: int) -> int:
    return first + 1

def run(name="d", start=1):
    module = ad_hoc_utils.create_temporary_module(first, second)
    adapter = hamilton_otel.TelemetryAdapter(name)
    dr = driver.Builder().with_modules(module).with_adapters(adapter).build()
    return dr.execute(["second"], inputs={"start": start})
"""
ONE_RUN = PIPELINE + "hamilton_otel.configure(); print(run())"
NODES = ["node first", "node second", "run d"]


def spool_files(directory: Path) -> list[Path]:
    return sorted((directory / "spool").glob("*/*.jsonl"))


def spooled_spans(directory: Path) -> list[str]:
    return [
        span["name"]
        for file in spool_files(directory)
        if file.name.startswith("traces-")
        for line in file.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool of the test's own."""
    monkeypatch.setenv("HAMILTON_OTEL_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


def exit_overhead(stderr: str) -> float:
    """Return what the process said of the time its end took."""
    found = re.search(r"took (\d+\.\d+)", stderr)
    assert found, stderr
    return float(found.group(1))


TIMED = """
import atexit, os, time
def end():
    os.write(2, f"took {time.monotonic() - began:.3f}\\n".encode())
atexit.register(end)  # registered before ours, so it runs after it
"""


@pytest.mark.parametrize("fails", ["refuses", "hangs", "answers slowly", "unavailable"])
def test_the_end_of_a_process_is_bounded_and_loses_nothing(fails: str, tmp_path: Path, spool: Path) -> None:
    """Whatever the receiver does, the process ends within its exit budget, and what it could not send is spooled."""
    release = threading.Event()
    answers = {
        "refuses": lambda path: 200,
        "hangs": lambda path: 200 + release.wait(60) * 0,
        "answers slowly": lambda path: 200 + release.wait(4) * 0,
        "unavailable": lambda path: 503,
    }
    with receiving(answers[fails]) as receiver:
        endpoint = "http://127.0.0.1:9" if fails == "refuses" else receiver.url
        code = TIMED + PIPELINE + "hamilton_otel.configure()\nfor _ in range(300): run()\nbegan = time.monotonic()"
        done = run_python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        release.set()
    assert done.returncode == 0, done.stderr
    assert exit_overhead(done.stderr) < 3.0
    assert len([line for line in done.stderr.splitlines() if "cannot be delivered" in line]) == 1, done.stderr
    assert len(spooled_spans(tmp_path)) + len(receiver.spans()) >= 900


def test_the_next_process_delivers_what_was_spooled(tmp_path: Path, spool: Path) -> None:
    """Short processes that met nobody are delivered by the next one that reaches the receiver, and counted."""
    with receiving() as receiver:
        pass
    endpoint, port = receiver.url, int(receiver.url.rpartition(":")[2])
    for _ in range(3):
        assert run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).stdout == "{'second': 2}\n"
    assert sorted(spooled_spans(tmp_path)) == sorted(NODES * 3)
    with receiving(port=port) as receiver:
        assert run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).returncode == 0
    assert sorted(receiver.spans()) == sorted(NODES * 4)
    assert receiver.bodies().count("a line of the user's") == 4
    assert receiver.total("hamilton.run.starts") == receiver.total("hamilton.run.duration") == 4
    assert receiver.total("hamilton.node.duration") == 8
    assert spool_files(tmp_path) == []


def test_a_process_that_goes_on_delivers_when_the_receiver_comes_back(tmp_path: Path, spool: Path) -> None:
    """What a living process has spooled it delivers itself, and says how much in its metrics."""
    up = threading.Event()
    with receiving(lambda path: 200 if up.is_set() else 503) as receiver:
        code = PIPELINE + (
            "hamilton_otel.configure(); run(); print(hamilton_otel.flush(0.1), flush=True)\n"
            "sys.stdin.readline()\n"
            "deadline = time.monotonic() + 30\n"
            "while any(p.stat().st_size for p in __import__('pathlib').Path(sys.argv[1]).glob('*/*.jsonl')):\n"
            "    run(); time.sleep(0.2); hamilton_otel.flush(1)\n"
            "    if time.monotonic() > deadline:\n"
            "        ways = hamilton_otel.providers._installed.ways\n"
            "        sys.exit(str([vars(o) | vars(o.watch) for o in ways._outlets()] + [vars(ways.replay)]))\n"
        )
        (tmp_path / "script.py").write_text(code)
        process = subprocess.Popen(
            [sys.executable, "script.py", str(spool)],
            cwd=tmp_path,
            env={
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n"
        wait_for(lambda: len(spool_files(tmp_path)) == 3)
        up.set()
        _, stderr = process.communicate("go\n", timeout=90)
        assert process.returncode == 0, stderr
    runs = receiver.spans().count("run d")
    assert receiver.total("hamilton.run.starts") == receiver.total("hamilton.run.duration") == runs > 1
    assert receiver.total("hamilton.telemetry.replayed") > 0
    assert spool_files(tmp_path) == []


def test_what_is_refused_for_good_is_set_aside(tmp_path: Path, spool: Path) -> None:
    """A batch that gets a 400 is kept beside its reason and never sent again; the rest goes on."""
    with receiving(lambda path: 400 if path == "/v1/traces" else 200) as receiver:
        for _ in range(2):
            assert run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).returncode == 0
    assert spool_files(tmp_path) == []
    assert len(list(spool.glob("*/rejected/traces-*.jsonl"))) == 2
    assert all(reason.read_text().startswith("400") for reason in spool.glob("*/rejected/*.reason.txt"))
    assert len(receiver.bodies()) == 2 * 4
    assert receiver.asked.count("/v1/traces") == 2


def test_a_spooled_line_that_is_refused_for_good_is_set_aside(tmp_path: Path, spool: Path) -> None:
    """Replay neither stops at such a line nor tries it again."""
    with receiving() as receiver:
        pass
    endpoint, port = receiver.url, int(receiver.url.rpartition(":")[2])
    assert run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).returncode == 0
    with receiving(lambda path: 400 if path == "/v1/traces" else 200, port=port) as receiver:
        assert run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).returncode == 0
    assert spool_files(tmp_path) == []
    assert len(list(spool.glob("*/rejected/traces-*.jsonl"))) == 2
    assert receiver.total("hamilton.run.starts") == 2


def test_a_refused_token_keeps_everything(tmp_path: Path, spool: Path) -> None:
    """A 401 is a fault of the settings: the sentence names the header, and nothing is set aside or lost."""
    with receiving(lambda path: 401) as receiver:
        done = run_python(ONE_RUN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.stdout == "{'second': 2}\n"
    assert "OTEL_EXPORTER_OTLP_HEADERS" in done.stderr
    assert sorted(spooled_spans(tmp_path)) == NODES
    assert not list(spool.glob("*/rejected"))


def test_replay_sends_what_live_export_would_have_sent(tmp_path: Path, spool: Path) -> None:
    """Ids, times, attributes, links and status of replayed spans and log records are those of the exported ones."""
    code = PIPELINE + (
        "from opentelemetry.sdk.trace.id_generator import RandomIdGenerator\n"
        "hamilton_otel.configure(local_store='store'); run()"
    )
    with receiving() as receiver:
        pass
    endpoint, port = receiver.url, int(receiver.url.rpartition(":")[2])
    assert run_python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).returncode == 0
    for signal_name in ("traces", "logs"):
        (stored,) = (tmp_path / "store" / signal_name).glob("*.jsonl")
        (kept,) = (file for file in spool_files(tmp_path) if file.name.startswith(signal_name))
        stored_records = [json.dumps(r, sort_keys=True) for r in records(stored)]
        assert sorted(stored_records) == sorted(json.dumps(r, sort_keys=True) for r in records(kept))
    with receiving(port=port) as receiver:
        done = subprocess.run(
            [sys.executable, "-m", "hamilton_otel.cli", "replay"],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert sorted(receiver.spans()) == NODES
    assert spool_files(tmp_path) == []


def records(file: Path) -> list[dict[str, object]]:
    """Return the spans or log records of a file of OTLP JSON lines."""
    return [
        record
        for line in file.read_text().splitlines()
        for resource in next(iter(json.loads(line).values()))
        for scope in resource.get("scopeSpans", resource.get("scopeLogs"))
        for record in scope.get("spans", scope.get("logRecords"))
    ]


def test_a_burst_is_delivered_whole(tmp_path: Path, spool: Path) -> None:
    """50,000 spans and as many log lines as fast as one process can make them: none is lost."""
    code = PIPELINE + (
        "from opentelemetry import trace\n"
        "hamilton_otel.configure()\n"
        "tracer = trace.get_tracer('user')\n"
        "for i in range(50_000): tracer.start_span('burst').end()\n"
    )
    with receiving() as receiver:
        done = run_python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.returncode == 0, done.stderr
    assert receiver.spans().count("burst") + spooled_spans(tmp_path).count("burst") == 50_000


@pytest.mark.parametrize("state", ["up", "refuses", "hangs"])
def test_sigterm_ends_a_process_as_ever_and_loses_nothing(state: str, tmp_path: Path, spool: Path) -> None:
    """A terminated process dies of SIGTERM within the exit budget; its open run is told as cancelled or lost."""
    release = threading.Event()
    with receiving(lambda path: 200 if state == "up" else 200 + release.wait(60) * 0) as receiver:
        code = PIPELINE + (
            "def second(first: int) -> int:\n"
            "    print('waiting', flush=True)\n"
            "    time.sleep(60)\n"
            "hamilton_otel.configure(); run()"
        )
        (tmp_path / "script.py").write_text(code)
        endpoint = "http://127.0.0.1:9" if state == "refuses" else receiver.url
        process = subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert time.monotonic() - began < 3.5
        process.stdout.close()
        release.set()
    found = receiver.spans() if state == "up" else spooled_spans(tmp_path)
    assert set(found) == set(NODES)


def test_the_applications_own_handler_of_sigterm_stays(tmp_path: Path) -> None:
    """What the application does at SIGTERM is left alone, set before or after `configure()`."""
    code = """
import os, signal, sys
import hamilton_otel
def mine(number, frame): print("mine", flush=True)
if sys.argv[1] == "before": signal.signal(signal.SIGTERM, mine)
hamilton_otel.configure()
if sys.argv[1] == "after": signal.signal(signal.SIGTERM, mine)
os.kill(os.getpid(), signal.SIGTERM)
print("goes on")
"""
    for moment in ("before", "after"):
        done = run_python(code, tmp_path, moment)
        assert (done.returncode, done.stdout) == (0, "mine\ngoes on\n"), done.stderr


def test_pools_end_their_forked_workers_as_fast_as_ever(tmp_path: Path) -> None:
    """A forked child has the default action for SIGTERM again."""
    code = """
import multiprocessing, signal, time
import hamilton_otel
hamilton_otel.configure(endpoint="http://127.0.0.1:9")
context = multiprocessing.get_context("fork")
def work(number): return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
with context.Pool(2) as pool:
    assert all(pool.map(work, range(4)))
    began = time.monotonic()
assert time.monotonic() - began < 5
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_forked_worker_spools_before_its_pool_kills_it(tmp_path: Path, spool: Path) -> None:
    """With the receiver down, what a worker process has recorded is on disk when its task returns."""
    code = PIPELINE + (
        "import os\n"
        "hamilton_otel.configure(endpoint='http://127.0.0.1:9'); run()\n"
        "adapter = hamilton_otel.TelemetryAdapter('d')\n"
        "if os.fork() == 0:\n"
        "    run('child')\n"
        "    hamilton_otel.flush(5)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert run_python(code, tmp_path).returncode == 0
    assert sorted(set(spooled_spans(tmp_path))) == ["node first", "node second", "run child", "run d"]


def wait_for(condition: object, timeout: float = 30.0) -> None:
    """Wait until *condition()* holds."""
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_handlers_of_the_users_that_raise_lose_nothing(tmp_path: Path, spool: Path) -> None:
    """A logging handler that raises at our one sentence neither reaches the user nor keeps anything from the spool."""
    code = PIPELINE + (
        "class Broken(logging.Handler):\n"
        "    def emit(self, record):\n"
        "        raise RuntimeError('broken')\n"
        "logging.getLogger('hamilton_otel').addHandler(Broken())\n"
        "hamilton_otel.configure(endpoint='http://127.0.0.1:9')\n"
        "run(); hamilton_otel.flush(1); run()\n"
    )
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(spooled_spans(tmp_path)) == sorted(NODES * 2)
    assert len(spool_files(tmp_path)) == 3


def test_sigterm_ends_a_process_whatever_its_locks_are(tmp_path: Path, spool: Path) -> None:
    """Where the main thread holds a lock that telling needs, the process still ends by the signal, in time."""
    code = """
import logging, threading
import hamilton_otel
from opentelemetry import trace
class Held(logging.Handler):
    def emit(self, record):
        if record.name == "user":
            print("held", flush=True)
            threading.Event().wait()
logging.getLogger().addHandler(Held())
hamilton_otel.configure(endpoint="http://127.0.0.1:9")
trace.get_tracer("t").start_span("s").end()
logging.getLogger("user").warning("x")
"""
    (tmp_path / "script.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    process.stdout.close()


def test_a_forked_child_ends_as_fast_as_ever_with_its_counts_kept(tmp_path: Path, spool: Path) -> None:
    """A child that ends like a program waits for no heartbeat that it lacks, and its own counts are delivered."""
    with receiving() as receiver:
        code = """
import os, sys, time
import hamilton_otel
from opentelemetry import metrics
hamilton_otel.configure()
counter = metrics.get_meter("m").create_counter("children")
if os.fork() == 0:
    counter.add(1)
    began = time.monotonic()
    import atexit
    atexit._run_exitfuncs()
    os._exit(0 if time.monotonic() - began < 0.8 else 3)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
        done = run_python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.returncode == 0, done.stderr
    assert receiver.total("children") == 1


def test_tenants_do_not_deliver_for_each_other(tmp_path: Path, spool: Path) -> None:
    """What was spooled for one tenant waits for a process of the same tenant, on the same host."""
    with receiving(lambda path: 503) as receiver:
        pass
    port = int(receiver.url.rpartition(":")[2])
    tenant = "X-Scope-OrgID={}"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    run_python(ONE_RUN, tmp_path, **variables, OTEL_EXPORTER_OTLP_HEADERS=tenant.format("a"))
    with receiving(port=port) as receiver:
        run_python(ONE_RUN, tmp_path, **variables, OTEL_EXPORTER_OTLP_HEADERS=tenant.format("b"))
        assert sorted(receiver.spans()) == NODES
        run_python(ONE_RUN, tmp_path, **variables, OTEL_EXPORTER_OTLP_HEADERS=tenant.format("a"))
    assert sorted(receiver.spans()) == sorted(NODES * 3)


def test_one_line_that_the_receiver_chokes_on_holds_up_no_other(tmp_path: Path, spool: Path) -> None:
    """A 500 for one segment leaves it where it is, and the others are delivered."""
    folder = spool / "127.0.0.1_1"
    folder.mkdir(parents=True)
    line = '{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"spanId":"{0}","name":"{1}"}}]}}]}}]}}\n'
    for number, name in enumerate(("bad", "good")):
        (folder / f"traces-{number}.jsonl").write_text(line.format(f"{number:016x}", name))
    asked: list[str] = []
    with receiving(lambda path: asked.append(path) or (500 if len(asked) == 1 else 200)) as receiver:  # type: ignore[func-returns-value]
        done = subprocess.run(
            [sys.executable, "-m", "hamilton_otel.cli", "replay", "--receiver", "127.0.0.1_1"],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
            capture_output=True,
            check=False,
        )
    assert done.returncode == 1
    assert receiver.spans() == ["good"]
    assert [file.name for file in spool_files(tmp_path)] == ["traces-0.jsonl"]
