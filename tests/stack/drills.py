"""Alert drills: for each alert something that causes it for real, and what is then told to whom, and how soon.

`python -m tests.stack.drills` (`make drill`) goes through all of them on servers of its own and writes the table of
docs/alerts.md. Time runs faster for the rules (faster.py), not for what the DAGs do (drill_load.py).
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from hamilton_otel import objectives

from stack import Stack
from stack.recipes import ROOT
from stack.surroundings import OBJECTIVES
from tests.stack import backends
from tests.stack.alerts import CONFIG, SHORT_WAITS
from tests.stack.backends import eventually
from tests.stack.drill_load import OF_100
from tests.stack.faster import faster, hasten
from tests.stack.letters import Letter, Letters
from tests.stack.servers import new_stack

LOAD = Path(__file__).with_name("drill_load.py")
PAGE = ROOT / "docs" / "alerts.md"
COMMAND = "make drill"
#: How many times faster time runs for the rules.
FAST, LONG = 120.0, 60.0
ENVIRONMENT = "drill"
#: Drills that may take so many hours are not waited for before servers are stopped.
PATIENT = 5
DASHBOARDS = {json.loads(path.read_text())["uid"] for path in (ROOT / "grafana" / "dashboards").glob("*.json")}
TOLD = {
    "critical": frozenset({"pagerduty", "slack"}),
    "warning": frozenset({"slack", "email"}),
    "none": frozenset({"watchdog"}),
}
#: A port on which nobody listens.
NOBODY = "127.0.0.1:1"
#: Lengths here are real ones, as are those of the runs.
EXPECTED = """
defaults: {success: 99%, stuck_after: 6h}
dags:
  - {dag: stuck, stuck_after: 5s}
  - {dag: too-long, max_duration: 3s}
  - {dag: overdue, deadline: 15s}
"""


def alerts() -> dict[str, str]:
    """The severity of every alert in the rules."""
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "prometheus" / "rules").glob("*.yml")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule["labels"]["severity"] for rule in rules if "alert" in rule}


class Actors:
    """A process of drill_load.py."""

    def __init__(self, stack: Stack, service: str, hour: float, **environment: str):
        self.process = subprocess.Popen(
            [sys.executable, str(LOAD), str(hour)],
            env={
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
                "OTEL_SERVICE_NAME": service,
                "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={ENVIRONMENT}",
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_ready(self) -> None:
        """Wait until it has imported what it needs, which is no part of what a cause takes."""
        eventually(lambda: "ready" in self._said, timeout=60)

    def play(self, scene: str) -> None:
        """Have the next step of a scene done."""
        assert self.process.stdin
        before = self._said.count(f"{scene} done")
        self.process.stdin.write(f"{scene}\n")
        self.process.stdin.flush()
        eventually(lambda: f"{scene} failed" in self._said or self._said.count(f"{scene} done") > before, timeout=60)
        assert f"{scene} failed" not in self._said

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Let the process end as a program does, unless it has."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._listener.join()
        self.process.stdout.close()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._said.append(line.strip())


@dataclass
class Ground:
    """Where drills take place."""

    stack: Stack
    folder: Path
    factor: float
    letters: Letters
    opened: ExitStack
    actors: Actors
    others: dict[str, Actors] = field(default_factory=dict)

    @property
    def hour(self) -> float:
        """How long an hour of the rules is."""
        return 3600 / self.factor

    def other(self, name: str, **environment: str) -> Actors:
        """A process of its own, which ends with the drills at the latest."""
        actors = Actors(self.stack, name, self.hour, **environment)
        self.opened.callback(actors.end)
        self.others[name] = actors
        actors.wait_ready()
        return actors

    def known(self, query: str, timeout: float) -> None:
        """Wait until Prometheus finds something."""
        eventually(lambda: backends.prometheus(self.stack, query), timeout=timeout)

    def reload(self) -> None:
        assert requests.post(f"{self.stack.prometheus}/-/reload", timeout=10).ok

    @property
    def rules(self) -> Path:
        return self.stack.directory / "config" / "rules"


Step = Callable[[Ground], object]


def nothing(ground: Ground) -> None:
    """Some causes end by themselves."""


def plays(scene: str) -> Step:
    return lambda ground: ground.actors.play(scene)


def plays_until(scene: str, query: str, hours: float = 2) -> Step:
    """Play what is usual, and wait until it is known as such."""

    def prepare(ground: Ground) -> None:
        ground.actors.play(scene)
        ground.known(query, timeout=hours * ground.hour + 40)

    return prepare


@dataclass(frozen=True)
class Drill:
    """How to cause an alert and how to end it; `about` is in its texts alone, `says` are expressions for the rest."""

    alert: str
    scenario: str
    about: str
    says: Sequence[str]
    cause: Step
    heal: Step
    prepare: Step = nothing
    #: The longest that it may take, in hours of the rules, besides a minute.
    hours: float = 1.5
    #: Who hears of it, where that is not whom its severity says.
    told: frozenset[str] = frozenset()

    @property
    def severity(self) -> str:
        return alerts()[self.alert]

    @property
    def receivers(self) -> frozenset[str]:
        return self.told or TOLD[self.severity]


@dataclass(frozen=True)
class Result:
    """What became of a drill."""

    drill: Drill
    fired: float
    resolved: float | None


def scene(alert: str, name: str, scenario: str, *says: str, **options: Any) -> Drill:
    """A drill whose DAG has the scene's name, with dashes."""
    dag = name.replace("_", "-")
    return Drill(alert, scenario, f"DAG: {dag}\n", [rf"\b{dag}\b", *says], plays(name), plays(name), **options)


def kill(ground: Ground) -> None:
    ground.others["doomed"].kill()


def doom(ground: Ground) -> None:
    ground.other("doomed").play("doomed")
    # Long enough in progress to count.
    ground.known('hamilton_run_active{hamilton_dag_name="doomed"} == 1', 20)


def usual(name: str, dag: str) -> str:
    return f'hamilton:usual_{name}{{hamilton_dag_name="{dag}"}}'


#: All at once: what concerns runs and data, on servers that are well.
RUNS = [
    scene("RunFailureRateHigh", "many_fail", "7 of 7 runs fail", "100% of the runs", "20%"),
    scene("LastRunFailed", "last_failed", "one run fails, none follows", "failed .*ago"),
    scene("NodeFailingRepeatedly", "node_fails", "a node fails in 4 runs", "Node: parsed", "4 times with KeyError"),
    scene("ErrorBudgetBurnFast", "burns_fast", "20 of 20 runs fail", "100 times"),
    scene(
        "RunSlowerThanUsual",
        "slower",
        "3 runs of 1.8 s after 5 of 0.1 s",
        r"took\s+1\.\d+s on average",
        prepare=plays_until("slower", usual("run_duration:seconds", "slower")),
    ),
    scene("RunSlowerThanObjective", "too_long", "a run in progress for longer than 3 s", "no longer than\n? *3s"),
    scene("RunStuck", "stuck", "a run in progress for longer than 5 s", "stuck after\n? *5s", r"process \d+ of drills"),
    Drill(
        "RunLost",
        "SIGKILL in the middle of a run",
        "DAG: doomed\n",
        ["At least 1 of the runs of doomed"],
        kill,
        nothing,
        prepare=doom,
    ),
    scene(
        "SuccessOverdue",
        "overdue",
        "no success after the first, and a deadline of 15 s",
        "every\n? *15s",
        prepare=plays("overdue"),
    ),
    Drill(
        "SystemErrorsRising",
        "4 runs fail by ConnectionError",
        f"Environment: {ENVIRONMENT}\n",
        ["4 runs failed within the last hour"],
        plays("system_errors"),
        plays("system_errors"),
    ),
    scene(
        "TaskBacklog", "backlog", "30 tasks for 2 workers that do not get on", r"\d\d tasks of backlog in drill wait"
    ),
    scene(
        "DataQualityFailing", "bad_data", "@check_output finds values out of range", "Node: column", "check .* times"
    ),
    scene(
        "ArtifactShrunk",
        "shrunk",
        "a table of 50 rows after 5 of 5,000",
        "Node: ",
        r"has [\d.]+B on average",
        prepare=plays_until("shrunk", usual("artifact_size:bytes", "shrunk")),
    ),
    scene(
        "ArtifactOperationsSlow",
        "slow_saves",
        "3 saves of 1.8 s after 5 fast ones",
        r"took\s+1\.\d+s on average",
        prepare=plays_until("slow_saves", usual("artifact_operation:seconds", "slow-saves")),
    ),
    scene(
        "CacheHitRatioCollapsed",
        "cold_cache",
        "40 lookups miss after 38 of 40 hit",
        r"[\d.]+% of the lookups",
        prepare=plays_until("cold_cache", usual("cache_hits:ratio", "cold-cache")),
    ),
    scene(
        "ArtifactMissing",
        "unsaved",
        "runs succeed and no longer save, after 30 that did",
        "has saved nothing for 6 hours",
        hours=8,
    ),
]


def plays_in(process: str, scene: str) -> Step:
    return lambda ground: ground.others[process].play(scene)


def crowd(ground: Ground) -> None:
    ground.other("crowded", HAMILTON_OTEL_CARDINALITY_LIMIT="20")


def flood(ground: Ground) -> None:
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{NOBODY}/v1/traces", "HAMILTON_OTEL_SPOOL": "none"}
    ground.other("flooded", HAMILTON_OTEL_QUEUE_MAX_MIB="1", **variables)


def strand(ground: Ground) -> None:
    spool = ground.folder / "spool"
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{NOBODY}/v1/traces", "HAMILTON_OTEL_SPOOL": str(spool)}
    # Its counts are to be delivered as well, however busy the machine is.
    variables["HAMILTON_OTEL_EXIT_TIMEOUT"] = "10"
    stranded = ground.other("stranded", **variables)
    stranded.play("away")
    stranded.play("away")


def end(ground: Ground) -> None:
    ground.others["stranded"].end()
    assert list(ground.folder.glob("spool/*/traces-*.jsonl"))


def replay(ground: Ground) -> None:
    command = [sys.executable, "-m", "hamilton_otel.cli", "replay", "--spool", str(ground.folder / "spool")]
    subprocess.run(
        [*command, "--receiver", NOBODY.replace(":", "_")],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": ground.stack.otlp_http},
        check=True,
        capture_output=True,
        timeout=60,
    )


def break_rules(ground: Ground) -> None:
    # Both sides have many of the same label.
    rule = {"record": "broken", "expr": "up * on () up"}
    group = {"name": "broken", "interval": "1s", "rules": [rule]}
    (ground.rules / "broken.yml").write_text(yaml.safe_dump({"groups": [group]}))
    ground.reload()


def mend_rules(ground: Ground) -> None:
    (ground.rules / "broken.yml").unlink()
    ground.reload()


RUNS += [
    scene(
        "ErrorBudgetBurnSlow",
        "burns_slowly",
        f"{OF_100} of 100 runs fail, for an hour and more",
        r"[345][.\d]* times",
        hours=5,
    ),
    Drill(
        "CardinalityOverflow",
        "60 nodes in a process that may have 20 series",
        "Service: crowded\n",
        [r"\d+ measurements of hamilton"],
        plays_in("crowded", "many_nodes"),
        plays_in("crowded", "many_nodes"),
        prepare=crowd,
    ),
    Drill(
        "TelemetryDropped",
        "traces that reach nobody, no spool, and a queue of 1 MiB",
        "Service: flooded\n",
        [r"gave up \d[\w.]* items of their\s+traces", r"\(queue_full\)"],
        plays_in("flooded", "many_nodes"),
        plays_in("flooded", "many_nodes"),
        prepare=flood,
    ),
    Drill(
        "SpoolNotReplayed",
        "a process ends whose traces have reached nobody; then `hamilton-otel replay`",
        "Telemetry waits in spools",
        [r"\d+ items of traces"],
        end,
        replay,
        prepare=strand,
        hours=3,
    ),
    Drill(
        "RuleEvaluationFailing",
        "a rule that matches many to many",
        "evaluations of",
        [r"\d+ evaluations of .*broken"],
        break_rules,
        mend_rules,
    ),
]

WATCHDOG = Drill("Watchdog", "none: it always fires", "", [], nothing, nothing)


def stop(name: str) -> Step:
    return lambda ground: ground.stack.servers[name].kill()


def start(name: str) -> Step:
    return lambda ground: ground.stack.servers[name].start()


def run_without_jaeger(ground: Ground) -> None:
    stop("jaeger")(ground)
    ground.actors.play("healthy")


def secret(ground: Ground) -> Path:
    return ground.stack.directory / "config" / "alertmanager" / "secrets" / "slack_api_url"


def move_slack(ground: Ground) -> None:
    replace(secret(ground), {f"{ground.stack.inbox}/": f"http://{NOBODY}/"})
    ground.actors.play("unheard")


def bring_slack_back(ground: Ground) -> None:
    replace(secret(ground), {f"http://{NOBODY}/": f"{ground.stack.inbox}/"})
    ground.actors.play("unheard")


def restart_collector(ground: Ground, **environment: str) -> None:
    collector = ground.stack.servers["collector"]
    collector.stop()
    collector.environment.update(environment)
    collector.start()
    collector.wait_ready()


def starve_collector(ground: Ground) -> None:
    restart_collector(ground, COLLECTOR_MEMORY_LIMIT_MIB="20", COLLECTOR_MEMORY_SPIKE_MIB="10")
    ground.actors.play("healthy")


def feed_collector(ground: Ground) -> None:
    restart_collector(ground, COLLECTOR_MEMORY_LIMIT_MIB="400", COLLECTOR_MEMORY_SPIKE_MIB="100")


def shorten_queue(ground: Ground) -> None:
    overlay = ground.folder / "short-queue.yaml"
    overlay.write_text("exporters: {otlp_grpc/jaeger: {sending_queue: {queue_size: 2000000}}}\n")
    stop("jaeger")(ground)
    collector = ground.stack.servers["collector"]
    collector.command += f" --config={overlay}"
    restart_collector(ground)
    ground.actors.play("many_nodes")


def lengthen_queue(ground: Ground) -> None:
    ground.actors.play("many_nodes")
    start("jaeger")(ground)
    collector = ground.stack.servers["collector"]
    collector.command = collector.command.rpartition(" --config=")[0]
    restart_collector(ground)


#: What stops servers, one after the other, as most other alerts say nothing meanwhile.
SERVERS = [
    Drill("TelemetryTargetDown", "Loki is killed", "Service: loki\n", ["for 2 minutes"], stop("loki"), start("loki")),
    Drill(
        "CollectorExportFailing",
        "Jaeger is killed, and runs go on",
        "cannot deliver to",
        [r"has [\d.]+\w*B for .*jaeger"],
        run_without_jaeger,
        start("jaeger"),
    ),
    Drill(
        "CollectorQueueFilling",
        "Jaeger is killed, and the Collector's queue for it holds 2 MB",
        "queue to otlp_grpc/jaeger fills",
        [r"is [\d.]+% full"],
        shorten_queue,
        lengthen_queue,
    ),
    Drill(
        "NotificationsFailing",
        "Slack's address answers no more, and there is something to tell",
        "Alerts of Alertmanager do not arrive",
        [r"\d+ notifications of Alertmanager to slack failed"],
        move_slack,
        bring_slack_back,
        # Slack is what is broken.
        told=frozenset({"pagerduty"}),
    ),
    Drill(
        "CollectorRefusing",
        "a Collector that may have 20 MiB of memory",
        "sends telemetry back",
        [r"refused \d+ spans"],
        starve_collector,
        feed_collector,
    ),
]

#: Alerts that no drill causes, and why.
NOT_DRILLED: Mapping[str, str] = {
    "CollectorDroppingCounts": "it takes 200,000 series, or points that arrive out of order, which nothing here sends.",
    "StorageFilling": "it takes the machine's disk nearly full.",
    "SuccessLaterThanUsual": "it waits for at least 600 s, a plain number of its rule, however fast time runs.",
    "WorkerMemoryNearLimit": "it takes the machine's memory nearly full.",
}


def every() -> list[Drill]:
    """All drills."""
    return [WATCHDOG, *RUNS, *SERVERS]


def conduct(ground: Ground, drill: Drill) -> Result:
    """Cause an alert, read what is told, end the cause, and read that."""
    drill.prepare(ground)
    began, patience = time.time(), drill.hours * ground.hour + 60
    drill.cause(ground)
    told = drill.receivers

    def heard(firing: bool, since: float) -> dict[str, Letter]:
        found = ground.letters.about(drill.alert, drill.about, firing=firing, since=since)
        first = {letter.kind: letter for letter in reversed(found)}
        assert set(first) >= told, f"{drill.alert}: {'firing' if firing else 'resolved'} was told to {set(first)}"
        return first

    def told_of(firing: bool, since: float) -> dict[str, Letter]:
        eventually(lambda: heard(firing, since), timeout=patience)
        return heard(firing, since)

    fired = told_of(True, began)
    assert set(fired) == told, f"{drill.alert} was told to {set(fired)}"
    for letter in fired.values():
        check(ground, drill, letter)
    first = max(letter.received for letter in fired.values())
    if drill.severity == "none":
        return Result(drill, first - began, None)
    drill.heal(ground)
    healed = time.time()
    ended = told_of(False, first)
    return Result(drill, first - began, max(max(letter.received for letter in ended.values()) - healed, 0))


def check(ground: Ground, drill: Drill, letter: Letter) -> None:
    """What it says names what is wrong, and its links lead somewhere."""
    for expression in drill.says:
        assert re.search(expression, letter.text), f"{drill.alert}: no {expression!r} in {letter.text!r}"
    if letter.kind == "watchdog":
        return
    runbook = f"{ground.stack.inbox}/runbooks/{drill.alert}"
    assert runbook in letter.text, letter.text
    answer = requests.get(runbook, timeout=10)
    assert answer.ok
    assert drill.alert in answer.text
    links = re.findall(r"^Dashboard: .*/d/([\w-]+)/|/d/([\w-]+)/[^|]*\|Dashboard>", letter.text, re.MULTILINE)
    assert links, letter.text
    assert {uid for found in links for uid in found if uid} <= DASHBOARDS


def conducted(ground: Ground, drill: Drill) -> Result | BaseException:
    """What goes wrong with one does not end the others."""
    try:
        return conduct(ground, drill)
    except Exception as error:
        error.add_note(drill.alert)
        return error


def all_of_them(ground: Ground) -> Iterator[Result | BaseException]:
    """Conduct every drill, in the order in which they are done."""
    at_once = [WATCHDOG, *RUNS]
    with ThreadPoolExecutor(len(at_once)) as pool:
        running = {pool.submit(conducted, ground, drill): drill for drill in at_once}
        # What takes long does not mind that servers are stopped meanwhile.
        short = [future for future, drill in running.items() if drill.hours < PATIENT]
        long = [future for future in running if future not in short]
        yield from (future.result() for future in as_completed(short))
        yield from (conducted(ground, drill) for drill in SERVERS)
        yield from (future.result() for future in as_completed(long))


@contextmanager
def opened(folder: Path, factor: float) -> Iterator[Ground]:
    """Servers of their own, for whose rules time runs faster, and the process in which most DAGs run."""
    stack = new_stack(folder, LIVE_EXPIRATION="3s")
    stack.prepare()
    hasten(stack.directory / "config" / "rules", factor)
    replace(stack.directory / CONFIG, SHORT_WAITS)
    replace(stack.directory / "config" / "prometheus.yml", {": 1s": ": 500ms"})
    with ExitStack() as exits:
        exits.callback(stack.stop)
        others = [server for name, server in stack.servers.items() if name != "prometheus"]
        for server in others:
            server.start()
        for server in others:
            server.wait_ready()
        # Last: seconds in which the others start are minutes to the rules.
        stack.servers["prometheus"].start()
        stack.servers["prometheus"].wait_ready()
        letters = exits.enter_context(Letters(stack.inbox))
        actors = Actors(stack, "drills", 3600 / factor)
        exits.callback(actors.end)
        actors.wait_ready()
        yield Ground(stack, folder, factor, letters, exits, actors)


def replace(path: Path, changes: Mapping[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, f"{old} is not in {path.name}"
        text = text.replace(old, new)
    path.write_text(text)


def expect(ground: Ground) -> None:
    """Have the rules go by the drills' own objectives."""
    source = ground.folder / "objectives.yml"
    source.write_text(EXPECTED)
    text = objectives.compiled(objectives.read(source), str(source))
    objectives.write(ground.rules / OBJECTIVES, faster(text, ground.factor))
    ground.reload()


def fired(ground: Ground) -> set[str]:
    """The alerts that have fired since the servers started."""
    found = backends.prometheus(ground.stack, 'count_over_time(ALERTS{alertstate="firing"}[1d])')
    return {labels["alertname"] for labels, _ in found}


def table(results: Sequence[Result], factor: float) -> str:
    """What docs/alerts.md says of the drills."""
    rows = [
        "| alert | severity | scenario | seconds to fire | seconds to resolve |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {one.drill.alert} | {one.drill.severity} | {one.drill.scenario} | {one.fired:.1f} | "
            f"{'never' if one.resolved is None else f'{one.resolved:.1f}'} |"
            for one in sorted(results, key=lambda one: one.drill.alert)
        ),
    ]
    missing = [f"- {alert}: {reason}" for alert, reason in sorted(NOT_DRILLED.items())]
    command = COMMAND if factor == LONG else f"{COMMAND} SCALE={factor:.0f}"
    scale = f"By `{command}`: an hour of the rules took {3600 / factor:.0f} s, and no duration was shorter than 1 s."
    return "\n".join([scale, "", *rows, "", "Not drilled:", "", *missing])


def write(results: Sequence[Result], factor: float) -> None:
    begin, end = f"<!-- drills: written by {COMMAND} -->", "<!-- end of drills -->"
    before, rest = PAGE.read_text().split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n\n{table(results, factor)}\n\n{end}{after}")


def main(factor: float = LONG) -> None:
    """Go through all drills, and write the table unless one went wrong."""
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), factor) as ground:
        expect(ground)
        print(f"{len(every())} drills, 1:{factor:.0f}", flush=True)
        results = list(all_of_them(ground))
    good = [one for one in results if isinstance(one, Result)]
    wrong = [one for one in results if isinstance(one, BaseException)]
    print(table(good, factor))
    if wrong:
        sys.exit("\n".join(map(str, wrong)))
    write(good, factor)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
