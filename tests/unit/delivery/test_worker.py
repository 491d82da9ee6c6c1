import threading
from time import monotonic

from hamilton_otel.delivery.worker import WorkerFlush


def test_a_call_waits_until_all_is_delivered() -> None:
    """What was recorded before the call is exported when it returns."""
    exported: list[int] = []

    def export() -> bool:
        exported.append(1)
        return True

    flush = WorkerFlush(export, lambda: 10.0)
    flush()
    flush()
    assert len(exported) == 2


def test_tasks_do_not_wait_for_a_collector_that_is_down() -> None:
    """The first call waits its full time, those after it hardly; one export at a time is under way."""
    release = threading.Event()
    under_way: list[int] = []

    def hangs() -> bool:
        under_way.append(1)
        return release.wait(30)

    flush = WorkerFlush(hangs, lambda: 0.5)
    begin = monotonic()
    for _ in range(5):
        flush()
    assert monotonic() - begin < 5
    assert len(under_way) == 1
    release.set()
