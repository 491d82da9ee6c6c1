import threading
from time import monotonic

from hamilton_otel.delivery.exit import run_within


def test_actions_that_end_in_time_are_all_done() -> None:
    """All actions run, side by side."""
    barrier = threading.Barrier(3)
    assert run_within(5, [barrier.wait] * 3)


def test_an_action_that_hangs_is_left_behind() -> None:
    """The wait ends with the budget, and what hangs keeps no other action from its end."""
    release, done = threading.Event(), threading.Event()
    begin = monotonic()
    assert not run_within(0.1, [release.wait, done.set])
    assert monotonic() - begin < 5
    assert done.is_set()
    release.set()


def test_an_action_that_returns_false_has_failed() -> None:
    """An export that was refused is no success."""
    assert not run_within(5, [lambda: True, lambda: False])
    assert run_within(5, [lambda: None])
