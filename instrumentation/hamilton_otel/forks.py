"""Has objects begin anew in a forked process: what its parent holds is the parent's, and locks may have been held.

Not for other ways to start a process: those begin anew by themselves.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def in_children(begin: Callable[[], object]) -> None:
    """Have *begin*, a bound method, called in each process that is forked off, for as long as its object lives."""
    known = weakref.WeakMethod(begin)

    def begin_anew() -> None:
        found = known()
        if found is not None:
            found()

    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=begin_anew)
