"""The variants: the bare driver, what is compared with it, and ours in the configuration of this process.

OpenTelemetry's globals exist once a process, so another configuration of ours is another process (``child.py``). Not
for measuring.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Final

from hamilton import async_driver, driver
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from . import peers
from .adapters import DAG, Floor, NoOp
from .graphs import Graph

QUEUE: Final = 200_000
"""Spans that the floor's processor holds: more than any sample makes, since it is to lose none."""
AT_ONCE: Final = 4
"""Threads that execute a driver at once in the variants of that name."""


@dataclass
class Subject:
    """A variant that is ready to be measured with a graph of *nodes* nodes, by *threads* threads at once.

    *spans* are those that an execution makes for the prefix *sends_to* of the receiver.
    """

    run: Callable[[], object]
    nodes: int
    flush: Callable[[], object] = lambda: None
    threads: int = 1
    spans: int = 0
    sends_to: str = ""
    executions: int = 0
    _counting: Lock = field(default_factory=Lock)

    def execute(self) -> None:
        """Execute the driver once, in this thread."""
        self.run()
        with self._counting:
            self.executions += 1


class Variants:
    """Makes variants that send to the receiver at *url*; *environment* configures ours, *directory* is for modules."""

    def __init__(self, url: str, environment: Mapping[str, str], directory: Path) -> None:
        self._url = url
        self._environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/ours", **environment}
        self._directory = directory
        self._modules: dict[Graph, ModuleType] = {}
        self._loop = asyncio.new_event_loop()
        # Made first, because the environment is for ours alone.
        self._floor, self._tracer = (_own_provider(f"{url}/{prefix}/v1/traces") for prefix in ("floor", "tracer"))

    def make(self, name: str, graph: Graph) -> Subject:
        """Return the variant *name* for *graph*; raises peers.NotInstalled where its package is missing.

        A name such as "ours, 4 threads" is the variant of the first part, executed in another way.
        """
        variant, _, way = name.partition(", ")
        if way == "async":
            return self._asynchronous(variant, replace(graph, coroutines=True))
        subject = self._synchronous(variant, graph)
        if way == "threads":
            subject.threads = AT_ONCE
        return subject

    def _synchronous(self, variant: str, graph: Graph) -> Subject:
        adapters: Sequence[Any] = ()
        subject = Subject(lambda: None, graph.nodes)
        match variant:
            case "bare":
                pass
            case "no-op":
                adapters = [NoOp()]
            case "floor":
                adapters = [Floor(self._floor.get_tracer("floor"))]
                subject = replace(subject, flush=self._floor.force_flush, spans=graph.nodes, sends_to="floor")
            case "ours":
                adapters, subject = [self._ours().TelemetryAdapter(DAG)], self._flushed(subject)
            case "unconfigured":
                adapters = [importlib.import_module("hamilton_otel").TelemetryAdapter(DAG)]
            case "OpenTelemetryTracer":
                from hamilton.plugins.h_opentelemetry import OpenTelemetryTracer

                adapters = [OpenTelemetryTracer(tracer=self._tracer.get_tracer("tracer"))]
                subject = replace(subject, flush=self._tracer.force_flush, spans=graph.nodes + 1, sends_to="tracer")
            case "HamiltonTracker":
                adapters, subject.flush = peers.hamilton_tracker(self._url)
            case "DDOGTracer":
                adapters, subject.flush = peers.datadog(self._url)
            case _:
                raise KeyError(variant)
        observed = driver.Builder().with_modules(self._module(graph)).with_adapters(*adapters).build()
        outputs = graph.outputs
        subject.run = lambda: observed.execute(outputs)
        return subject

    def _asynchronous(self, variant: str, graph: Graph) -> Subject:
        adapters: Sequence[Any] = ()
        subject = Subject(lambda: None, graph.nodes)
        if variant == "ours":
            adapters, subject = self._ours().async_adapters(DAG), self._flushed(subject)
        builder = async_driver.Builder().with_modules(self._module(graph)).with_adapters(*adapters)
        observed = self._loop.run_until_complete(builder.build())
        outputs = graph.outputs
        subject.run = lambda: self._loop.run_until_complete(observed.execute(outputs))
        return subject

    def _module(self, graph: Graph) -> ModuleType:
        if graph not in self._modules:
            self._modules[graph] = graph.module(self._directory)
        return self._modules[graph]

    def _ours(self) -> Any:
        os.environ.update(self._environment)
        hamilton_otel = importlib.import_module("hamilton_otel")
        hamilton_otel.configure(service_name="benchmark")
        return hamilton_otel

    def _flushed(self, subject: Subject) -> Subject:
        def flush() -> None:
            if not self._ours().flush(60.0):
                raise AssertionError("The receiver did not take our telemetry.")

        silent = ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED")
        spans = 0 if any(name in self._environment for name in silent) else subject.nodes + 1
        return replace(subject, flush=flush, spans=spans, sends_to="ours")


def _own_provider(url: str) -> TracerProvider:
    """Return a provider that neither environment nor globals know, with the stock processor and exporter to *url*."""
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url), max_queue_size=QUEUE))
    return provider
