"""A small dataflow without tasks, for the tests of executors: worker processes import it by name."""

import time

PAUSE = 0.05


def a(start: int) -> int:
    return start


def b(a: int) -> int:
    time.sleep(PAUSE)
    return a + 1


def c(a: int, b: int, fail: bool = False) -> int:
    if fail:
        raise ValueError("c is not wanted")
    return a + b
