"""The command ``replay``: delivers what processes could not; the work is done by ``delivery/replay.py``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from hamilton_otel import configure
from hamilton_otel import settings as settings_module
from hamilton_otel.delivery.endpoint import endpoint_of
from hamilton_otel.delivery.replay import Replay
from hamilton_otel.delivery.spool import Spool
from hamilton_otel.settings import SIGNALS, SettingsError
from hamilton_otel.sinks import sinks_for


def replay_spool(console: Console, directory: Path | None, receiver: str | None) -> bool:
    """Deliver what is in *directory* (None: the configured spool) and say what became of it.

    *receiver* names a folder of the spool other than the endpoint's own. Return whether nothing was left; raise
    :class:`SettingsError` where it is not known whence or where to.
    """
    settings = settings_module.load(strict=True)
    directory = directory or settings.spool
    if directory is None:
        raise SettingsError("HAMILTON_OTEL_SPOOL is 'none', so nothing is spooled; name a directory with --spool.")
    if not any("otlp" in names for names in settings.exporters.values()):
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT is not set, so there is nowhere to deliver to; set it.")
    configure()
    sinks_for()  # which export the count of what is replayed
    endpoints = {signal: endpoint_of(signal, settings.endpoint) for signal in SIGNALS}
    spool = Spool(directory, settings.spool_max_bytes)
    columns = (TextColumn("Delivering"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=spool.pending().size)
        done = Replay(spool, endpoints).run(receiver=receiver, advanced=lambda size: progress.advance(task, size))
    say = [f"Delivered {done.delivered} spans, log records and metric points."]
    if done.rejected:
        say.append(f"{done.rejected} were refused for good; they and the reason are in {directory}/*/rejected.")
    if done.damaged:
        say.append(f"{done.damaged} lines had been cut short by the end of a process, and are left out.")
    others = set(spool.receivers()) - {endpoint.slug for endpoint in endpoints.values()}
    if others and not receiver:
        say.append(f"Something waits for {', '.join(sorted(others))} as well: --receiver delivers it here.")
    if done.stopped:
        say.append(
            f"Stopped, because {endpoints['traces'].url} does not take it ({done.stopped}); start the Collector or "
            "correct the settings, and try again: nothing is lost."
        )
    console.print("\n".join(say), soft_wrap=True, markup=False)
    return not done.stopped
