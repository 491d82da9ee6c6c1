"""Reads runs from the local store's OTLP JSON lines. Not for writing them: ``local_store.py`` does."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hamilton_otel import semconv

from .model import HistoryError, NodeRun, Run

_logger = logging.getLogger("hamilton_otel")
_Span = dict[str, Any]


def open_store(directory: Path) -> LocalStore:
    """Return the local store in *directory*; raises :class:`HistoryError` where there is none."""
    if not (directory / "traces").is_dir():
        raise HistoryError(
            f"there are no runs in {str(directory)!r}; run a pipeline first, or name the store's directory."
        )
    return LocalStore(directory)


class LocalStore:
    """The runs in a directory of OTLP JSON lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, name: str) -> Run:
        """Return the run that *name* means: a run id, a trace id, an unambiguous beginning of one, or ``latest``.

        Raises :class:`HistoryError` where there is none, or more than one.
        """
        files = sorted((self.directory / "traces").glob("*.jsonl"), reverse=True)
        found: dict[str, _Span] = {}
        for file in files:
            spans = [span for span in _spans(file) if semconv.RUN_ID in span["attributes"]]
            runs = [span for span in spans if semconv.NODE_NAME not in span["attributes"]]
            if name == "latest" and runs:
                latest = max(runs, key=lambda span: span["start"])
                return _run(latest, spans)
            for span in runs:
                if span["attributes"][semconv.RUN_ID].startswith(name) or span["trace_id"].startswith(name):
                    found[span["attributes"][semconv.RUN_ID]] = span
        if not found:
            raise HistoryError(f"no run in {str(self.directory)!r} is called {name!r}.")
        if len(found) > 1:
            raise HistoryError(
                f"{name!r} means {len(found)} runs ({', '.join(sorted(found)[:3])} ...); give more of its id."
            )
        (span,) = found.values()
        return _run(span, [other for file in files for other in _spans(file) if other["trace_id"] == span["trace_id"]])


def _run(root: _Span, spans: list[_Span]) -> Run:
    run_id = root["attributes"][semconv.RUN_ID]
    of_run = [span for span in spans if span["attributes"].get(semconv.RUN_ID) == run_id]
    nodes = [span for span in of_run if semconv.NODE_NAME in span["attributes"]]
    names = {span["span_id"]: span["attributes"][semconv.NODE_NAME] for span in nodes}
    return Run(
        id=run_id,
        dag=root["attributes"][semconv.DAG_NAME],
        trace_id=root["trace_id"],
        start=root["start"],
        end=root["end"],
        outcome=root["attributes"].get(semconv.OUTCOME, ""),
        nodes=tuple(
            NodeRun(
                name=names[span["span_id"]],
                start=span["start"],
                end=span["end"],
                outcome=span["attributes"].get(semconv.OUTCOME, ""),
                inputs=tuple(names[link] for link in span["links"] if link in names),
                attributes=span["attributes"],
            )
            for span in sorted(nodes, key=lambda span: span["start"])
        ),
        attributes=root["attributes"],
    )


def _spans(file: Path) -> Iterator[_Span]:
    """Yield the spans of a file; a line that is cut or foreign is skipped with one warning."""
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            spans = [
                _span(span)
                for resource in json.loads(line)["resourceSpans"]
                for scope in resource["scopeSpans"]
                for span in scope["spans"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            _logger.warning("%s, line %d, is not OTLP JSON and is skipped.", file, number)
            continue
        yield from spans


def _span(span: dict[str, Any]) -> _Span:
    return {
        "trace_id": span["traceId"],
        "name": span["name"],
        "span_id": span["spanId"],
        "parent": span.get("parentSpanId") or None,
        "start": int(span["startTimeUnixNano"]),
        "end": int(span["endTimeUnixNano"]),
        "links": [link["spanId"] for link in span.get("links", ())],
        "attributes": {item["key"]: _value(item["value"]) for item in span.get("attributes", ())},
    }


def _value(value: dict[str, Any]) -> Any:
    """Return an OTLP AnyValue as a Python one (64-bit integers are text in OTLP JSON)."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values", ())]
    return next(iter(value.values()), None)
