"""A run on its way to a worker process, and what becomes of it there.

It travels in the pickled adapter: plain, small, and able to be carried on. Not for headers and environment variables:
``propagation.py`` does those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .capture import Capture, Value
from .dag import Dag
from .events import RunExecution, Sinks
from .open_runs import OpenRun

MAX_SUBMITTED: Final = 20
_TRACE = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class CarriedRun:
    """What a worker process needs to know of a run.

    ``trace`` holds W3C headers. ``submitted`` maps the tasks that were submitted last to the time (Unix nanoseconds) at
    which they were: executors pickle when they please. ``swallows`` says that another adapter of the run swallows the
    exceptions of nodes.
    """

    id: str
    dag_name: str
    dag_version: str
    tags: Mapping[str, Value]
    trace: Mapping[str, str]
    submitted: Mapping[str, int]
    swallows: bool


def carry(open_run: OpenRun) -> CarriedRun:
    """Return a run in progress as a worker process needs it."""
    run = open_run.run
    trace: dict[str, str] = {}
    _TRACE.inject(trace, run.context)
    return CarriedRun(
        id=run.id,
        dag_name=run.dag.name,
        dag_version=run.dag.version,
        tags=run.tags,
        trace=trace,
        submitted=dict(list(open_run.submitted.items())[-MAX_SUBMITTED:]),
        swallows=open_run.swallows,
    )


def adopt(carried: CarriedRun, sinks: Sinks, policy: Capture) -> OpenRun:
    """Return this process's part of a run that another process has started, under the same *policy*."""
    context = _TRACE.extract(dict(carried.trace), Context())
    run = RunExecution(
        around=context,
        id=carried.id,
        sinks=sinks,
        dag=Dag(carried.dag_name, carried.dag_version, {}),
        tags=carried.tags,
        capture=policy,
        started_at=time_ns(),
        clock=perf_counter_ns(),
    )
    run.span = get_current_span(context)
    return OpenRun(run, adopted=True, swallows=carried.swallows, submitted=dict(carried.submitted))
