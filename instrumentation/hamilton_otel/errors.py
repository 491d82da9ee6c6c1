"""Says of an exception how its run ended and whose fault it was.

Source of the outcome's values: OpenTelemetry's ``cicd.pipeline.result``. The kind separates what the platform
engineer must mend (``system``) from what the author of the DAG must mend (``user``). Not for recording: the sinks do
that.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor
from concurrent.futures import CancelledError as FutureCancelledError
from typing import Final, Literal

from .capture import qualified_name

Outcome = Literal["success", "failure", "cancelled"]
ErrorKind = Literal["system", "user"]

_CANCELLED = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, FutureCancelledError)
_SYSTEM = (MemoryError, OSError, BrokenExecutor)
_SYSTEM_CLASSES: Final = frozenset(
    {
        "requests.exceptions.RequestException",
        "httpx.TransportError",
        "urllib3.exceptions.HTTPError",
        "grpc.RpcError",
        "botocore.exceptions.BotoCoreError",
        "botocore.exceptions.ClientError",
        "ray.exceptions.RaySystemError",
        "ray.exceptions.WorkerCrashedError",
        "ray.exceptions.RayActorError",
        "ray.exceptions.ObjectLostError",
        "ray.exceptions.OutOfMemoryError",
        "distributed.scheduler.KilledWorker",
        "distributed.comm.core.CommClosedError",
    }
)
"""Base classes of other libraries, by name, so that none of them is imported."""


class AbandonedRun(RuntimeError):
    """Stands for the unknown error of a run whose end Hamilton did not tell, because another adapter raised."""


def outcome_of(error: BaseException | None) -> Outcome:
    """Return how a run or node ended that raised *error* (None: nothing)."""
    if error is None:
        return "success"
    return "cancelled" if isinstance(error, _CANCELLED) else "failure"


def error_type(error: BaseException) -> str:
    """Return the value of ``error.type`` for *error*; what Ray has wrapped is named by what it wraps."""
    if type(error).__module__ == "ray.exceptions":
        cause = getattr(error, "cause", None)
        error = cause if isinstance(cause, BaseException) else error
    return qualified_name(type(error))


def error_kind(error: BaseException) -> ErrorKind:
    """Return ``system`` for memory, network, file and worker errors, ``user`` for everything else."""
    if isinstance(error, _SYSTEM):
        return "system"
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__)
    return "system" if any(name in _SYSTEM_CLASSES for name in names) else "user"
