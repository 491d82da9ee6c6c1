"""The shape of a trace, however it was kept, so that tests can compare it as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamilton_otel.history.local import _spans as local_spans
from opentelemetry.sdk.trace import ReadableSpan


@dataclass(frozen=True)
class Span:
    """One span, from memory or from the local store."""

    name: str
    id: str
    parent: str | None
    trace: str
    start: int
    end: int
    attributes: dict[str, Any] = field(compare=False)
    links: tuple[str, ...] = ()


def from_memory(spans: Iterable[ReadableSpan]) -> list[Span]:
    return [
        Span(
            span.name,
            f"{span.context.span_id:016x}",
            f"{span.parent.span_id:016x}" if span.parent else None,
            f"{span.context.trace_id:032x}",
            span.start_time or 0,
            span.end_time or 0,
            dict(span.attributes or {}),
            tuple(f"{link.context.span_id:016x}" for link in span.links),
        )
        for span in spans
    ]


def from_store(directory: Path) -> list[Span]:
    return [
        Span(
            span["name"],
            span["span_id"],
            span["parent"],
            span["trace_id"],
            span["start"],
            span["end"],
            span["attributes"],
            tuple(span["links"]),
        )
        for file in sorted((directory / "traces").glob("*.jsonl"))
        for span in local_spans(file)
    ]


def tree(spans: list[Span]) -> list[str]:
    """Return each span as its path of names, sorted; asserts one trace, one root and no orphan."""
    assert len({span.trace for span in spans}) == 1
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans)
    roots = [span for span in spans if span.parent is None]
    assert len(roots) == 1
    for span in spans:
        assert span.start <= span.end

    def path(span: Span) -> str:
        if span.parent is None:
            return span.name
        assert span.parent in by_id, f"{span.name} is an orphan"
        return f"{path(by_id[span.parent])} > {span.name}"

    return sorted(map(path, spans))
