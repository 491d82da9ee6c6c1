"""Runs on every kind of executor, for tests to start: `python executors.py KIND`, one success and one failure."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import hamilton_otel
from hamilton import async_driver, base, driver
from hamilton.execution.executors import MultiProcessingExecutor, MultiThreadingExecutor
from hamilton.plugins.h_threadpool import FutureAdapter

from tests.unit import parallel_dag, plain_dag


def builder(kind: str, *modules: Any) -> driver.Builder:
    adapter = hamilton_otel.TelemetryAdapter(kind, tags={"team": "clusters"})
    return driver.Builder().with_modules(*modules).with_adapters(adapter)


def with_tasks(kind: str, executor: Any) -> driver.Driver:
    tasks = builder(kind, parallel_dag).enable_dynamic_execution(allow_experimental_mode=True)
    return tasks.with_remote_executor(executor).build()


def run(dr: driver.Driver, output: str) -> None:
    print(dr.execute([output], inputs={"start": 3}))
    with suppress(ValueError):
        # Another input, because Dask names a task by its node and inputs: for the same name it may still have the
        # function of the run before, and record the node there.
        dr.execute([output], inputs={"start": 4, "fail": True})
        raise AssertionError("the run should have failed")


def on_ray(kind: str) -> None:
    import ray
    from hamilton.plugins import h_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    if kind == "ray_tasks":
        run(with_tasks(kind, h_ray.RayTaskExecutor(skip_init=True)), "total")
    else:
        run(builder(kind, plain_dag).with_adapters(h_ray.RayGraphAdapter(base.DictResult())).build(), "c")
    ray.shutdown()


def on_dask(kind: str) -> None:
    from dask.distributed import Client, LocalCluster
    from hamilton.plugins import h_dask

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        if kind == "dask_tasks":
            run(with_tasks(kind, h_dask.DaskExecutor(client=client)), "total")
        else:
            run(builder(kind, plain_dag).with_adapters(h_dask.DaskGraphAdapter(client, base.DictResult())).build(), "c")


def here(kind: str) -> None:
    """On the executors that this machine's threads and processes serve."""
    if kind == "futures_graph":
        run(builder(kind, plain_dag).with_adapters(FutureAdapter()).build(), "c")
    else:
        run(
            with_tasks(
                kind, {"threads_tasks": MultiThreadingExecutor, "processes_tasks": MultiProcessingExecutor}[kind](2)
            ),
            "total",
        )


async def in_a_loop(kind: str) -> None:
    """On the async driver."""
    adapters = hamilton_otel.async_adapters(kind, tags={"team": "clusters"})
    dr = await async_driver.Builder().with_modules(plain_dag).with_adapters(*adapters).build()
    print(await dr.execute(["c"], inputs={"start": 3}))
    with suppress(ValueError):
        await dr.execute(["c"], inputs={"start": 3, "fail": True})
        raise AssertionError("the run should have failed")


def main(kind: str) -> None:
    hamilton_otel.configure()
    if kind.startswith("ray"):
        on_ray(kind)
    elif kind.startswith("dask"):
        on_dask(kind)
    elif kind.startswith("async"):
        asyncio.run(in_a_loop(kind))
    else:
        here(kind)


if __name__ == "__main__":
    main(sys.argv[1])
