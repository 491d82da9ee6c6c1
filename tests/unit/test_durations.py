"""Durations of nodes that are recorded later: none is lost or counted twice, and exemplars stay what they were."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hamilton_otel.durations import MANY, TOO_MANY, Durations
from hamilton_otel.guard import guard
from hamilton_otel.semconv import NODE_DURATIONS
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, TraceFlags, get_current_span

from tests.unit.conftest import run_python
from tests.unit.delivery.receiver import receiving

BOUNDARIES = NODE_DURATIONS.boundaries or ()
SERIES: list[dict[str, Any]] = [{"node": name} for name in "abc"]


def span_of(span_id: int, sampled: bool = True) -> Span:
    """Return a span whose id says which it is."""
    return NonRecordingSpan(SpanContext(1, span_id, False, TraceFlags(int(sampled))))


class Recorded:
    """Counts what is recorded."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.values: list[float] = []
        self.spans: list[int] = []
        self.meanwhile = meanwhile

    def __call__(self, seconds: float, attributes: Any, context: Context) -> None:
        self.values.append(seconds)
        self.spans.append(get_current_span(context).get_span_context().span_id)
        self.meanwhile()


def test_all_are_recorded_once_whichever_threads_add_and_collect() -> None:
    """Eight threads that add while others collect lose nothing and count nothing twice."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    durations = Durations(
        meter.create_histogram("d", explicit_bucket_boundaries_advisory=BOUNDARIES).record, BOUNDARIES
    )
    meter.create_observable_gauge("g", [lambda options: durations.record() or ()])  # type: ignore[func-returns-value]
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            reader.collect()

    def add(number: int) -> None:
        for seconds in range(3_000):
            durations.add(seconds / 1_000, SERIES[seconds % 3], span_of(number * 3_000 + seconds + 1))

    collector = threading.Thread(target=collect)
    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in (collector, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collector.join()
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        point
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "d"
        for point in metric.data.data_points
    ]
    assert {(point.attributes or {})["node"]: getattr(point, "count", 0) for point in points} == dict.fromkeys(
        "abc", 8_000
    )
    assert sum(getattr(point, "sum", 0) for point in points) == pytest.approx(8 * sum(range(3_000)) / 1_000)


def test_exemplars_are_those_of_recording_at_once() -> None:
    """For each series and bucket the last exemplar is the one that immediate recording would have left."""
    random = Random(1)
    given = [(random.expovariate(1), random.choice(SERIES), span_of(number + 1)) for number in range(500)]
    found: list[Any] = []
    for later in (True, False):
        reader = InMemoryMetricReader()
        meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
        record = meter.create_histogram("d", explicit_bucket_boundaries_advisory=BOUNDARIES).record
        durations = Durations(record, BOUNDARIES)
        for seconds, attributes, span in given:
            durations.add(seconds, attributes, span)
            if not later:
                durations.record()
        durations.record()
        data = reader.get_metrics_data()
        assert data is not None
        points: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
        found.append(
            {
                (point.attributes["node"], point.count, point.sum, tuple(point.bucket_counts)): sorted(
                    (exemplar.span_id, exemplar.value) for exemplar in point.exemplars
                )
                for point in points
            }
        )
    assert found[0] == found[1]


@pytest.mark.parametrize("unseen", [INVALID_SPAN, span_of(2, sampled=False)], ids=["no span", "not sampled"])
def test_a_run_that_is_not_sampled_does_not_hide_the_exemplars_of_one_that_is(unseen: Span) -> None:
    """The exemplar of a bucket is the last duration with a sampled span, whatever follows."""
    recorded = Recorded()
    durations = Durations(recorded, BOUNDARIES)
    durations.add(0.1, SERIES[0], span_of(1))
    durations.add(0.1, SERIES[0], unseen)
    durations.record()
    assert recorded.spans == [1, 0]


def test_what_records_may_be_interrupted_by_what_flushes() -> None:
    """A signal handler that records in the middle of it loses nothing and repeats nothing."""
    recorded = Recorded()
    durations = Durations(recorded, BOUNDARIES)
    pending = [lambda: durations.add(0.5, SERIES[0], span_of(500)), durations.record]

    def meanwhile() -> None:
        if len(recorded.values) == 3:
            for act in pending:
                act()

    recorded.meanwhile = meanwhile
    for number in range(10):
        durations.add(float(number), SERIES[0], span_of(number + 1))
    durations.record()
    assert sorted(recorded.values) == sorted([*map(float, range(10)), 0.5])


def test_an_interruption_loses_none_of_those_that_wait() -> None:
    """After a KeyboardInterrupt in the middle, the next recording goes on where this one stopped."""
    recorded = Recorded()
    durations = Durations(recorded, BOUNDARIES)
    interruptions = [KeyboardInterrupt()]

    def meanwhile() -> None:
        if interruptions and len(recorded.values) == 3:
            raise interruptions.pop()

    recorded.meanwhile = meanwhile
    for number in range(10):
        durations.add(float(number), SERIES[0], span_of(number + 1))
    with pytest.raises(KeyboardInterrupt):
        durations.record()
    durations.record()
    assert recorded.values == list(map(float, range(10)))


def test_so_many_are_recorded_without_a_collection() -> None:
    """Some thousand that wait are recorded in the background, without any collection."""
    seen = threading.Event()
    recorded = Recorded()
    recorded.meanwhile = lambda: seen.set() if len(recorded.values) >= MANY else None
    durations = Durations(recorded, BOUNDARIES)
    for number in range(MANY):
        durations.add(float(number), SERIES[0], INVALID_SPAN)
    assert seen.wait(20)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the thread that brings too many records them itself."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    recorded = Recorded()
    durations = Durations(recorded, BOUNDARIES)
    for number in range(TOO_MANY + 10):
        durations.add(float(number), SERIES[0], INVALID_SPAN)
    assert len(recorded.values) == TOO_MANY
    durations.record()
    assert recorded.values == list(map(float, range(TOO_MANY + 10)))


def test_recording_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrument that raises once does not end the recording in the background for good."""
    monkeypatch.setattr(guard, "reraise", False)
    recorded = Recorded()
    raised: list[int] = []

    def meanwhile() -> None:
        if not raised:
            raised.append(1)
            raise ValueError("the instrument is broken")

    recorded.meanwhile = meanwhile
    durations = Durations(recorded, BOUNDARIES)
    for number in range(2 * MANY):
        durations.add(float(number), SERIES[0], INVALID_SPAN)
    for thread in threading.enumerate():
        if thread.name == "hamilton-otel-durations":
            thread.join(20)
    durations.record()
    assert Counter(recorded.values) == Counter(map(float, range(2 * MANY)))


def test_a_forked_process_begins_with_none_and_with_a_free_lock() -> None:
    """What waits in the parent, and the lock that another of its threads holds, are not the child's."""
    recorded = Recorded()
    durations = Durations(recorded, BOUNDARIES)
    durations.add(1.0, SERIES[0], INVALID_SPAN)
    held, release = threading.Event(), threading.Event()

    def meanwhile() -> None:
        held.set()
        release.wait(20)

    recorded.meanwhile = meanwhile
    holder = threading.Thread(target=durations.record)
    durations.add(2.0, SERIES[0], INVALID_SPAN)
    holder.start()
    assert held.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        mine = Recorded()
        durations._record = mine
        durations.add(3.0, SERIES[0], INVALID_SPAN)
        durations.record()
        os._exit(0 if mine.values == [3.0] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()
    holder.join(20)
    assert recorded.values == [1.0, 2.0]


@pytest.mark.parametrize("end", ["hamilton_otel.flush(10); os._exit(0)", "", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_what_waits_is_delivered_at_a_flush_and_at_the_end(tmp_path: Path, end: str) -> None:
    """`flush()`, the end of the process and a termination deliver the duration of every node."""
    code = f"""
import os, signal
from hamilton import ad_hoc_utils, driver
import hamilton_otel

def number(start: int) -> int:
    return start

module = ad_hoc_utils.create_temporary_module(number)
dr = driver.Builder().with_modules(module).with_adapters(hamilton_otel.TelemetryAdapter("d")).build()
with_endpoint = hamilton_otel.configure()
for _ in range(20):
    dr.execute(["number"], inputs={{"start": 1}})
{end}
"""
    with receiving() as receiver:
        run_python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, HAMILTON_OTEL_EXIT_TIMEOUT="10")
        assert receiver.total("hamilton.node.duration") == 20
