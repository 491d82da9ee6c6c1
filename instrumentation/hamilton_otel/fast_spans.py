"""The fast path for the spans of nodes: an object of a few fields, which becomes a span of the SDK when it is touched.

Most spans of nodes are started, never looked at, and ended with success: then nothing of the SDK's span is needed until
it is exported (``span_encoding.py``). Used only with samplers, limits, processors and versions of the SDK for which it
is proven to give what the SDK gives; otherwise ``tracing.py`` uses the public API. Not for spans of runs and tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.trace import Span, SynchronousMultiSpanProcessor, Tracer, sampling
from opentelemetry.sdk.version import __version__ as SDK_VERSION
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace import Tracer as AnyTracer

from . import limits, links, semconv, span_ids
from .capture import Attributes, Value
from .delivery.fast_exporters import PROVEN
from .delivery.processors import SpanQueue
from .forks import in_children
from .settings import environment
from .span_ids import DerivedIds

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from .dag import NodeInfo
    from .delivery.queue import Queue
    from .events import NodeExecution, RunExecution, TaskExecution

MAX_PATH: Final = 4_096
"""Characters of a node's source file, which nobody shortens."""
WEIGHT: Final = 1_000
"""Bytes of memory of a span that nobody has touched."""

_FOLLOWS: Final = sampling.ParentBased(sampling.ALWAYS_ON)
_new = object.__new__


class FastPath:
    """Makes the spans of nodes for *tracer*, one of those that :func:`fast_path` has accepted."""

    lock: threading.RLock

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self._begin()
        in_children(self._begin)

    def of(self, around: RunExecution | TaskExecution, run: RunExecution) -> NodeSpans:
        """Return what makes the spans of the nodes that a run or task begins in this process."""
        return NodeSpans(self, around, run)

    def _begin(self) -> None:
        """Begin with a free lock, as a forked process must."""
        self.lock = threading.RLock()  # a signal handler may close what it has interrupted


def fast_path(tracer: AnyTracer) -> FastPath | None:
    """Return the fast path for *tracer*, None where it is not known to give what the SDK gives."""
    proven = (
        SDK_VERSION in PROVEN
        and type(tracer) is Tracer
        and type(tracer.id_generator) is DerivedIds
        and (tracer.sampler in (sampling.ALWAYS_ON, sampling.ALWAYS_OFF) or _follows_parent(tracer.sampler))
        and (environment(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED) or "false").lower() != "true"
    )
    return FastPath(tracer) if proven and isinstance(tracer, Tracer) else None


class NodeSpans:
    """Makes the spans of nodes in one run or task: what they have in common."""

    def __init__(self, path: FastPath, around: RunExecution | TaskExecution, run: RunExecution) -> None:
        self.path, tracer = path, path.tracer
        self.parent = around.span.get_span_context()
        self.flags = TraceFlags(TraceFlags.SAMPLED | (self.parent.trace_flags & TraceFlags.RANDOM_TRACE_ID))
        self.attributes: Attributes = {
            semconv.DAG_NAME: run.dag.name,
            semconv.DAG_VERSION: run.dag.version,
            semconv.RUN_ID: run.id,
        }
        self.task_id = None if around is run else around.id
        if self.task_id is not None:
            self.attributes[semconv.TASK_ID] = self.task_id
        self.targets = run.targets
        self.tracer, self.resource, self.scope = tracer, tracer.resource, tracer._instrumentation_scope
        self._run_id = run.id
        self.queues = _queues(tracer)
        self._serves = _has_room(tracer, run) and tracer._is_enabled() and self.parent.is_valid
        self._samples = _samples(tracer.sampler, self.parent)

    def start(self, node: NodeExecution) -> bool:
        """Give *node* its span, or none where it is not sampled; return False where the public API has to."""
        if not self._serves or self.queues is None:
            return False
        if not self._samples:
            return True
        span: FastSpan = _new(FastSpan)
        span.spans, span.info = self, node.info
        if self.task_id is None:
            span.span_id = getrandbits(64) or 1
        else:
            span.span_id = span_ids.derive(self.parent.trace_id, self._run_id, self.task_id, node.info.name)
        span.started_at, span.ended_at = node.started_at, 0
        span.is_full = False
        span.known_context = None
        node.span = span
        return True

    def context_of(self, span_id: int) -> SpanContext:
        """Return the context of a span, as the SDK would make it."""
        parent = self.parent
        return SpanContext(parent.trace_id, span_id, False, self.flags, parent.trace_state)

    def targets_of(self, info: NodeInfo) -> list[links.Target]:
        """Return what the span of a node links to."""
        return links.of_node(self.targets, info.dependencies, self.task_id)


class FastSpan(Span):
    """The span of a node. Whoever asks for what is not in its few fields finds a whole span of the SDK."""

    __slots__ = (
        "cache_result", "ended_at", "info", "is_full", "known_context", "span_id", "spans", "started_at", "summary",
    )  # fmt: skip
    spans: NodeSpans
    info: NodeInfo
    span_id: int
    started_at: int
    ended_at: int
    summary: Mapping[str, Value]
    cache_result: str | None
    is_full: bool
    known_context: SpanContext | None

    def finish(self, node: NodeExecution) -> bool:
        """End the span of a node that succeeded; return False where that needs the SDK's span."""
        if self.is_full or node.outcome != "success":
            return False
        spans = self.spans
        self.summary, self.cache_result = node.summary(), node.cache_result
        self.ended_at = node.started_at + node.duration
        if self.is_full and not self._has_ended():
            return False
        links.remember(spans.targets, self.info.name, spans.task_id, self.span_id)
        for queue in spans.queues or ():
            queue.put(self, WEIGHT)
        return True

    def get_span_context(self) -> SpanContext:
        """Return the span's context."""
        if self.known_context is None:
            self.known_context = self.spans.context_of(self.span_id)
        return self.known_context

    def is_recording(self) -> bool:
        """Tell whether the span records."""
        return super().is_recording() if self.is_full else self.ended_at == 0

    def end_attributes(self) -> Attributes:
        """Return the attributes that a span gets at its end."""
        attributes: Attributes = {**self.summary, semconv.OUTCOME: "success"}
        if self.cache_result is not None:
            attributes[semconv.CACHE_RESULT] = self.cache_result
        return attributes

    def __getattr__(self, name: str) -> Any:
        """Become a span of the SDK: one of its fields is asked for."""
        if name in self.__slots__ or self.is_full:  # the former in a copy that is being made
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with self.spans.path.lock:
            if not self.is_full:
                vars(self).update(vars(_full(self)))
                self.is_full = True
                if self.ended_at and self._end_time is None:  # meanwhile; see _has_ended
                    vars(self).update(vars(_full(self)))
        return getattr(self, name)

    def _has_ended(self) -> bool:
        """Tell whether the span, which became full while it was ended, took note of that; else take its end back."""
        with self.spans.path.lock:
            if self._end_time is None:
                self.ended_at = 0
            return self._end_time is not None


class _FullSpan(Span):
    """What the SDK's tracer would have made; only a tracer may make its own class."""


def _full(span: FastSpan) -> Span:
    spans = span.spans
    tracer = spans.tracer
    attributes: Attributes = {**span.info.attributes, **spans.attributes}
    ended_at = span.ended_at  # once: it may end meanwhile
    if ended_at:
        attributes |= span.end_attributes()
    full = _FullSpan(
        name=span.info.span_name,
        context=span.get_span_context(),
        parent=spans.parent,
        sampler=tracer.sampler,
        resource=spans.resource,
        attributes=attributes,
        links=links.as_links(spans.targets_of(span.info), spans.parent),
        span_processor=tracer.span_processor,
        instrumentation_info=tracer.instrumentation_info,
        limits=tracer._span_limits,
        instrumentation_scope=spans.scope,
    )
    full._start_time = span.started_at
    if ended_at:
        full._end_time = ended_at
        full._attributes._immutable = True  # type: ignore[union-attr]
    return full


def _follows_parent(sampler: sampling.Sampler) -> bool:
    """Tell whether a node is sampled where its run is, whatever it is called."""
    return type(sampler) is sampling.ParentBased and all(
        getattr(sampler, name) is getattr(_FOLLOWS, name)
        for name in (
            "_remote_parent_sampled", "_remote_parent_not_sampled", "_local_parent_sampled",
            "_local_parent_not_sampled",
        )
    )  # fmt: skip


def _samples(sampler: sampling.Sampler, parent: SpanContext) -> bool:
    if isinstance(sampler, sampling.StaticSampler):
        return sampler is sampling.ALWAYS_ON
    return parent.trace_flags.sampled


def _has_room(tracer: Tracer, run: RunExecution) -> bool:
    """Tell whether the tracer's limits leave whole what a node's span holds."""
    allowed = tracer._span_limits
    longest = max(run.capture.policy.max_text + 100, MAX_PATH)  # shorten() says how much it left out
    return (
        (allowed.max_span_attribute_length is None or allowed.max_span_attribute_length >= longest)
        and (allowed.max_span_attributes is None or allowed.max_span_attributes >= limits.MAX_ATTRIBUTES)
        and (allowed.max_links is None or allowed.max_links >= links.MAX_LINKS)
    )


def _queues(tracer: Tracer) -> tuple[Queue[ReadableSpan], ...] | None:
    """Return where the tracer's spans go when they end, None where others than our queues take part."""
    if type(tracer.span_processor) is not SynchronousMultiSpanProcessor:
        return None
    processors = tracer.span_processor._span_processors
    if not all(type(processor) is SpanQueue for processor in processors):
        return None
    return tuple(processor.queue for processor in processors if isinstance(processor, SpanQueue))
