"""Objectives of DAGs: what is refused, what Prometheus gets of the rest, and the commands."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from hamilton_otel.cli.app import app
from hamilton_otel.objectives import Expectation, ObjectivesError, compiled, read
from typer.testing import CliRunner

from stack.recipes import ROOT

DEFAULTS = "defaults: {success: 99%, stuck_after: 6h}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "objectives.yml"
    path.write_text(text)
    return path


def test_an_entry_holds_in_one_environment_or_in_all(tmp_path: Path) -> None:
    """Each is read as it is written; which holds before which is the rules' business."""
    text = (
        "dags:\n- {dag: etl, deadline: 1h30m, usual_interval: true}\n- {dag: etl, environment: prod, success: 99.9%}\n"
    )
    assert read(written(tmp_path, DEFAULTS + text)) == [
        Expectation(None, None, {"success": 0.99, "stuck_after": 21600}),
        Expectation("etl", None, {"deadline": 5400, "usual_interval": 1}),
        Expectation("etl", "prod", {"success": 0.999}),
    ]


def test_without_entries_the_defaults_hold(tmp_path: Path) -> None:
    """As in a file whose entries are all comments."""
    for dags in ("", "dags:\n", "dags: []\n"):
        assert len(read(written(tmp_path, DEFAULTS + dags))) == 1


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("- {dag: a, deadlin: 3h, success: 99%}", 3, "an entry cannot have 'deadlin'; it may have dag, environment, "),
        ("- {dag: a, success: 99}", 3, "success: '99' is no percentage; write it like 99.5%."),
        ("- {dag: a, success: 0.99}", 3, "success: '0.99' is no percentage; write it like 99.5%."),
        ("- {dag: a, success: 100%}", 3, "success: '100%' is out of range; write more than 0% and less than 100%, "),
        ("- {dag: a, success: 0%}", 3, "success: '0%' is out of range"),
        ("- dag: a\n  deadline: 30", 4, "deadline: '30' has no unit; write 30s, 30m, 30h or 30d."),
        (
            "- {dag: a, deadline: 3 weeks}",
            3,
            "deadline: '3 weeks' is no time; write a number and its unit (s, m, h, d ",
        ),
        ("- {dag: a, deadline: 0s}", 3, "deadline: '0s' is no time; write more than zero."),
        ("- {dag: a, deadline: [1h]}", 3, "deadline: 'a list' is no time"),
        ("- {dag: a, usual_interval: yes}", 3, "usual_interval: 'yes' is neither; write true or false."),
        ("- {dag: a, deadline: 1h}\n- {dag: a, deadline: 2h}", 4, "a has an entry in line 3 already; make one of the "),
        ("- {dag: a, deadline: 1h, deadline: 2h}", 3, "deadline is there twice; remove one of them."),
        ("- {deadline: 1h}", 3, "an entry has no dag; write `dag: name`."),
        (
            "- {dag: a, environment: , deadline: 1h}",
            3,
            "an entry has no environment; write `environment: name` or leave ",
        ),
        ("- {dag: a}", 3, "nothing is expected of a; add one of success, "),
        ("- a", 3, "an entry is not made of names and values; write `name: value`."),
        ("  a: 1h", 3, "dags is no list; begin each entry with `- dag: name`."),
        ("- {dag: a", 4, "is no YAML (expected ',' or '}', but got '<stream end>'); correct it there or just above."),
    ],
)
def test_a_bad_entry_is_refused(tmp_path: Path, text: str, line: int, problem: str) -> None:
    """With the file, the line, what is wrong and how to mend it; once."""
    path = written(tmp_path, f"{DEFAULTS}dags:\n{text}\n")
    with pytest.raises(ObjectivesError) as refused:
        read(path)
    (said,) = refused.value.problems
    assert said.startswith(f"{path}:{line}: {problem}")


def test_bad_defaults_are_refused(tmp_path: Path) -> None:
    """They hold for every DAG that has no entry, so they have to be there."""
    for text, problem in (
        ("", "defaults are missing; add `defaults:` with success and stuck_after."),
        ("defaults: {success: 99%}", "defaults have no stuck_after; add it, it holds for every other DAG."),
        (DEFAULTS + "dag: []", "the file cannot have 'dag'; it may have defaults, dags."),
    ):
        with pytest.raises(ObjectivesError) as refused:
            read(written(tmp_path, text))
        assert refused.value.problems[0].partition(": ")[2] == problem


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Nobody has to run it again for the next line."""
    path = written(tmp_path, DEFAULTS + "dags:\n- {dag: a, deadline: 1}\n- {dag: b, success: 1}\n")
    done = CliRunner().invoke(app, ["objectives", "check", str(path)])
    assert done.exit_code == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [f"{path}:3", f"{path}:4"]


def test_prometheus_gets_a_constant_of_each() -> None:
    """With the labels that the rules join by."""
    text = compiled(
        [Expectation("a b", "prod", {"deadline": 3600.0}), Expectation("c", None, {"success": 0.9})], "x.yml"
    )
    (group,) = yaml.safe_load(text)["groups"]
    assert group["rules"] == [
        {
            "record": "hamilton:deadline:constant",
            "expr": "vector(3600.0)",
            "labels": {"scope": "environment", "hamilton_dag_name": "a b", "deployment_environment_name": "prod"},
        },
        {
            "record": "hamilton:success_objective:constant",
            "expr": "vector(0.9)",
            "labels": {"scope": "dag", "hamilton_dag_name": "c"},
        },
    ]


def test_the_committed_rules_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what `make objectives` writes."""
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["objectives", "check"])
    assert done.exit_code == 0, done.stderr


def test_check_tells_that_the_rules_are_old(tmp_path: Path) -> None:
    """So that CI can refuse a change that nobody compiled; and compile writes through a link."""
    path, output, link = written(tmp_path, DEFAULTS), tmp_path / "rules.yml", tmp_path / "link.yml"
    link.symlink_to(output)
    command = [str(path), "--output", str(link)]
    done = CliRunner().invoke(app, ["objectives", "check", *command])
    assert done.exit_code == 1
    assert done.stderr.endswith("run `hamilton-otel objectives compile`.\n")
    assert CliRunner().invoke(app, ["objectives", "compile", *command]).exit_code == 0
    assert link.is_symlink()
    assert output.stat().st_mode & 0o777 == 0o644
    assert CliRunner().invoke(app, ["objectives", "check", *command]).exit_code == 0


@contextmanager
def prometheus(status: int) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"bad rules")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, "goes by it now."),
        (403, "start Prometheus with --web.enable-lifecycle."),
        (500, "keeps its old rules: bad rules."),
    ],
)
def test_prometheus_is_asked_to_reload(tmp_path: Path, status: int, said: str) -> None:
    """What it answers decides the exit code, as the alerts go by the old objectives otherwise."""
    path, output = written(tmp_path, DEFAULTS), tmp_path / "rules.yml"
    with prometheus(status) as (url, asked):
        command = ["objectives", "compile", str(path), "--output", str(output), "--reload", url]
        done = CliRunner().invoke(app, command)
    assert asked == ["/-/reload"]
    assert done.output.strip().endswith(said)
    assert done.exit_code == (0 if status == 200 else 1)


def test_a_prometheus_that_is_away_is_told(tmp_path: Path) -> None:
    """The rules are written all the same."""
    path, output = written(tmp_path, DEFAULTS), tmp_path / "rules.yml"
    command = ["objectives", "compile", str(path), "--output", str(output), "--reload", "http://127.0.0.1:9"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert output.exists()
