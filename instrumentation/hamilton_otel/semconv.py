"""Every name that leaves the process: spans, attributes, metrics and log events, each with unit and meaning.

Not for behaviour. The README's tables, the dashboards, the rules and the tests are checked against this module.
The shape follows OpenTelemetry's ``cicd.pipeline.run.*`` (there is no convention for data pipelines); units are UCUM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCOPE: Final = "hamilton_otel"
"""Instrumentation scope of everything that we emit; the Collector routes by it."""

OWN_PREFIX: Final = "hamilton."
"""What the names begin with that are ours; all others are OpenTelemetry's."""

MetricKind = Literal["counter", "histogram", "observable_counter", "observable_up_down_counter", "observable_gauge"]
Pipeline = Literal["aggregated", "live"]
Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]

ATTRIBUTES: Final[dict[str, str]] = {}
METRICS: Final[dict[str, Metric]] = {}
PROCESS_METRICS: Final[dict[str, Metric]] = {}
"""OpenTelemetry's own names, of what a process takes that lives longer than a heartbeat (``process_metrics.py``)."""
HOST_METRICS: Final[dict[str, Metric]] = {}
"""OpenTelemetry's own names, of what the Collector measures of its host (``collector/config.yaml``)."""
EVENTS: Final[dict[str, Event]] = {}
SPANS: Final[dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument: what it measures and which attributes its points carry.

    ``aggregated`` metrics are summed over all processes by the Collector, ``live`` ones keep their process.
    """

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    attributes: tuple[str, ...]
    pipeline: Pipeline = "aggregated"
    boundaries: tuple[float, ...] | None = None

    @property
    def prometheus_name(self) -> str:
        """Return the metric's name in Prometheus, without ``_bucket`` / ``_count`` / ``_sum``."""
        unit = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}.get(self.unit, "")
        total = "_total" if self.kind in ("counter", "observable_counter") else ""
        return self.name.replace(".", "_") + unit + total


@dataclass(frozen=True, slots=True)
class Event:
    """One log event: its name, its level, and the sentence that is its body."""

    name: str
    level: Level
    body: str
    meaning: str


def _attribute(name: str, meaning: str) -> str:
    ATTRIBUTES[name] = meaning
    return name


def _metric(metric: Metric) -> Metric:
    METRICS[metric.name] = metric
    return metric


def _measured(
    catalogue: dict[str, Metric],
    name: str,
    kind: MetricKind,
    unit: str,
    meaning: str,
    attributes: tuple[str, ...] = (),
) -> Metric:
    catalogue[name] = metric = Metric(name, kind, unit, meaning, attributes, "live")
    return metric


def _event(event: Event) -> Event:
    EVENTS[event.name] = event
    return event


def _span(template: str, meaning: str) -> str:
    SPANS[template] = meaning
    return template


DAG_NAME: Final = _attribute("hamilton.dag.name", "Name of the DAG, as given to the adapter.")
DAG_VERSION: Final = _attribute("hamilton.dag.version", "Hash of the source of all nodes; computed once per graph.")
DAG_NODES: Final = _attribute("hamilton.dag.nodes", "JSON list of the DAG's nodes: name, type, version, tags, input.")
DAG_EDGES: Final = _attribute("hamilton.dag.edges", "JSON list of [from, to] node names.")
DAG_NODE_COUNT: Final = _attribute("hamilton.dag.node_count", "Number of nodes in the DAG.")
DAG_TRUNCATED: Final = _attribute("hamilton.dag.truncated", "True where nodes or edges were left out for size.")
TEAM: Final = _attribute("hamilton.team", "Value of the `team` tag; the only tag that metrics carry.")
RUN_ID: Final = _attribute("hamilton.run.id", "Hamilton's id of the run (UUID).")
RUN_TAGS: Final = _attribute("hamilton.run.tags", "Prefix of the run's tags: `hamilton.run.tags.<tag>`.")
RUN_OUTPUTS: Final = _attribute("hamilton.run.outputs", "Names of the requested outputs.")
RUN_INPUTS: Final = _attribute("hamilton.run.inputs", "Names of the run's inputs.")
RUN_INPUT: Final = _attribute(
    "hamilton.run.input", "Prefix of the inputs' values, where values are allowed: `hamilton.run.input.<name>`."
)
RUN_OVERRIDES: Final = _attribute("hamilton.run.overrides", "Names of the overridden nodes.")
RUN_DURATION: Final = _attribute("hamilton.run.duration", "Duration of the run in seconds (log events).")
RUN_NODE_COUNT: Final = _attribute("hamilton.run.node_count", "Number of nodes that the run executed.")
RUN_FAILED_NODE_COUNT: Final = _attribute("hamilton.run.failed_node_count", "Number of nodes that failed.")
NODE_NAME: Final = _attribute("hamilton.node.name", "Name of the node.")
NODE_VERSION: Final = _attribute("hamilton.node.version", "Hash of the node's source.")
NODE_TYPE: Final = _attribute("hamilton.node.type", "Declared type of the node's result.")
NODE_TAGS: Final = _attribute("hamilton.node.tags", "Prefix of the node's tags: `hamilton.node.tags.<tag>`.")
NODE_DURATION: Final = _attribute("hamilton.node.duration", "Duration of the node in seconds (log events).")
NODE_INPUTS: Final = _attribute(
    "hamilton.node.inputs", "JSON object: input name -> type and shape; and ` = value`, where values are allowed."
)
TASK_ID: Final = _attribute("hamilton.task.id", "Id of the task, or of the task that executed the node.")
OUTCOME: Final = _attribute("hamilton.outcome", "`success`, `failure` or `cancelled`.")
ERROR_TYPE: Final = _attribute("error.type", "Qualified name of the exception; only on failures.")
ERROR_KIND: Final = _attribute(
    "hamilton.error.kind", "`system` (memory, network, broken workers) or `user` (everything else)."
)
TASK_NAME: Final = _attribute("hamilton.task.name", "Name of the task, the same for all tasks of a parallel block.")
TASK_WAIT: Final = _attribute("hamilton.task.wait", "Seconds from the task's submission to its start.")
CACHE_RESULT: Final = _attribute("hamilton.cache.result", "`hit` or `miss`, where Hamilton's cache was asked.")
RUN_RESUMED: Final = _attribute("hamilton.run.resumed", "True where the run reuses what a failed run had stored.")
RUN_ROWS: Final = _attribute(
    "hamilton.run.rows",
    "JSON object: node name -> rows of its tabular results; up to 200 nodes. Of nodes that other processes executed, "
    "those whose results came to the run's own (not with the graph adapters of Ray and Dask).",
)
ROWS_DIRECTION: Final = _attribute("hamilton.rows.direction", "`in`: rows that a node read; `out`: rows of its result.")
CHECK: Final = _attribute("hamilton.data_quality.check", "Name of the validator of `@check_output`.")
CHECK_RESULT: Final = _attribute("hamilton.data_quality.result", "`pass` or `fail`.")
CHECK_MESSAGE: Final = _attribute("hamilton.data_quality.message", "What the validator says of it, shortened.")
ARTIFACT_OPERATION: Final = _attribute("hamilton.artifact.operation", "`save` or `load`.")
ARTIFACT_FORMAT: Final = _attribute(
    "hamilton.artifact.format",
    "Hamilton's name of the saver or loader (`csv`, `parquet`, ...); the function's of a `@datasaver`, `loader` of a "
    "`@dataloader`.",
)
ARTIFACT_SIZE: Final = _attribute("hamilton.artifact.size", "Size of the file in bytes, where Hamilton tells it.")
ARTIFACT_ROWS: Final = _attribute("hamilton.artifact.rows", "Rows that were saved or loaded, where Hamilton tells it.")
ARTIFACT_PATH: Final = _attribute("hamilton.artifact.path", "Path of the file, where values are allowed.")
RESULT_TYPE: Final = _attribute("hamilton.result.type", "Type of the result.")
RESULT_ROWS: Final = _attribute("hamilton.result.rows", "Number of rows, or length of a container.")
RESULT_COLUMNS: Final = _attribute("hamilton.result.columns", "Number of columns.")
RESULT_SIZE: Final = _attribute("hamilton.result.size", "Size in memory, bytes, where the result knows it.")
RESULT_VALUE: Final = _attribute("hamilton.result.value", "The result as text, where values are allowed.")
CODE_FUNCTION: Final = _attribute("code.function.name", "Qualified name of the function behind the node.")
CODE_FILE: Final = _attribute("code.file.path", "File of that function.")
CODE_LINE: Final = _attribute("code.line.number", "Its first line.")
EXCEPTION_TYPE: Final = _attribute("exception.type", "Qualified name of the exception (exception event).")
EXCEPTION_MESSAGE: Final = _attribute("exception.message", "Its message, shortened.")
EXCEPTION_STACKTRACE: Final = _attribute("exception.stacktrace", "Its stack trace, shortened, without values.")

SIGNAL: Final = _attribute("hamilton.telemetry.signal", "`traces`, `metrics` or `logs`.")
REASON: Final = _attribute("hamilton.telemetry.reason", "Why telemetry was dropped.")
INSTRUMENT: Final = _attribute("hamilton.telemetry.instrument", "Name of the metric that has too many attribute sets.")
LIMIT: Final = _attribute("hamilton.limit", "What there was too much of: `spans` or `tags`.")
OVERFLOW: Final = _attribute(
    "otel.metric.overflow", "True on the one point that takes what is beyond a metric's limit of attribute sets."
)

EXCEPTION_EVENT: Final = "exception"
"""Span event on the failing node and on its run (OpenTelemetry's exception convention)."""
RETRY_EVENT: Final = "retry"
"""Span event on a node for each retry given to ``record_retry()``."""

SPAN_RUN: Final = _span("run {dag}", "One execution of a DAG; root, or child of the caller's span.")
SPAN_TASK: Final = _span("task {task}", "One task of task-based execution; child of its run.")
SPAN_NODE: Final = _span("node {node}", "One executed node; child of its task or run, linked to its inputs' spans.")

_DAG = (DAG_NAME, TEAM)
_DURATIONS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)

RUN_STARTS: Final = _metric(
    Metric("hamilton.run.starts", "counter", "{run}", "Runs started.", _DAG),
)
RUN_DURATIONS: Final = _metric(
    Metric(
        "hamilton.run.duration",
        "histogram",
        "s",
        "Duration of finished runs; its count is the number of finished runs.",
        (*_DAG, OUTCOME),
        boundaries=(
            0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            60.0, 150.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0,
        ),
    ),
)  # fmt: skip
RUN_FAILURES: Final = _metric(
    Metric("hamilton.run.failures", "counter", "{run}", "Runs that failed.", (*_DAG, ERROR_TYPE, ERROR_KIND)),
)
RUN_ACTIVE: Final = _metric(
    Metric(
        "hamilton.run.active",
        "observable_up_down_counter",
        "{run}",
        "Runs in progress in a process that has lived longer than one heartbeat.",
        _DAG,
        "live",
    ),
)
RUN_OLDEST_START: Final = _metric(
    Metric(
        "hamilton.run.oldest_start.time",
        "observable_gauge",
        "s",
        "Unix time at which the oldest run in progress started.",
        _DAG,
        "live",
    ),
)
NODE_DURATIONS: Final = _metric(
    Metric(
        "hamilton.node.duration",
        "histogram",
        "s",
        "Duration of executed nodes; its count is the number of executed nodes.",
        (*_DAG, NODE_NAME, OUTCOME),
        boundaries=_DURATIONS,
    ),
)
NODE_FAILURES: Final = _metric(
    Metric(
        "hamilton.node.failures",
        "counter",
        "{node}",
        "Nodes that failed.",
        (*_DAG, NODE_NAME, ERROR_TYPE, ERROR_KIND),
    ),
)
NODE_RETRIES: Final = _metric(
    Metric(
        "hamilton.node.retries",
        "counter",
        "{retry}",
        "Retries inside nodes, as told by `record_retry()`.",
        (*_DAG, NODE_NAME, ERROR_TYPE),
    ),
)
CACHE_LOOKUPS: Final = _metric(
    Metric(
        "hamilton.cache.lookups",
        "counter",
        "{lookup}",
        "Nodes that were looked for in Hamilton's cache.",
        (*_DAG, NODE_NAME, CACHE_RESULT),
    ),
)
CACHE_STORES: Final = _metric(
    Metric("hamilton.cache.stores", "counter", "{store}", "Results stored in Hamilton's cache.", (*_DAG, NODE_NAME)),
)
RUN_RESUMES: Final = _metric(
    Metric("hamilton.run.resumes", "counter", "{run}", "Runs that reuse what a failed run had stored.", _DAG),
)
TASK_DURATIONS: Final = _metric(
    Metric(
        "hamilton.task.duration",
        "histogram",
        "s",
        "Duration of executed tasks (task-based execution).",
        (*_DAG, TASK_NAME, OUTCOME),
        boundaries=_DURATIONS,
    ),
)
TASK_WAITS: Final = _metric(
    Metric(
        "hamilton.task.wait.duration",
        "histogram",
        "s",
        "Time from a task's submission to its start.",
        (*_DAG, TASK_NAME),
        boundaries=_DURATIONS,
    ),
)
TASK_ACTIVE: Final = _metric(
    Metric(
        "hamilton.task.active",
        "observable_up_down_counter",
        "{task}",
        "Tasks that a process is executing.",
        _DAG,
        "live",
    ),
)
TASK_PENDING: Final = _metric(
    Metric(
        "hamilton.task.pending",
        "observable_up_down_counter",
        "{task}",
        "Tasks that were submitted and have neither started in the run's own process nor returned to it.",
        _DAG,
        "live",
    ),
)
FANOUT_SIZES: Final = _metric(
    Metric(
        "hamilton.fanout.size",
        "histogram",
        "{task}",
        "Tasks of a parallel block, by the node that opened it.",
        (*_DAG, NODE_NAME),
        boundaries=(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0),
    ),
)
ROWS: Final = _metric(
    Metric(
        "hamilton.rows",
        "counter",
        "{row}",
        "Rows of tabular values that nodes read and made; of whatever has a `shape` of one or two dimensions.",
        (*_DAG, NODE_NAME, ROWS_DIRECTION),
    ),
)
CHECKS: Final = _metric(
    Metric(
        "hamilton.data_quality.checks",
        "counter",
        "{check}",
        "Checks of a node's result by `@check_output` and `@check_output_custom`.",
        (*_DAG, NODE_NAME, CHECK, CHECK_RESULT),
    ),
)
ARTIFACT_SIZES: Final = _metric(
    Metric(
        "hamilton.artifact.size",
        "histogram",
        "By",
        "Size of the files that Hamilton's savers and loaders saved and loaded, where they tell it.",
        (*_DAG, NODE_NAME, ARTIFACT_FORMAT),
        boundaries=tuple(float(2**power * factor) for power in (10, 20, 30) for factor in (1, 10, 100)),
    ),
)
ARTIFACT_DURATIONS: Final = _metric(
    Metric(
        "hamilton.artifact.operation.duration",
        "histogram",
        "s",
        "Duration of Hamilton's savers and loaders.",
        (*_DAG, NODE_NAME, ARTIFACT_OPERATION, OUTCOME),
        boundaries=_DURATIONS,
    ),
)
TELEMETRY_ERRORS: Final = _metric(
    Metric(
        "hamilton.telemetry.errors",
        "observable_counter",
        "{error}",
        "Errors of our own that were swallowed so that the user's run went on.",
        (),
    ),
)
TELEMETRY_DROPPED: Final = _metric(
    Metric(
        "hamilton.telemetry.dropped",
        "observable_counter",
        "{item}",
        "Spans, log records and metric points that were given up.",
        (SIGNAL, REASON),
    ),
)
TELEMETRY_SPOOLED: Final = _metric(
    Metric(
        "hamilton.telemetry.spooled",
        "observable_counter",
        "{item}",
        "Items kept on disk because they could not be sent.",
        (SIGNAL,),
    ),
)
TELEMETRY_REPLAYED: Final = _metric(
    Metric(
        "hamilton.telemetry.replayed",
        "observable_counter",
        "{item}",
        "Items sent from the disk.",
        (SIGNAL,),
    ),
)
TELEMETRY_REJECTED: Final = _metric(
    Metric(
        "hamilton.telemetry.rejected",
        "observable_counter",
        "{item}",
        "Items set aside because the Collector refused them for good.",
        (SIGNAL,),
    ),
)
TELEMETRY_EXPORTS: Final = _metric(
    Metric(
        "hamilton.telemetry.exports",
        "observable_counter",
        "{export}",
        "Exports, by their outcome.",
        (SIGNAL, OUTCOME),
    ),
)
TELEMETRY_EXPORT_TIME: Final = _metric(
    Metric(
        "hamilton.telemetry.export.time",
        "observable_counter",
        "s",
        "Time spent in exports.",
        (SIGNAL,),
    ),
)
TELEMETRY_OVERFLOWED: Final = _metric(
    Metric(
        "hamilton.telemetry.overflowed",
        "observable_counter",
        "{measurement}",
        "Measurements counted without their attributes, because a metric has too many attribute sets.",
        (INSTRUMENT,),
    ),
)
TELEMETRY_METRICS: Final = (
    TELEMETRY_ERRORS,
    TELEMETRY_DROPPED,
    TELEMETRY_SPOOLED,
    TELEMETRY_REPLAYED,
    TELEMETRY_REJECTED,
    TELEMETRY_EXPORTS,
    TELEMETRY_EXPORT_TIME,
    TELEMETRY_OVERFLOWED,
)
"""What `health.py` counts."""
TELEMETRY_PROBES: Final = _metric(
    Metric("hamilton.telemetry.probes", "counter", "{probe}", "Probes sent by `hamilton-otel doctor`.", ()),
)

_measured(
    PROCESS_METRICS, "process.cpu.time", "observable_counter", "s", "CPU time, by `user` and `system`.", ("type",)
)
PROCESS_CPU_UTILIZATION: Final = _measured(
    PROCESS_METRICS,
    "process.cpu.utilization",
    "observable_gauge",
    "1",
    "CPU time since the last heartbeat as a part of what the CPUs offer.",
)
_measured(
    PROCESS_METRICS,
    "process.context_switches",
    "observable_counter",
    "",
    "Context switches; `involuntary` ones tell that it had to wait for a CPU.",
    ("type",),
)
_measured(PROCESS_METRICS, "process.memory.usage", "observable_up_down_counter", "By", "Physical memory in use (RSS).")
PROCESS_PAGE_FAULTS: Final = _measured(
    PROCESS_METRICS,
    "process.paging.faults",
    "observable_counter",
    "{fault}",
    "Page faults; a `major` one waits for the disk. Not on Windows.",
    ("process.paging.fault_type",),
)
_measured(
    PROCESS_METRICS,
    "process.disk.io",
    "observable_counter",
    "By",
    "Bytes read from and written to disks; on Linux and Windows.",
    ("direction",),
)
_measured(
    PROCESS_METRICS,
    "process.open_file_descriptor.count",
    "observable_up_down_counter",
    "",
    "Open file descriptors; not on Windows.",
)
_measured(PROCESS_METRICS, "process.thread.count", "observable_up_down_counter", "", "Threads.")
_measured(
    PROCESS_METRICS,
    "cpython.gc.collections",
    "observable_counter",
    "{collection}",
    "Collections of Python's garbage collector.",
    ("generation", "cpython.gc.generation"),
)

HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"
"""Attributes of the resource that are labels of everything that is measured live."""

_STATE, _DEVICE, _DIRECTION = ("state",), ("device",), ("device", "direction")
_FILESYSTEM = ("device", "mode", "mountpoint", "type")
_measured(HOST_METRICS, "system.cpu.time", "observable_counter", "s", "CPU time of all CPUs.", _STATE)
_measured(
    HOST_METRICS, "system.cpu.utilization", "observable_gauge", "1", "CPU time as a part of all CPUs' time.", _STATE
)
_measured(HOST_METRICS, "system.cpu.logical.count", "observable_up_down_counter", "{cpu}", "Logical CPUs.")
_measured(
    HOST_METRICS,
    "system.cpu.load_average.1m",
    "observable_gauge",
    "{thread}",
    "Threads that run or wait, over 1 minute.",
)
_measured(HOST_METRICS, "system.cpu.load_average.5m", "observable_gauge", "{thread}", "The same over 5 minutes.")
_measured(HOST_METRICS, "system.cpu.load_average.15m", "observable_gauge", "{thread}", "The same over 15 minutes.")
_measured(HOST_METRICS, "system.memory.usage", "observable_up_down_counter", "By", "Memory.", _STATE)
_measured(HOST_METRICS, "system.memory.utilization", "observable_gauge", "1", "Memory as a part of all memory.", _STATE)
_measured(
    HOST_METRICS,
    "system.paging.usage",
    "observable_up_down_counter",
    "By",
    "Swap, where there is any.",
    ("device", "state"),
)
_measured(
    HOST_METRICS,
    "system.paging.utilization",
    "observable_gauge",
    "1",
    "Swap as a part of all of it.",
    ("device", "state"),
)
_measured(
    HOST_METRICS,
    "system.paging.faults",
    "observable_counter",
    "{faults}",
    "Page faults; a `major` one waits for the disk.",
    ("type",),
)
_measured(
    HOST_METRICS,
    "system.paging.operations",
    "observable_counter",
    "{operations}",
    "Pages moved from and to disks; `major` ones are those of the swap.",
    ("direction", "type"),
)
_measured(HOST_METRICS, "system.disk.io", "observable_counter", "By", "Bytes read and written.", _DIRECTION)
_measured(HOST_METRICS, "system.disk.operations", "observable_counter", "{operations}", "Reads and writes.", _DIRECTION)
_measured(
    HOST_METRICS,
    "system.disk.operation_time",
    "observable_counter",
    "s",
    "Time that these took, summed up.",
    _DIRECTION,
)
_measured(HOST_METRICS, "system.disk.io_time", "observable_counter", "s", "Time in which the disk was busy.", _DEVICE)
_measured(
    HOST_METRICS,
    "system.disk.weighted_io_time",
    "observable_counter",
    "s",
    "The same, times the operations under way.",
    _DEVICE,
)
_measured(
    HOST_METRICS,
    "system.disk.pending_operations",
    "observable_up_down_counter",
    "{operations}",
    "Operations under way.",
    _DEVICE,
)
_measured(
    HOST_METRICS, "system.filesystem.usage", "observable_up_down_counter", "By", "Space.", (*_FILESYSTEM, "state")
)
_measured(
    HOST_METRICS,
    "system.filesystem.utilization",
    "observable_gauge",
    "1",
    "Space in use as a part of all of it.",
    _FILESYSTEM,
)
_measured(
    HOST_METRICS,
    "system.filesystem.inodes.usage",
    "observable_up_down_counter",
    "{inodes}",
    "Inodes.",
    (*_FILESYSTEM, "state"),
)
_measured(HOST_METRICS, "system.network.io", "observable_counter", "By", "Bytes received and sent.", _DIRECTION)
_measured(
    HOST_METRICS, "system.network.packets", "observable_counter", "{packets}", "Packets received and sent.", _DIRECTION
)
_measured(HOST_METRICS, "system.network.errors", "observable_counter", "{errors}", "Packets with errors.", _DIRECTION)
_measured(
    HOST_METRICS, "system.network.dropped", "observable_counter", "{packets}", "Packets that were dropped.", _DIRECTION
)
_measured(
    HOST_METRICS,
    "system.network.connections",
    "observable_up_down_counter",
    "{connections}",
    "TCP connections.",
    ("protocol", "state"),
)
_measured(
    HOST_METRICS, "system.processes.count", "observable_up_down_counter", "{processes}", "Processes.", ("status",)
)
_measured(HOST_METRICS, "system.processes.created", "observable_counter", "{processes}", "Processes that were started.")

RUN_STARTED: Final = _event(Event("hamilton.run.started", "INFO", "Run started", "A run begins."))
RUN_COMPLETED: Final = _event(
    Event("hamilton.run.completed", "INFO", "Run completed", "A run ended with success; duration, counts and tags.")
)
RUN_FAILED: Final = _event(
    Event("hamilton.run.failed", "ERROR", "Run failed", "A run ended with an exception; duration, error, tags.")
)
RUN_CANCELLED: Final = _event(
    Event("hamilton.run.cancelled", "WARN", "Run cancelled", "A run was interrupted (KeyboardInterrupt, SystemExit).")
)
RUN_RESUMED_EVENT: Final = _event(
    Event("hamilton.run.resumed", "INFO", "Run resumed", "A run found the first result that a failed run had stored.")
)
CACHE_HIT: Final = _event(Event("hamilton.cache.hit", "DEBUG", "Cache hit", "A node's result came from the cache."))
NODE_STARTED: Final = _event(Event("hamilton.node.started", "DEBUG", "Node started", "A node begins."))
NODE_COMPLETED: Final = _event(Event("hamilton.node.completed", "DEBUG", "Node completed", "A node ended well."))
NODE_FAILED: Final = _event(
    Event("hamilton.node.failed", "ERROR", "Node failed", "A node raised; types and shapes of its inputs.")
)
NODE_RETRIED: Final = _event(Event("hamilton.node.retried", "WARN", "Node retried", "A node reported a retry."))
CHECK_FAILED: Final = _event(
    Event("hamilton.data_quality.failed", "WARN", "Data quality check failed", "A check of a node's result failed.")
)
ARTIFACT_SAVED: Final = _event(
    Event("hamilton.artifact.saved", "INFO", "Artifact saved", "A saver of Hamilton's ended well; format, size, rows.")
)
ARTIFACT_LOADED: Final = _event(
    Event("hamilton.artifact.loaded", "INFO", "Artifact loaded", "A loader of Hamilton's ended well; likewise.")
)
LIMIT_REACHED: Final = _event(
    Event(
        "hamilton.limit.reached",
        "WARN",
        "Limit reached",
        "A run has more than a limit allows; what is beyond is left out, once per run, process and limit.",
    )
)
DAG_DEFINED: Final = _event(
    Event(
        "hamilton.dag.defined",
        "INFO",
        "DAG defined",
        "Nodes, edges, tags and versions; once per DAG version and process.",
    )
)
