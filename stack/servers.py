"""The running servers, together and one by one, for `python -m stack up` and for tests; builds nothing."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
from honcho.environ import parse_procfile
from honcho.process import Popen

from .build import Cache
from .drain import Drain
from .errors import StackError
from .ports import HOST, Ports
from .recipes import ROOT
from .surroundings import SECRETS, environment, prepare

STOP_SECONDS = 10
TAIL_LINES = 12


class Server:
    """One server as the Procfile describes it; start, stop and kill may be repeated."""

    def __init__(self, name: str, command: str, environment: Mapping[str, str], ready_url: str, log_path: Path):
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.ready_url = ready_url
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StackError(f"{self.name} has not been started: call start() first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        # A session of its own, so that Ctrl-C reaches us and not the server, and signals reach all that it starts.
        self._process = Popen(
            self.command, env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def terminate(self) -> None:
        """Ask the server to stop, and do not wait for it."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        self.terminate()
        try:
            self._wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server at once, as an out-of-memory kill would."""
        self._signal(signal.SIGKILL)
        self._wait(STOP_SECONDS)

    def wait_ready(self, timeout: float = 60) -> None:
        """Return as soon as the server serves."""
        deadline = time.monotonic() + timeout
        while not self._answers():
            if not self.running:
                raise StackError(f"{self.name} stopped while it was starting; {self.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout:.0f} s; {self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        """Where the server's log is and how it ends."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        return f"its log {self.log_path} ends in:\n{tail}"

    def _answers(self) -> bool:
        try:
            return requests.get(self.ready_url, timeout=2).ok
        except requests.RequestException:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            os.killpg(self._process.pid, number)

    def _wait(self, timeout: float) -> None:
        if self._process is not None:
            self._process.wait(timeout)


class Stack:
    """All servers of stack/Procfile with their data under one directory."""

    def __init__(
        self,
        directory: Path,
        ports: Ports | None = None,
        *,
        cache: Cache | None = None,
        settings: Mapping[str, str] | None = None,
        scrape_interval: str | None = None,
        collector_configs: Sequence[Path] = (),
    ):
        """`settings` are environment variables for the servers; `collector_configs` are merged over config.yaml."""
        self.directory = directory.resolve()
        self.ports = ports or Ports.default()
        self._scrape_interval = scrape_interval
        path = (cache or Cache.default()).path
        variables = environment(self.directory, self.ports, path, settings or {})
        self._secrets = variables.get(SECRETS)
        ready = {
            "collector": self.collector_health,
            "jaeger": f"{_url(self.ports.jaeger_health)}/status",
            "loki": f"{self.loki}/ready",
            "inbox": f"{self.inbox}/health",
            "alertmanager": f"{self.alertmanager}/-/ready",
            "prometheus": f"{self.prometheus}/-/ready",
        }
        commands = parse_procfile((ROOT / "stack" / "Procfile").read_text()).processes
        commands["collector"] += "".join(f" --config={shlex.quote(str(path.resolve()))}" for path in collector_configs)
        self.servers: Mapping[str, Server] = {
            name: Server(name, command, variables, ready[name], self.directory / "logs" / f"{name}.log")
            for name, command in commands.items()
        }

    def prepare(self) -> None:
        """Check the ports and write what the servers read."""
        self.ports.require_free()
        try:
            prepare(self.directory, self.ports, self._scrape_interval, self._secrets)
        except OSError as error:
            raise StackError(
                f"The servers' data cannot be written to {self.directory} ({error.strerror}): free some space "
                "there or make the folder writable."
            ) from error

    def start(self) -> None:
        self.prepare()
        for server in self.servers.values():
            server.start()

    def wait_ready(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        for server in self.servers.values():
            server.wait_ready(deadline - time.monotonic())

    def stop(self) -> None:
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.stop()

    def drain(self) -> None:
        """Stop the Collector when all that it has counted is in Prometheus."""
        collector = self.servers["collector"]
        Drain(f"{HOST}:{self.ports.otlp_grpc}", self.prometheus).stop(collector.terminate)
        collector.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def otlp_http(self) -> str:
        return _url(self.ports.otlp_http)

    @property
    def otlp_grpc(self) -> str:
        return _url(self.ports.otlp_grpc)

    @property
    def prometheus(self) -> str:
        return _url(self.ports.prometheus)

    @property
    def jaeger(self) -> str:
        return _url(self.ports.jaeger)

    @property
    def loki(self) -> str:
        return _url(self.ports.loki)

    @property
    def alertmanager(self) -> str:
        return _url(self.ports.alertmanager)

    @property
    def inbox(self) -> str:
        """What Alertmanager sent, and the runbooks."""
        return _url(self.ports.inbox_http)

    @property
    def collector_health(self) -> str:
        return _url(self.ports.collector_health)

    @property
    def collector_metrics(self) -> str:
        """What the Collector says about itself."""
        return f"{_url(self.ports.collector_metrics)}/metrics"

    @property
    def collector_aggregated(self) -> str:
        """Totals over all processes, as Prometheus scrapes them."""
        return f"{_url(self.ports.collector_aggregated)}/metrics"

    @property
    def collector_live(self) -> str:
        """The series of living processes, as Prometheus scrapes them."""
        return f"{_url(self.ports.collector_live)}/metrics"


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
