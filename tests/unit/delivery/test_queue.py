import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

import pytest
from hamilton_otel import semconv
from hamilton_otel.delivery import queue as queue_module
from hamilton_otel.delivery.outlet import Outlet, Shelf
from hamilton_otel.delivery.queue import Queue
from hamilton_otel.delivery.spool import Spool
from hamilton_otel.health import health

Send = Callable[[Sequence[str]], bool]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool."""
    made = Spool(tmp_path / "spool", 2**26)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh_health() -> None:
    """Counts begin at zero."""
    health.reset()


def encode(batch: Sequence[str]) -> bytes:
    return " ".join(batch).encode() + b"\n"


def queue_of(send: Send, spool: Spool | None = None, max_bytes: int = 10**9, max_batch: int = 512) -> Queue[str]:
    shelf = Shelf(spool, "here", encode) if spool is not None else None
    return Queue(Outlet("traces", send, shelf=shelf), max_bytes=max_bytes, max_batch=max_batch, interval=1.0)


def spooled(spool: Spool) -> list[str]:
    lines: list[str] = []
    for segment in spool.claim("here", "traces"):
        segment.consume(lambda line: lines.extend(line.decode().split()) or True)  # type: ignore[func-returns-value]
    return lines


def test_a_flush_delivers_everything_in_order() -> None:
    """What was put in before is delivered when `flush` returns, in batches of the given size."""
    batches: list[Sequence[str]] = []
    queue = queue_of(lambda batch: batches.append(batch) or True, max_batch=10)  # type: ignore[func-returns-value]
    items = [str(i) for i in range(95)]
    for item in items:
        queue.put(item, 1)
    assert queue.flush(10)
    assert [item for batch in batches for item in batch] == items
    assert max(map(len, batches)) == 10


def test_the_first_item_is_on_its_way_at_once_and_those_after_it_together() -> None:
    """An item that follows a rest is exported within the first delay; a burst goes out in one batch."""
    exported = threading.Event()
    batches: list[Sequence[str]] = []

    def send(batch: Sequence[str]) -> bool:
        batches.append(batch)
        exported.set()
        return True

    queue = queue_of(send)
    begin = monotonic()
    for item in "abc":
        queue.put(item, 1)
    assert exported.wait(10)
    assert monotonic() - begin >= queue_module.FIRST_DELAY
    assert batches == [["a", "b", "c"]]


def test_putting_does_not_wait_for_a_receiver_that_hangs(spool: Spool) -> None:
    """While an export hangs, a queue that is full spills into the spool, and nothing is lost."""
    release = threading.Event()
    exported: list[str] = []

    def hangs(batch: Sequence[str]) -> bool:
        release.wait(30)
        exported.extend(batch)
        return True

    queue = queue_of(hangs, spool, max_bytes=10_000, max_batch=50)
    begin = monotonic()
    items = [str(i) for i in range(10_000)]
    for item in items:
        queue.put(item, 100)
    assert monotonic() - begin < 20
    release.set()
    assert queue.flush(20)
    assert sorted(exported + spooled(spool)) == sorted(items)
    assert health.observations(semconv.TELEMETRY_DROPPED) == []
    assert health.observations(semconv.TELEMETRY_SPOOLED)


def test_a_producer_that_outruns_the_export_loses_nothing() -> None:
    """Without a spool, a thread that puts faster than the export takes is slowed down instead."""
    exported: list[str] = []

    def slow(batch: Sequence[str]) -> bool:
        sum(range(20_000))
        exported.extend(batch)
        return True

    queue = queue_of(slow, max_bytes=20_000, max_batch=20)
    items = [str(i) for i in range(5_000)]
    for item in items:
        queue.put(item, 100)
    assert queue.flush(30)
    assert exported == items


def test_without_a_spool_the_oldest_go_and_are_counted() -> None:
    """A receiver that hangs, and no spool: memory stays bounded, and what is dropped is counted."""
    release = threading.Event()
    exported: list[str] = []

    def hangs(batch: Sequence[str]) -> bool:
        release.wait(30)
        exported.extend(batch)
        return True

    queue = queue_of(hangs, max_bytes=1_000, max_batch=10)
    for item in range(1_000):
        queue.put(str(item), 10)
    release.set()
    assert queue.flush(20)
    (dropped,) = health.observations(semconv.TELEMETRY_DROPPED)
    assert dropped.attributes == {semconv.SIGNAL: "traces", semconv.REASON: "queue_full"}
    assert dropped.value + len(exported) == 1_000
    assert exported[-1] == "999"


def test_settling_spools_what_hangs_in_time(spool: Spool) -> None:
    """An export that hangs is given its time; then all that is queued or under way is in the spool."""
    release = threading.Event()
    queue = queue_of(lambda batch: release.wait(30), spool, max_batch=2)
    for item in "abcde":
        queue.put(item, 1)
    begin = monotonic()
    accepted = queue.settle(queue.ask(), begin + 0.3, begin + 10)
    assert not accepted
    assert monotonic() - begin < 5
    assert sorted(spooled(spool)) == list("abcde")
    release.set()


def test_settling_does_not_wait_for_a_receiver_known_to_be_down(spool: Spool) -> None:
    """Where the last attempt was refused, everything goes to the spool at once."""
    queue = queue_of(lambda batch: False, spool)
    queue.put("a", 1)
    assert not queue.flush(10)
    queue.put("b", 1)
    begin = monotonic()
    queue.settle(queue.ask(), begin + 30, begin + 60)
    assert monotonic() - begin < 10
    assert sorted(spooled(spool)) == ["a", "b"]


def test_what_can_neither_be_sent_nor_spooled_stays_queued(tmp_path: Path) -> None:
    """With a spool that cannot be written, items wait in memory for the receiver to come back."""
    (tmp_path / "file").write_text("")
    up = threading.Event()
    exported: list[str] = []
    broken = Spool(tmp_path / "file", 2**20)
    send: Send = lambda batch: up.is_set() and bool(exported.extend(batch) or True)  # type: ignore[func-returns-value]  # noqa: E731
    queue = queue_of(send, broken)
    queue.put("a", 1)
    assert not queue.flush(10)
    queue.settle(queue.ask(), monotonic(), monotonic() + 1)
    up.set()
    queue.outlet._next_attempt = 0.0
    assert queue.flush(10)
    assert exported == ["a"]


def test_a_forked_child_begins_with_an_empty_queue() -> None:
    """What its parent has queued is not exported by a child as well."""
    queue = queue_of(lambda batch: True)
    queue.put("a", 1)
    queue._begin()
    assert not queue._items


def test_an_exporter_that_raises_is_one_that_fails(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the exporter raises, the batch is in the spool."""
    from hamilton_otel.guard import guard

    monkeypatch.setattr(guard, "reraise", False)

    def raises(batch: Sequence[str]) -> bool:
        raise RuntimeError("broken")

    queue = queue_of(raises, spool)
    queue.put("a", 1)
    assert not queue.flush(10)
    assert spooled(spool) == ["a"]


def test_a_batch_that_cannot_be_encoded_is_counted_and_holds_up_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be a line is dropped with its reason."""
    from hamilton_otel.guard import guard

    monkeypatch.setattr(guard, "reraise", False)
    shelf: Shelf[str] = Shelf(spool, "here", lambda batch: bytes(1 // 0))
    queue: Queue[str] = Queue(
        Outlet("traces", lambda batch: False, shelf=shelf),
        max_bytes=10**6,
        max_batch=10,
        interval=1.0,
    )
    queue.put("a", 1)
    queue.flush(10)
    (dropped,) = health.observations(semconv.TELEMETRY_DROPPED)
    assert dropped.attributes == {semconv.SIGNAL: "traces", semconv.REASON: "encoding"}
    assert not queue._items


def test_memory_stays_bounded_where_neither_receiver_nor_spool_takes_anything(tmp_path: Path) -> None:
    """A refusing receiver and a spool that cannot be written: the oldest go, counted, and no item costs much time."""
    (tmp_path / "file").write_text("")
    queue = queue_of(lambda batch: False, Spool(tmp_path / "file", 2**20), max_bytes=10_000, max_batch=50)
    begin = monotonic()
    for item in range(20_000):
        queue.put(str(item), 100)
    assert monotonic() - begin < 15
    assert queue._bytes <= 2 * 10_000 + 100
    (dropped,) = health.observations(semconv.TELEMETRY_DROPPED)
    assert dropped.value >= 19_000


def test_a_failing_receiver_costs_no_processor_time(tmp_path: Path) -> None:
    """With the shortest interval and nowhere to put a full batch, the thread still rests between attempts."""
    attempts: list[int] = []

    def refuse(batch: Sequence[str]) -> bool:
        attempts.append(1)
        return False

    queue: Queue[str] = Queue(Outlet("traces", refuse), max_bytes=10**6, max_batch=2, interval=0.0)
    for item in "abcd":
        queue.put(item, 1)
    threading.Event().wait(0.5)
    assert len(attempts) == 1
