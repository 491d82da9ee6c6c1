import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hamilton_otel import semconv
from hamilton_otel.delivery.spool import SEGMENT_BYTES, Spool
from hamilton_otel.health import health

MIB = 2**20
SPAN = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"%s"}]}]}]}\n'


@pytest.fixture(autouse=True)
def every_spool_is_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process lets go of its segments at its end."""
    made: list[Spool] = []
    begin = Spool.__init__

    def remember(spool: Spool, directory: Path, max_bytes: int) -> None:
        made.append(spool)
        begin(spool, directory, max_bytes)

    monkeypatch.setattr(Spool, "__init__", remember)
    yield
    for spool in made:
        spool.close()


def taken(spool: Spool, receiver: str = "here", signal: str = "traces") -> list[bytes]:
    """Take everything out of the spool."""
    lines: list[bytes] = []

    def take(line: bytes) -> bool:
        lines.append(line)
        return True

    for segment in spool.claim(receiver, signal):
        segment.consume(take)
    return lines


def test_what_is_written_is_taken_by_another_spool_once(tmp_path: Path) -> None:
    """Lines written by one process's spool are claimed by another's after it let go, and are gone then."""
    spool, other = Spool(tmp_path, MIB), Spool(tmp_path, MIB)
    assert all(spool.write("here", "traces", SPAN % name) for name in (b"a", b"b"))
    assert taken(other) == []
    spool.close()
    assert taken(other) == [(SPAN % b"b").strip(), (SPAN % b"a").strip()]
    assert taken(other) == []
    assert not list(tmp_path.glob("*/*"))


def test_receivers_and_signals_are_kept_apart(tmp_path: Path) -> None:
    """What was meant for one receiver is not claimed for another, nor logs as traces."""
    spool = Spool(tmp_path, MIB)
    spool.write("here", "traces", SPAN % b"a")
    spool.write("there", "traces", SPAN % b"b")
    spool.write("here", "logs", b"{}\n")
    assert spool.receivers() == ["here", "there"]
    assert taken(spool, "there") == [(SPAN % b"b").strip()]
    assert taken(spool, "here") == [(SPAN % b"a").strip()]


def test_a_line_that_is_not_taken_stays_with_those_before_it(tmp_path: Path) -> None:
    """A delivery that fails in the middle leaves what is not acknowledged, and nothing twice."""
    spool = Spool(tmp_path, MIB)
    for name in (b"a", b"b", b"c"):
        spool.write("here", "traces", SPAN % name)
    for segment in spool.claim("here", "traces"):
        assert not segment.consume(lambda line: b'"c"' in line)
    assert taken(spool) == [(SPAN % b"b").strip(), (SPAN % b"a").strip()]


def test_a_cut_line_costs_that_line_only(tmp_path: Path) -> None:
    """What a killed process left of its last line spoils neither the lines before it nor those that others add."""
    spool = Spool(tmp_path, MIB)
    spool.write("here", "traces", SPAN % b"a")
    spool.close()
    (file,) = tmp_path.glob("here/*.jsonl")
    with file.open("ab") as end:
        end.write(b'{"resourceSpans":[{"sco')
    spool.write("here", "traces", SPAN % b"b")
    assert taken(spool) == [(SPAN % b"b").strip(), b'{"resourceSpans":[{"sco', (SPAN % b"a").strip()]


def test_short_processes_share_a_segment(tmp_path: Path) -> None:
    """A hundred processes after each other leave one file, not a hundred."""
    for _ in range(100):
        spool = Spool(tmp_path, MIB)
        assert spool.write("here", "traces", SPAN % b"a")
        spool.close()
    assert len(list(tmp_path.glob("here/*.jsonl"))) == 1
    assert len(taken(spool)) == 100


def test_a_full_spool_drops_the_oldest_and_counts_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its size the oldest segments go, each span is counted, and it is said once."""
    health.reset()
    spool = Spool(tmp_path, 3 * SEGMENT_BYTES)
    line = SPAN % (b"x" * MIB)
    for _ in range(30):
        assert spool.write("here", "traces", line)
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.jsonl"))
    assert size <= 3 * SEGMENT_BYTES
    (dropped,) = health.observations(semconv.TELEMETRY_DROPPED)
    assert dropped.attributes == {semconv.SIGNAL: "traces", semconv.REASON: "spool_full"}
    assert dropped.value + len(taken(spool)) == 30
    (said,) = [record.getMessage() for record in caplog.records]
    assert "HAMILTON_OTEL_SPOOL_MAX_MIB" in said


def test_a_directory_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spool that is a file, or on a read-only disk, takes nothing and says so in one sentence naming the setting."""
    (tmp_path / "spool").write_text("not a folder")
    spool = Spool(tmp_path / "spool", MIB)
    assert not spool.write("here", "traces", SPAN % b"a")
    assert not spool.write("here", "traces", SPAN % b"a")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"HAMILTON_OTEL_SPOOL is {str(tmp_path / 'spool')!r}, where")
    assert taken(spool) == []


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A line that does not fit on the disk is not begun: what was there before stays readable."""
    limited = f"""
import resource, sys
from pathlib import Path
from hamilton_otel.delivery.spool import Spool
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path({str(tmp_path)!r}), 10**9)
assert spool.write("here", "traces", b"short\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
assert not spool.write("here", "traces", b"x" * 1000 + b"\\n")
"""
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert taken(Spool(tmp_path, MIB)) == [b"short"]


def test_the_spool_of_a_newer_version_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither read nor written: one sentence says what to do."""
    (tmp_path / "format").write_text("2\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "traces-1.jsonl").write_text("something else\n")
    spool = Spool(tmp_path, MIB)
    assert not spool.write("here", "traces", SPAN % b"a")
    assert taken(spool) == []
    assert (tmp_path / "here" / "traces-1.jsonl").read_text() == "something else\n"
    assert "newer hamilton-otel; upgrade" in caplog.records[0].getMessage()


def test_fifty_processes_share_a_spool(tmp_path: Path) -> None:
    """Fifty that write and deliver at the same time neither lose a line nor deliver one twice."""
    code = """
import os, sys
from pathlib import Path
from hamilton_otel.delivery.spool import Spool
spool, results = Spool(Path(sys.argv[1]), 2**28), Path(sys.argv[2])
results.mkdir()
for number in range(50):
    if os.fork() == 0:
        with open(results / str(number), "wb") as result:
            for line in range(20):
                assert spool.write("here", "traces", f"{number}-{line}\\n".encode())
                if line % 7 == 0:
                    for segment in spool.claim("here", "traces"):
                        segment.consume(lambda line: bool(result.write(line + bytes([10]))))
        os._exit(0)
assert all(os.wait()[1] == 0 for _ in range(50))
"""
    directory, results = tmp_path / "spool", tmp_path / "results"
    done = subprocess.run([sys.executable, "-c", code, str(directory), str(results)], check=False, timeout=120)
    assert done.returncode == 0
    lines = [line for result in results.iterdir() for line in result.read_text().split()]
    lines += [line.decode() for line in taken(Spool(directory, MIB))]
    assert sorted(lines) == sorted(f"{i}-{line}" for i in range(50) for line in range(20))


def test_a_forked_child_does_not_hold_its_parents_segment(tmp_path: Path) -> None:
    """What the parent lets go of can be claimed while a child that was forked in between still lives."""
    spool = Spool(tmp_path, MIB)
    spool.write("here", "traces", SPAN % b"a")
    reading, writing = os.pipe()
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"x")
        os.read(reading, 1)
        os._exit(0)
    os.read(ready, 1)
    spool.close()
    try:
        assert len(taken(Spool(tmp_path, MIB))) == 1
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)


def test_set_aside_lines_keep_their_reason(tmp_path: Path) -> None:
    """What a receiver refuses for good lies beside its reason, and is claimed by nobody."""
    spool = Spool(tmp_path, MIB)
    spool.set_aside("here", "traces", SPAN % b"a", "400 Bad Request")
    (line,) = tmp_path.glob("here/rejected/*.jsonl")
    (reason,) = tmp_path.glob("here/rejected/*.reason.txt")
    assert (line.read_bytes(), reason.read_text()) == (SPAN % b"a", "400 Bad Request\n")
    assert taken(spool) == []
    assert spool.pending().segments == 0


def test_threads_share_a_spool(tmp_path: Path) -> None:
    """Lines written by several threads are whole."""
    spool = Spool(tmp_path, 2**28)
    line = SPAN % (b"x" * 1000)
    threads = [
        threading.Thread(target=lambda: [spool.write("here", "traces", line) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken(spool) == [line.strip()] * 400


def test_pending_says_what_waits(tmp_path: Path) -> None:
    """Number of segments, bytes and the oldest one's time."""
    spool = Spool(tmp_path, MIB)
    assert spool.pending().segments == 0
    spool.write("here", "traces", SPAN % b"a")
    pending = spool.pending()
    assert (pending.segments, pending.size) == (1, len(SPAN % b"a"))
    assert pending.oldest > 1_700_000_000
