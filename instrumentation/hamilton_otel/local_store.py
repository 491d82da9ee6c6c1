"""The embedded default: OTLP JSON lines in a directory, one file per signal and process, no server needed.

``<directory>/<signal>/<start>-<pid>.jsonl``. Metrics and log records are written by OpenTelemetry's own file exporter,
spans by ours, which is faster; the Collector's ``otlpjsonfile`` receiver reads them back. Not for reading: that is
``history``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.exporter.otlp.json.file.metric_exporter import FileMetricExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from . import span_json
from .settings import SettingsError


class SignalFile:
    """The file of one signal, opened at its first line, and anew in a forked process.

    Stands in for a text stream: just what the file exporter uses of one.
    """

    closed = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pid = -1
        self._file = -1

    def write(self, line: str) -> int:
        """Append *line* in one system call, so that a killed process leaves whole lines."""
        return self.append(line.encode())

    def append(self, line: bytes) -> int:
        """Append *line*, likewise."""
        if self._file < 0 or self._pid != os.getpid():
            self._pid = os.getpid()
            self._directory.mkdir(parents=True, exist_ok=True)
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{self._pid}.jsonl"
            self._file = os.open(self._directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        return os.write(self._file, line)

    def flush(self) -> None:
        """Do nothing: every line is written at once."""


def check_writable(directory: Path) -> None:
    """Make the store's directory; raise :class:`SettingsError` where it cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"HAMILTON_OTEL_LOCAL_STORE is {str(directory)!r}, which cannot be written ({reason}); "
            "choose a directory that can be, or set OTEL_EXPORTER_OTLP_ENDPOINT."
        ) from None


class SpanFileExporter(SpanExporter):
    """Writes spans into the store."""

    def __init__(self, directory: Path) -> None:
        self._file = SignalFile(directory / "traces")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans* as one line."""
        self._file.append(span_json.encode(spans))
        return SpanExportResult.SUCCESS


def span_exporter(directory: Path) -> SpanFileExporter:
    """Return an exporter of spans into the store."""
    return SpanFileExporter(directory)


def metric_exporter(directory: Path, **options: Any) -> FileMetricExporter:
    """Return an exporter of metrics into the store; *options* as for the OTLP exporter."""
    return FileMetricExporter(stream=_stream(directory / "metrics"), **options)


def log_exporter(directory: Path) -> FileLogExporter:
    """Return an exporter of log records into the store."""
    return FileLogExporter(stream=_stream(directory / "logs"))


def _stream(directory: Path) -> IO[str]:
    return cast("IO[str]", SignalFile(directory))
