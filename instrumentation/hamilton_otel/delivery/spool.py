"""Keeps what cannot be delivered on disk: a bounded directory of OTLP JSON lines that processes share.

``<directory>/<receiver>/<signal>-<time>-<pid>-<random>.jsonl``. A segment belongs to whoever holds its lock; a process
that is killed lets go of it. Not for sending (``replay.py``) nor for what is worth keeping (``outlet.py``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import time
from typing import IO, Final

import portalocker

from hamilton_otel import semconv
from hamilton_otel.forks import in_children
from hamilton_otel.guard import guard
from hamilton_otel.health import health

from .lines import items_in

FORMAT: Final = 1
SEGMENT_BYTES: Final = 4 * 2**20
"""A segment that has grown beyond this is closed."""
_REJECTED: Final = "rejected"
_REASON: Final = ".reason.txt"
_logger = logging.getLogger("hamilton_otel")


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits in a spool: number of segments, bytes, Unix time of the oldest (0 where there is none)."""

    segments: int
    size: int
    oldest: float


class Segment:
    """A file of lines that this process holds the lock of."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.signal = path.name.partition("-")[0]
        self._file = file

    def append(self, line: bytes) -> None:
        """Add *line*; raise OSError where it does not fit, leaving the segment as it was."""
        end = self._file.seek(0, os.SEEK_END)
        if end and self._last_byte(end) != b"\n":
            line = b"\n" + line  # what a killed process left of its last line spoils no other
        written = 0
        try:
            written = self._file.write(line)
        finally:
            if written != len(line):
                self._file.truncate(end)
        if written != len(line):
            raise OSError(28, "no space left on device")

    def consume(self, take: Callable[[bytes], bool]) -> bool:
        """Hand each line to *take*, the last one first, and cut it off as soon as *take* has returned True.

        So a process that dies here leaves one line at the most to be delivered twice. Return whether all were taken.
        """
        self._file.seek(0)
        content = self._file.read()
        end = len(content)
        while end:
            start = content.rfind(b"\n", 0, end - 1) + 1
            line = content[start:end].strip()
            if line and not take(line):
                return False
            self._file.truncate(start)
            end = start
        return True

    @property
    def size(self) -> int:
        """Bytes in the segment."""
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Let go of the segment, and remove it where it is empty."""
        with contextlib.suppress(OSError):
            if not self.size:
                self.path.unlink()
        self.let_go()

    def let_go(self) -> None:
        """Close the file and leave it as it is."""
        self._file.close()

    def remove(self) -> None:
        """Remove the segment with all that is in it."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.let_go()

    def _last_byte(self, end: int) -> bytes:
        self._file.seek(end - 1)
        last = self._file.read(1)
        self._file.seek(0, os.SEEK_END)
        return last


class Spool:
    """The spool in *directory*, of at most *max_bytes*; nothing is made before something is written.

    Where it is full, the oldest segments go. What cannot be written is said once in the log. Methods may be called from
    any thread, and they do not raise.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 8)
        self._said: set[str] = set()
        self._begin()
        in_children(self._after_fork_in_child)

    def write(self, receiver: str, signal: str, line: bytes) -> bool:
        """Keep *line* for *receiver* (a folder's name); return whether it is on disk now."""
        with self._lock:
            kept = self._try(lambda: self._append(receiver, signal, line), len(line))
        self._speak()
        return kept

    def set_aside(self, receiver: str, signal: str, line: bytes, reason: str) -> None:
        """Keep a line that *receiver* refuses for good, with the *reason* beside it, for a human to look at."""
        folder = self.directory / receiver / _REJECTED
        name = _name(signal)

        def keep() -> None:
            _make_folder(folder)
            for suffix, content in ((".jsonl", line.rstrip(b"\n") + b"\n"), (_REASON, f"{reason}\n".encode())):
                path = folder / f"{name}{suffix}"
                path.touch(mode=0o600)
                path.write_bytes(content)

        if line.strip():
            with self._lock:
                self._try(keep, len(line))
            self._speak()

    def claim(self, receiver: str, signal: str) -> Iterator[Segment]:
        """Yield the segments for *receiver* that no other process holds, oldest first; each is the caller's."""
        with self._lock:
            mine = self._segments.pop((receiver, signal), None)
        if mine is not None:
            mine.close()
        if self._is_newer():
            return
        for path in sorted((self.directory / receiver).glob(f"{signal}-*.jsonl")):
            segment = self._hold(path)
            if segment is not None:
                try:
                    yield segment
                finally:
                    segment.close()

    def receivers(self) -> list[str]:
        """Return for whom something waits."""
        return sorted({path.parent.name for path in self.directory.glob("*/*.jsonl")})

    def pending(self) -> Pending:
        """Return what waits, for all receivers."""
        waiting = [stat for path, stat in self._files() if path.parent.name != _REJECTED]
        sizes = [stat.st_size for stat in waiting]
        return Pending(len(sizes), sum(sizes), min((stat.st_mtime for stat in waiting), default=0.0))

    def close(self) -> None:
        """Let go of what this process has written."""
        with self._lock:
            for segment in self._segments.values():
                segment.close()
            self._segments.clear()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._segments: dict[tuple[str, str], Segment] = {}
        self._held: weakref.WeakSet[Segment] = weakref.WeakSet()
        self._unsaid: list[str] = []
        self._total = 0
        self._counted_at = 0.0

    def _after_fork_in_child(self) -> None:
        """Let go of the parent's segments: a child that kept them open would keep their locks."""
        held = list(self._held)
        self._begin()
        for segment in held:
            segment.let_go()

    def _hold(self, path: Path) -> Segment | None:
        segment = _locked(path)
        if segment is not None:
            self._held.add(segment)
        return segment

    def _try(self, action: Callable[[], object], size: int) -> bool:
        """Do what takes *size* bytes of the spool; return whether that was possible."""
        try:
            self._open()
            if not self._make_room(size):
                return False
            action()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._say(
                f"HAMILTON_OTEL_SPOOL is {str(self.directory)!r}, where undelivered telemetry cannot be written "
                f"({reason}); free some space there or name another directory. Runs are not affected."
            )
            return False
        return True

    def _append(self, receiver: str, signal: str, line: bytes) -> None:
        segment = self._segments.get((receiver, signal)) or self._segment_for(receiver, signal)
        self._segments[receiver, signal] = segment
        segment.append(line)
        if segment.size > self._segment_bytes:
            self._segments.pop((receiver, signal)).close()

    def _open(self) -> None:
        if self._is_newer():
            raise OSError(22, "written by a newer hamilton-otel; upgrade this one")
        marker = self.directory / "format"
        if not marker.exists():
            _make_folder(self.directory)
            marker.write_text(f"{FORMAT}\n")

    def _is_newer(self) -> bool:
        try:
            return int((self.directory / "format").read_text()) > FORMAT
        except (OSError, ValueError):
            return False

    def _segment_for(self, receiver: str, signal: str) -> Segment:
        """Return the newest segment that nobody holds and that has room, else a new one."""
        folder = self.directory / receiver
        for path in sorted(folder.glob(f"{signal}-*.jsonl"), reverse=True)[:3]:
            segment = self._hold(path)
            if segment is not None:
                if segment.size < self._segment_bytes // 2:
                    return segment
                segment.close()
        _make_folder(folder)
        while True:
            path = folder / f"{_name(signal)}.jsonl"
            path.touch(mode=0o600)
            segment = self._hold(path)
            if segment is not None:  # else a process that replays was faster, and removes the empty file
                return segment

    def _make_room(self, size: int) -> bool:
        """Drop the oldest segments until *size* bytes fit; return whether they do."""
        files: list[tuple[Path, os.stat_result]] = []
        if time() - self._counted_at > 5 or self._total + size > self._max_bytes:
            files = self._files()
            self._total = sum(stat.st_size for _, stat in files)
            self._counted_at = time()
        for path, stat in sorted(files, key=_age):
            if self._total + size <= self._max_bytes:
                break
            segment = self._hold(path)
            if segment is not None:
                _count_dropped(segment)
                segment.remove()
                path.with_name(path.name.removesuffix(".jsonl") + _REASON).unlink(missing_ok=True)
                self._total -= stat.st_size
                self._say(
                    f"The spool {str(self.directory)!r} is full, and its oldest telemetry is dropped; start the "
                    "Collector, or raise HAMILTON_OTEL_SPOOL_MAX_MIB."
                )
        fits = self._total + size <= self._max_bytes
        self._total += size if fits else 0
        return fits

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.directory.rglob("*.jsonl"):
            with contextlib.suppress(OSError):  # removed by another process meanwhile
                found.append((path, path.stat()))
        return found

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._unsaid.append(sentence)

    def _speak(self) -> None:
        """Log what there is to say, now that no lock is held: handlers are the user's."""
        while self._unsaid:
            with guard("notice"):
                _logger.warning("%s", self._unsaid.pop())


def _name(signal: str) -> str:
    return f"{signal}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}-{token_hex(4)}"


def _make_folder(folder: Path) -> None:
    """Make *folder* and those above it for this user alone."""
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def _age(entry: tuple[Path, os.stat_result]) -> str:
    return entry[0].name.partition("-")[2]


def _locked(path: Path) -> Segment | None:
    """Return the segment if nobody holds it."""
    try:
        file = open(path, "r+b", buffering=0)  # noqa: SIM115 - stays open as long as the segment is held
    except OSError:
        return None
    try:
        portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return Segment(path, file)
    except (OSError, portalocker.LockException):
        pass
    file.close()
    return None


def _count_dropped(segment: Segment) -> None:
    def count(line: bytes) -> bool:
        with contextlib.suppress(ValueError):
            attributes = {semconv.SIGNAL: segment.signal, semconv.REASON: "spool_full"}
            health.count(semconv.TELEMETRY_DROPPED, items_in(segment.signal, line), attributes)
        return True

    with contextlib.suppress(OSError):
        segment.consume(count)
