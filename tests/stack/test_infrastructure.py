"""What processes and their host take of CPU, memory, disks, network, files and threads, as Prometheus has it."""

import os
import re
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hamilton_otel import semconv

from stack import Stack
from tests.stack import backends
from tests.stack.backends import eventually
from tests.stack.test_runs import expect_counts, finish, start

HEARTBEAT = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}
OWN_LABELS = {"__name__", "job", "instance", "host_name"}
#: What a host without swap or without a disk of its own, such as a container, does not have.
NOT_EVERYWHERE = ("system.paging.usage", "system.paging.utilization", "system.disk.", "system.filesystem.")


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for a service and its DAG."""
    return f"infra_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def living(stack: Stack, name: str) -> Iterator[psutil.Process]:
    """A process that has had a run and lives until it is killed, so that no run is lost with it."""
    process = start(stack, "stays", HEARTBEAT, dag=name)
    try:
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def labels_of(metric: semconv.Metric) -> set[str]:
    return {attribute.replace(".", "_") for attribute in metric.attributes}


def close(number: float | None, truth: float, tolerance: float) -> bool:
    return number is not None and abs(number - truth) <= tolerance


def test_a_long_lived_process_shows_what_it_takes(stack: Stack, name: str, living: psutil.Process) -> None:
    """Every metric of the catalogue is there with its labels, those of host and process, and the system's values."""
    expected = {metric.prometheus_name: labels_of(metric) for metric in semconv.PROCESS_METRICS.values()}
    selector = f'{{job="{name}", host_name="{socket.gethostname()}", process_pid="{living.pid}"}}'

    def labels() -> dict[str, set[str]]:
        series = backends.prometheus(stack, f'{{job="{name}", __name__=~"process_.*|cpython_.*"}}')
        assert len({one["instance"] for one, _ in series}) == 1
        added = OWN_LABELS | {"process_pid", "deployment_environment_name"}
        assert all(added <= set(one) for one, _ in series)
        return {one["__name__"]: set(one) - added for one, _ in series}

    eventually(lambda: labels() == expected)
    assert len(backends.prometheus(stack, f"process_cpu_time_seconds_total{selector}")) == 2
    eventually(
        lambda: close(
            backends.value(stack, f"sum(process_cpu_time_seconds_total{selector})"), sum(living.cpu_times()[:2]), 0.2
        )
    )
    eventually(
        lambda: close(
            backends.value(stack, f"process_memory_usage_bytes{selector}"), living.memory_info().rss, 10 * 2**20
        )
    )
    eventually(lambda: backends.value(stack, f"process_thread_count{selector}") == living.num_threads())
    eventually(
        lambda: close(backends.value(stack, f"process_open_file_descriptor_count{selector}"), living.num_fds(), 3)
    )


def test_runs_carry_the_labels_of_their_process(stack: Stack, name: str, living: psutil.Process) -> None:
    """The number of runs in progress, none by now, is found with the host and the process that they run in."""
    query = f'hamilton_run_active{{job="{name}", process_pid="{living.pid}", host_name="{socket.gethostname()}"}}'
    eventually(lambda: backends.value(stack, query) == 0)


def test_the_series_of_a_killed_process_go(stack: Stack, name: str, living: psutil.Process) -> None:
    """Soon after a process was killed, nothing of what it took is shown any more."""
    query = f'count({{job="{name}", __name__=~"process_.*|cpython_.*"}})'
    eventually(lambda: backends.value(stack, query))
    living.kill()
    eventually(lambda: backends.value(stack, query) is None)


def test_a_short_process_adds_no_series(stack: Stack, name: str) -> None:
    """A process that ends before its first heartbeat is counted, and that is all."""
    finish(start(stack, "runs", dag=name, runs=3))
    expect_counts(stack, name, runs=3, nodes=3)
    assert backends.prometheus(stack, f'last_over_time({{job="{name}", __name__=~"process_.*|cpython_.*"}}[5m])') == []


def test_the_host_is_measured(stack: Stack) -> None:
    """Every metric of the catalogue is there with its labels, under the name of the host, and no other is."""
    expected = {metric.prometheus_name: labels_of(metric) for metric in semconv.HOST_METRICS.values()}
    needed = {
        metric.prometheus_name for metric in semconv.HOST_METRICS.values() if not metric.name.startswith(NOT_EVERYWHERE)
    }

    def labels() -> dict[str, set[str]]:
        series = backends.prometheus(stack, '{job="host", __name__!="target_info"}')
        assert {(one["host_name"], one["instance"]) for one, _ in series} == {(socket.gethostname(),) * 2}
        return {one["__name__"]: set(one) - OWN_LABELS for one, _ in series}

    eventually(lambda: needed <= set(labels()))
    found = labels()
    assert found == {name: expected.get(name) for name in found}


def test_the_hosts_values_are_those_of_the_system(stack: Stack) -> None:
    """CPUs are counted and shared out, memory is a part of itself, faults are those that the kernel counts."""
    eventually(lambda: backends.value(stack, "system_cpu_logical_count") == psutil.cpu_count())
    eventually(lambda: close(backends.value(stack, "sum(system_cpu_utilization_ratio)"), 1, 0.05))
    eventually(
        lambda: close(backends.value(stack, "sum(system_cpu_time_seconds_total)"), sum(psutil.cpu_times()[:8]), 60)
    )
    used = 'system_memory_utilization_ratio{state="used"} - on() system_memory_usage_bytes{state="used"} / '
    total = psutil.virtual_memory().total
    eventually(lambda: close(backends.value(stack, f"{used}{total}"), 0, 0.001))
    counted = re.search(r"^pgmajfault (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    assert counted
    truth = int(counted[1])
    eventually(
        lambda: close(backends.value(stack, 'system_paging_faults_total{type="major"}'), truth, 100 + 0.05 * truth)
    )


def test_only_devices_of_the_host_are_measured(stack: Stack) -> None:
    """Neither loop devices nor the interfaces of containers, neither filesystems in memory nor layers of images."""
    series = eventually(lambda: backends.prometheus(stack, '{job="host", device=~".+"}'))
    assert not [one for one, _ in series if re.match(r"lo(op\d+)?$|veth|br-|docker", one["device"])]
    assert {one.get("type") for one, _ in series} & {"tmpfs", "overlay", "squashfs", "devtmpfs"} == set()
