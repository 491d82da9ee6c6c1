"""Observed pipelines that tests start as processes: `python workload.py KIND OPTIONS-AS-JSON`.

They use hamilton_otel as a user does; what they send where is up to the environment.
"""

import atexit
import gc
import importlib
import json
import logging
import os
import select
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import hamilton_otel
import pandas as pd
import structlog
from hamilton import ad_hoc_utils, driver
from hamilton.function_modifiers import check_output, save_to, source
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider


def dataflow(nodes: int) -> Any:
    """Return a module with a chain of so many nodes."""

    def node_0(start: int) -> int:
        return start

    functions = [node_0]
    for number in range(1, nodes):
        previous = f"node_{number - 1}"
        scope: dict[str, Any] = {}
        exec(f"def node_{number}({previous}: int) -> int:\n    return {previous}", scope)
        functions.append(scope[f"node_{number}"])
    return ad_hoc_utils.create_temporary_module(*functions)


def build(module: Any, dag: str) -> driver.Driver:
    adapter = hamilton_otel.TelemetryAdapter(dag)
    return driver.Builder().with_modules(module).with_adapters(adapter).build()


def runs(options: dict[str, Any]) -> None:
    """So many runs; with `flush`, each is exported before the next."""
    hamilton_otel.configure()
    nodes = options.get("nodes", 1)
    dr = build(dataflow(nodes), options["dag"])
    for _ in range(options["runs"]):
        dr.execute([f"node_{nodes - 1}"], inputs={"start": 1})
        if options.get("flush") and not hamilton_otel.flush(30):
            sys.exit("flush was not done in time")


def processes(options: dict[str, Any]) -> None:
    """One run in each of so many processes, a few at a time; each configures itself and exits as a program does.

    Forked, with all that they import in memory: a thousand starts of Python would take half an hour.
    """
    for signal in ("trace_exporter", "metric_exporter", "_log_exporter"):
        importlib.import_module(f"opentelemetry.exporter.otlp.proto.http.{signal}")
    for loaded_when_needed in ("pipelines", "log_bridges", "local_store", "span_encoding", "delivery.session"):
        importlib.import_module(f"hamilton_otel.{loaded_when_needed}")
    gc.freeze()
    module = dataflow(1)
    left, alive = options["processes"], 0
    while left or alive:
        if left and alive < 4:
            if os.fork() == 0:
                hamilton_otel.configure()
                build(module, options["dag"]).execute(["node_0"], inputs={"start": 1})
                atexit._run_exitfuncs()
                os._exit(0)
            left, alive = left - 1, alive + 1
        else:
            _, status = os.wait()
            assert status == 0, f"a process ended with status {status}"
            alive -= 1


def talks(options: dict[str, Any]) -> None:
    """One run whose node writes a line through structlog and one through logging."""
    hamilton_otel.configure()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)

    def talking(start: int) -> int:
        structlog.get_logger().info("line of structlog", rows=3)
        logging.getLogger("user").info("line of logging")
        return start

    build(ad_hoc_utils.create_temporary_module(talking), options["dag"]).execute(["talking"], inputs={"start": 1})


def prints(options: dict[str, Any]) -> None:
    """One run, whose result is printed."""
    hamilton_otel.configure()

    def answer(start: int) -> int:
        return start + 1

    print(build(ad_hoc_utils.create_temporary_module(answer), options["dag"]).execute(["answer"], inputs={"start": 41}))


def outlasts(options: dict[str, Any]) -> None:
    """So many runs that meet no Collector, and as many once what they left in the spool has gone."""
    runs(options)
    hamilton_otel.flush(1)
    deadline = time.monotonic() + 90
    while any(Path(options["spool"]).glob("*/*.jsonl")):
        assert time.monotonic() < deadline, "the Collector has not come back"
        time.sleep(0.1)
        hamilton_otel.flush(1)
    runs(options)


def loads(options: dict[str, Any]) -> None:
    """Runs until standard input ends, each with a line of its own; tells all spans, lines and times of runs."""
    hamilton_otel.configure()
    traces: dict[str, list[str]] = {}
    lines: list[str] = []
    times: list[float] = []

    class Listener(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            context = span.get_span_context()
            assert context is not None
            spans = traces.setdefault(trace.format_trace_id(context.trace_id), [])
            spans.append(trace.format_span_id(context.span_id))

    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(Listener())

    def speaking(start: int) -> int:
        lines.append(f"line {uuid.uuid4()}")
        logging.getLogger("user").warning(lines[-1])
        return start

    logging.getLogger("user").addHandler(logging.NullHandler())
    dr = build(ad_hoc_utils.create_temporary_module(speaking), options["dag"])
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        dr.execute(["speaking"], inputs={"start": 1})
        times.append(time.time())
    print(json.dumps({"traces": traces, "lines": lines, "runs": times, "retries": 0, "codes": []}))


def bursts(options: dict[str, Any]) -> None:
    """So many spans as fast as possible, in ten traces."""
    hamilton_otel.configure()
    tracer = trace.get_tracer("burst")
    for _ in range(10):
        with tracer.start_as_current_span("burst"):
            for _ in range(options["spans"] // 10 - 1):
                tracer.start_span("burst").end()


def stays(options: dict[str, Any]) -> None:
    """One run, after which the process lives until it is killed."""
    runs({**options, "runs": 1})
    while True:
        time.sleep(60)


def hangs(options: dict[str, Any]) -> None:
    """One run that goes on until the process is killed."""
    hamilton_otel.configure()

    def endless(start: int) -> int:
        while True:
            time.sleep(1)

    build(ad_hoc_utils.create_temporary_module(endless), options["dag"]).execute(["endless"], inputs={"start": 1})


def tables(options: dict[str, Any]) -> None:
    """One run over a table of ten rows, which fails a check and is saved."""
    hamilton_otel.configure()
    logging.basicConfig(stream=sys.stdout)

    @check_output(range=(0, 5), importance="warn")
    def column(start: int) -> pd.Series:
        return pd.Series(range(10))

    @save_to.csv(path=source("path"), output_name_="saved")
    def table(column: pd.Series) -> pd.DataFrame:
        return column.to_frame("a")

    inputs = {"start": 1, "path": options["path"]}
    build(ad_hoc_utils.create_temporary_module(column, table), options["dag"]).execute(["saved"], inputs=inputs)


if __name__ == "__main__":
    kinds = (runs, processes, prints, talks, outlasts, loads, bursts, stays, hangs, tables)
    {kind.__name__: kind for kind in kinds}[sys.argv[1]](json.loads(sys.argv[2]))
