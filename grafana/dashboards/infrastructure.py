"""Infrastructure (USE): utilisation, saturation and errors of each host, of each process, and of the executors."""

from hamilton_otel import semconv

from grafana.generator.page import Page, Row, environment, fired_alerts, host, service
from grafana.generator.panels import BAD, GOOD, SO_SO, over_time, stat
from grafana.generator.promql import (
    ANY_SERVICE,
    JOB,
    Scope,
    chosen,
    label,
    legend,
    or_zero,
    quantile,
    rate,
    total,
)
from grafana.generator.queries import Query, now
from grafana.generator.queries import over_time as series

MINUTE = "1m"
HOST = label(semconv.HOST_NAME)
PID = label(semconv.PROCESS_PID)
ANY_HOST = Scope((f"{HOST}=~{chosen('host')}",))
PROCESS = Scope((*ANY_SERVICE.matchers, *ANY_HOST.matchers))
NAMES = f"{legend(JOB)} {legend(HOST)}:{legend(PID)}"
DEVICE = f"{legend(HOST)} {legend('device')}"
FULL = ((None, GOOD), (0.8, SO_SO), (0.95, BAD))
#: Of many processes only those that take most are drawn.
MOST = 20


def _of_host(name: str, *matchers: str) -> str:
    return ANY_HOST(semconv.HOST_METRICS[name], *matchers)


def _of_process(name: str, *matchers: str) -> str:
    return PROCESS(semconv.PROCESS_METRICS[name], *matchers)


def _busiest(expression: str, shown: str = NAMES) -> Query:
    return series(f"topk({MOST}, {expression})", shown)


IDLE = 'state="idle"'
USED = 'state="used"'
FREE = 'state=~"free|reserved"'
MAJOR = 'type="major"'

NOW = Row(
    "Now",
    [
        stat(
            "CPU, busiest host",
            "Part of the CPUs' time in use.",
            "percentunit",
            now(f"max(1 - {_of_host('system.cpu.utilization', IDLE)})"),
            steps=FULL,
            decimals=0,
        ),
        stat(
            "Memory, fullest host",
            "Part of the memory in use; what caches would give back does not count.",
            "percentunit",
            now(f"max({_of_host('system.memory.utilization', USED)})"),
            steps=FULL,
            decimals=0,
        ),
        stat(
            "Disk, fullest",
            "Part of the space in use.",
            "percentunit",
            now(f"max({_of_host('system.filesystem.utilization')})"),
            steps=FULL,
            decimals=0,
        ),
        stat(
            "Processes",
            "Pipelines' processes that have lived longer than a heartbeat.",
            "short",
            now(or_zero(f"count({_of_process('process.thread.count')})")),
        ),
        stat(
            "Tasks at work",
            "Slots of executors that are busy.",
            "short",
            now(or_zero(total(ANY_SERVICE(semconv.TASK_ACTIVE)))),
        ),
        stat(
            "Tasks waiting",
            "Tasks that were submitted and have not started; many for long say that slots are too few.",
            "short",
            now(or_zero(total(ANY_SERVICE(semconv.TASK_PENDING)))),
        ),
    ],
)

CPU = Row(
    "CPU",
    [
        over_time(
            "Utilisation of hosts",
            "Part of the CPUs' time in use.",
            "percentunit",
            series(f"1 - {_of_host('system.cpu.utilization', IDLE)}", legend(HOST)),
            most=1,
            width=8,
        ),
        over_time(
            "Saturation of hosts",
            "Threads that run or wait for each CPU; above 1 some wait.",
            "none",
            series(
                f"{_of_host('system.cpu.load_average.1m')} / on ({HOST}) {_of_host('system.cpu.logical.count')}",
                legend(HOST),
            ),
            width=8,
        ),
        over_time(
            "Utilisation by processes",
            f"The {MOST} processes that take most, as a part of all CPUs of their host.",
            "percentunit",
            _busiest(_of_process("process.cpu.utilization")),
            width=8,
        ),
        over_time(
            "Saturation of processes",
            "Times a second that a process had to give up its CPU to another.",
            "cps",
            _busiest(rate(_of_process("process.context_switches", 'type="involuntary"'))),
        ),
        over_time(
            "Python's garbage collector",
            "Collections a second; each stops the process for a moment.",
            "cps",
            _busiest(f"sum by ({JOB}, {HOST}, {PID}) ({rate(_of_process('cpython.gc.collections'))})"),
        ),
    ],
)

MEMORY = Row(
    "Memory",
    [
        over_time(
            "Utilisation of hosts",
            "Part of the memory in use.",
            "percentunit",
            series(_of_host("system.memory.utilization", USED), legend(HOST)),
            most=1,
            width=8,
        ),
        over_time(
            "Saturation of hosts",
            "Pages a second that had to be read from a disk.",
            "cps",
            series(rate(_of_host("system.paging.faults", MAJOR)), legend(HOST)),
            width=8,
        ),
        over_time(
            "Memory of processes",
            f"Physical memory of the {MOST} processes that take most.",
            "bytes",
            _busiest(_of_process("process.memory.usage")),
            width=8,
        ),
    ],
)

DISK = Row(
    "Disk and files",
    [
        over_time(
            "Utilisation of disks",
            "Part of the time in which the disk was busy.",
            "percentunit",
            series(rate(_of_host("system.disk.io_time")), DEVICE),
            width=8,
        ),
        over_time(
            "Saturation of disks",
            "Operations under way.",
            "short",
            series(_of_host("system.disk.pending_operations"), DEVICE),
            width=8,
        ),
        over_time(
            "Space in use",
            "Part of each file system.",
            "percentunit",
            series(_of_host("system.filesystem.utilization"), f"{legend(HOST)} {legend('mountpoint')}"),
            most=1,
            width=8,
        ),
        over_time(
            "Disk traffic of processes",
            f"Bytes a second that the {MOST} busiest processes read and wrote.",
            "Bps",
            _busiest(rate(_of_process("process.disk.io")), f"{legend('direction')} {NAMES}"),
            width=8,
        ),
        over_time(
            "Open files of processes",
            "File descriptors; the limit is often 1,024.",
            "short",
            _busiest(_of_process("process.open_file_descriptor.count")),
            width=8,
        ),
        over_time(
            "Threads of processes",
            "Threads of the processes that have most.",
            "short",
            _busiest(_of_process("process.thread.count")),
            width=8,
        ),
    ],
)

NETWORK = Row(
    "Network",
    [
        over_time(
            "Utilisation",
            "Bytes a second, received and sent.",
            "Bps",
            series(rate(_of_host("system.network.io")), f"{DEVICE} {legend('direction')}"),
        ),
        over_time(
            "Saturation and errors",
            "Packets a second that were dropped, and that had errors.",
            "cps",
            series(
                total(rate(_of_host("system.network.dropped")), HOST, "device"),
                f"dropped {DEVICE}",
            ),
            series(
                total(rate(_of_host("system.network.errors")), HOST, "device"),
                f"errors {DEVICE}",
            ),
        ),
    ],
)

EXECUTORS = Row(
    "Executors",
    [
        over_time(
            "Slots busy",
            "Tasks being executed, by service.",
            "short",
            series(total(ANY_SERVICE(semconv.TASK_ACTIVE), JOB), legend(JOB)),
            width=8,
        ),
        over_time(
            "Tasks waiting",
            "Tasks that were submitted and have not started, by service.",
            "short",
            series(total(ANY_SERVICE(semconv.TASK_PENDING), JOB), legend(JOB)),
            width=8,
        ),
        over_time(
            "Wait before a task starts",
            "95th percentile, by service.",
            "s",
            series(
                quantile(0.95, rate(ANY_SERVICE(semconv.TASK_WAITS, suffix="_bucket")), JOB),
                legend(JOB),
                interval=MINUTE,
            ),
            width=8,
        ),
    ],
)

STARTS = semconv.RUN_STARTS.prometheus_name

PAGE = Page(
    "infrastructure",
    "Infrastructure (USE)",
    "Utilisation, saturation and errors of hosts, processes and executors: is it the machine?",
    rows=[NOW, CPU, MEMORY, DISK, NETWORK, EXECUTORS],
    variables=[environment(STARTS), service(STARTS), host()],
    annotations=[fired_alerts()],
    since="now-6h",
)
