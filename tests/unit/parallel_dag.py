"""A dataflow with a parallel block, for the tests of executors: worker processes import it by name."""

from hamilton.htypes import Collect, Parallelizable


def count(start: int) -> int:
    return start


def item(count: int) -> Parallelizable[int]:
    yield from range(count)


def squared(item: int, fail: bool = False) -> int:
    if fail is None:
        raise KeyboardInterrupt
    if fail and item == 1:
        raise ValueError("one is not wanted")
    return item * item


def shifted(squared: int) -> int:
    return squared + 1


def total(shifted: Collect[int]) -> int:
    return sum(shifted)
