"""Has objects begin anew in a forked process: what its parent holds is the parent's, and locks may have been held.

Not for other ways to start a process: those begin anew by themselves.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

_known: weakref.WeakKeyDictionary[object, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def in_children(begin: Callable[[], object]) -> None:
    """Have *begin*, a bound method, called in each process that is forked off, for as long as its object lives."""
    if not isinstance(begin, MethodType):
        raise TypeError(f"{begin!r} is not a bound method.")
    _known[begin.__self__] = begin.__func__


def _begin_anew() -> None:
    for owner, begin in list(_known.items()):
        begin(owner)


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew)
