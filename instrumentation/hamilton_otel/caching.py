"""What Hamilton's cache (``with_cache()``) did for a run: hits, misses, stores, and whether the run resumes another.

A run resumes another when it reuses what a run stored that failed or died. Hamilton's cache does not know how a run
ended, so each cached run leaves a small file beside the cache's metadata until it has succeeded. Not for metrics or
spans: the sinks make those.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hamilton.caching.adapter import CachingBehavior, CachingEventType, HamiltonCacheAdapter

from .guard import guard

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph

CacheResult = Literal["hit", "miss"]
MAX_UNFINISHED: Final = 50
"""Unfinished runs that are kept beside a cache, of all its DAGs."""

_DIRECTORY = "hamilton_otel"


class RunCache:
    """The cache as one run uses it."""

    def __init__(self, cache: HamiltonCacheAdapter, run_id: str, dag_name: str) -> None:
        self._cache = cache
        self._run_id = run_id
        self._unfinished = Unfinished(cache, dag_name)
        self._resumable = self._unfinished.begin(run_id)

    @classmethod
    def of(cls, graph: FunctionGraph, run_id: str, dag_name: str) -> RunCache | None:
        """Return the cache of a run of *graph*, None where it has none."""
        found = next((a for a in graph.adapter.adapters if isinstance(a, HamiltonCacheAdapter)), None)
        return None if found is None else cls(found, run_id, dag_name)

    def lookup(self, node_name: str, task_id: str | None) -> CacheResult | None:
        """Return whether the node that has just ended was found in the cache, None where it was not looked for."""
        if self._cache.behaviors[self._run_id][node_name] is not CachingBehavior.DEFAULT:
            return None
        for event in reversed(self._cache._logs[self._run_id]):
            if event.node_name == node_name and event.task_id == task_id:
                if event.event_type is CachingEventType.GET_RESULT:
                    return "hit"
                if event.event_type is CachingEventType.EXECUTE_NODE:
                    return "miss"
        return None

    def resumes(self, node_name: str, task_id: str | None) -> bool:
        """Tell whether the result of a node that was a hit was stored by a run that failed or died."""
        if not self._resumable:
            return False
        key = self._cache.cache_keys[self._run_id].get(node_name)
        return (key.get(task_id) if isinstance(key, dict) else key) in self._resumable

    def stores(self) -> Counter[str]:
        """Return how often each node's result was stored in this run."""
        events = self._cache._logs[self._run_id]
        return Counter(event.node_name for event in events if event.event_type is CachingEventType.SET_RESULT)

    def end(self, *, success: bool) -> None:
        """Note how the run has ended, for those that come after it."""
        self._unfinished.end(self._run_id, success=success)


class Unfinished:
    """The runs of a DAG that have not succeeded: one small file each, removed when a later run succeeds."""

    def __init__(self, cache: HamiltonCacheAdapter, dag_name: str) -> None:
        self._dag_name = dag_name
        self._store = cache.metadata_store
        directory = getattr(cache.metadata_store, "_directory", None)
        self._directory = None if directory is None else Path(directory) / _DIRECTORY
        self._before: list[Path] = []

    def begin(self, run_id: str) -> set[str]:
        """Note that a run starts; return the cache keys that unfinished runs have left."""
        if self._directory is None:
            return set()
        self._directory.mkdir(parents=True, exist_ok=True)
        files = sorted(self._directory.glob("*.json"), key=_modified)
        for file in files[:-MAX_UNFINISHED]:
            file.unlink(missing_ok=True)
        self._before = [file for file in files[-MAX_UNFINISHED:] if _is_over(file, self._dag_name)]
        keys: set[str] = set()
        for file in self._before:
            with guard("runs that can be resumed"):
                keys |= {str(entry["cache_key"]) for entry in self._store.get_run(file.stem)}
        self._write(run_id, "running")
        return keys

    def end(self, run_id: str, *, success: bool) -> None:
        """Forget this run, and those that it may have resumed, if it succeeded; else keep it for the next."""
        if self._directory is None:
            return
        if not success:
            self._write(run_id, "failed")
            return
        for file in (*self._before, self._directory / f"{run_id}.json"):
            file.unlink(missing_ok=True)

    def _write(self, run_id: str, state: str) -> None:
        content = {"dag": self._dag_name, "state": state, "pid": os.getpid(), "host": socket.gethostname()}
        if self._directory is not None:
            (self._directory / f"{run_id}.json").write_text(json.dumps(content))


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # removed meanwhile by a run that has succeeded
        return 0.0


def _is_over(file: Path, dag_name: str) -> bool:
    """Tell whether this is the file of a run of that DAG which has failed, or whose process is gone."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        if content["dag"] != dag_name:
            return False
        if content["state"] == "failed":
            return True
        if content["host"] != socket.gethostname():
            return False
        if os.name == "posix":
            os.kill(int(content["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return False
