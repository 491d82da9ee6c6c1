"""What Grafana does between a dashboard's JSON and the servers, and between their answers and a panel, without Grafana.

Its own npm packages do it, each call in a Node process. Nothing is sent to a server here, and nothing is drawn.
"""

import functools
import json
import math
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.packages import FOLDER, install

PROVISIONED = FOLDER.parents[1] / "grafana/provisioning/datasources/datasources.yml"
ALL = "$__all"

Source = Path | Mapping[str, Any]
Value = str | Sequence[str]


class GrafanaError(Exception):
    """Grafana's code, or what stands around it here, refuses what it was given."""


@dataclass(frozen=True)
class Request:
    """What a variable's query asks its server for; the path is the server's own."""

    method: str
    path: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Query:
    """A query as it is sent: of a panel as often as the panel is shown, of a variable, or of an annotation."""

    path: str
    dashboard: str
    of: str
    name: str
    panel_id: int | None
    repeat: dict[str, str]
    ref_id: str
    datasource_uid: str
    datasource_type: str
    #: Every field of it, interpolated.
    query: dict[str, Any]
    #: instant, range, traceId, search, variable, or other where it is no query of a server.
    kind: str
    format: str | None
    step_ms: int | None
    start_ms: int
    end_ms: int
    #: Grafana does not run it.
    hidden: bool
    #: Variables it uses whose values only a server's answer tells; give them or their answers to have the query.
    missing: tuple[str, ...]
    requests: tuple[Request, ...]

    @property
    def expr(self) -> str:
        """The PromQL or LogQL expression."""
        return str(self.query["expr"])

    @property
    def where(self) -> str:
        """Where it is, for a message."""
        return f"{Path(self.path).name}: {self.of} {self.name} {self.ref_id}"


@dataclass(frozen=True)
class Link:
    """A link of a dashboard, a panel or a field; what only a click knows, as ${__data.fields["x"]}, is left in it."""

    of: str
    name: str
    title: str
    url: str


@dataclass(frozen=True)
class Dashboard:
    """A dashboard with its variables' values put in."""

    path: str
    uid: str
    queries: list[Query]
    links: list[Link]
    variables: dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A column of a frame; its name is the one that a panel shows."""

    name: str
    type: str
    values: list[Any]
    labels: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """Grafana's data frame."""

    ref_id: str | None
    fields: list[Field]
    name: str | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Each row by the names of its columns."""
        names = [column.name for column in self.fields]
        return [
            dict(zip(names, row, strict=True)) for row in zip(*(column.values for column in self.fields), strict=True)
        ]


@dataclass(frozen=True)
class Answer:
    """What a server answered to a query: the member data of its JSON."""

    query: Query
    data: Any


def provisioned() -> list[dict[str, Any]]:
    """The data sources that this project's Grafana has."""
    sources: list[dict[str, Any]] = yaml.safe_load(PROVISIONED.read_text())["datasources"]
    return sources


def read(
    dashboards: Iterable[Source],
    *,
    start_ms: int,
    end_ms: int,
    variables: Mapping[str, Mapping[str, Value]] | None = None,
    answers: Mapping[str, Mapping[str, Any]] | None = None,
    pixels: int = 1000,
) -> list[Dashboard]:
    """Put the variables' values into dashboards.

    variables and answers have what each dashboard, by its uid, is given: values as from the address of the page, and
    what a server answered to a variable's query (the member data of its JSON), which become the variable's options by
    Grafana's rules. Where neither is given, a variable is as Grafana has it with a server that knows nothing.
    """
    loaded = [(str(path), model) for path, model in map(_loaded, dashboards)]
    strange = {*(variables or {}), *(answers or {})} - {model.get("uid", "") for _, model in loaded}
    if strange:
        raise GrafanaError(f"no dashboard has the uid {', '.join(sorted(strange))}")
    request = {
        "from": start_ms,
        "to": end_ms,
        "maxDataPoints": pixels,
        "datasources": provisioned(),
        "dashboards": [
            {
                "path": path,
                "dashboard": model,
                "variables": (variables or {}).get(model.get("uid", ""), {}),
                "answers": (answers or {}).get(model.get("uid", ""), {}),
            }
            for path, model in loaded
        ],
    }
    return [_dashboard(one) for one in _node("interpolate.mjs", request)]


def interpolate(dashboards: Iterable[Source], **how: Any) -> list[Query]:
    """Every query of dashboards as it is sent; see read()."""
    return [query for dashboard in read(dashboards, **how) for query in dashboard.queries]


def transform(data: Sequence[Answer | Frame], transformations: Sequence[Mapping[str, Any]] = ()) -> list[Frame]:
    """What a panel draws of its queries' answers: the frames made of them, with its transformations applied."""
    sources = [_frame_in(one) if isinstance(one, Frame) else _answer_in(one) for one in data]
    written = _node("transform.mjs", {"sources": sources, "transformations": list(transformations)})
    return [
        Frame(
            ref_id=one["refId"],
            name=one["name"],
            fields=[
                Field(**{key: value for key, value in column.items() if key != "rawName"}) for column in one["fields"]
            ],
        )
        for one in written
    ]


def type_errors(dashboards: Iterable[Source]) -> list[str]:
    """What the compiler says of dashboards against Grafana's types; nothing where they are right."""
    request = [{"path": str(path), "dashboard": model} for path, model in map(_loaded, dashboards)]
    errors: list[str] = _node("check_types.mjs", request)
    return errors


def _loaded(source: Source) -> tuple[Path, Mapping[str, Any]]:
    if isinstance(source, Path):
        return source, json.loads(source.read_text())
    return Path(f"{source.get('uid', 'dashboard')}.json"), source


def _dashboard(read: dict[str, Any]) -> Dashboard:
    queries = [_query(read["path"], read["uid"], query) for query in read["queries"]]
    return Dashboard(read["path"], read["uid"], queries, [Link(**link) for link in read["links"]], read["variables"])


def _query(path: str, uid: str, query: Mapping[str, Any]) -> Query:
    return Query(
        path=path,
        dashboard=uid,
        of=query["of"],
        name=query["name"],
        panel_id=query.get("id"),
        repeat=query.get("repeat", {}),
        ref_id=query["refId"],
        datasource_uid=query["datasource"]["uid"],
        datasource_type=query["datasource"]["type"],
        query=query["query"],
        kind=query["kind"],
        format=query.get("format"),
        step_ms=query.get("step"),
        start_ms=query["from"],
        end_ms=query["to"],
        hidden=query.get("hidden", False),
        missing=tuple(query["missing"]),
        requests=tuple(Request(**request) for request in query.get("requests", ())),
    )


def _answer_in(answer: Answer) -> dict[str, Any]:
    query = answer.query
    settings = next((one for one in provisioned() if one["uid"] == query.datasource_uid), {})
    return {
        "type": query.datasource_type,
        "refId": query.ref_id,
        "kind": query.kind,
        "format": query.format,
        "step": query.step_ms,
        "expr": query.query.get("expr"),
        "legendFormat": query.query.get("legendFormat"),
        "derivedFields": settings.get("jsonData", {}).get("derivedFields", []),
        "response": answer.data,
    }


def _frame_in(frame: Frame) -> dict[str, Any]:
    return {
        "type": "frame",
        "frame": {
            "refId": frame.ref_id,
            "name": frame.name,
            "fields": [
                {key: value for key, value in vars(column).items() if value or key == "values"}
                for column in frame.fields
            ],
        },
    }


@functools.cache
def _installed() -> None:
    install()


def _node(script: str, request: Any) -> Any:
    _installed()
    done = subprocess.run(
        ["node", FOLDER / script],
        input=json.dumps(request, allow_nan=False),
        capture_output=True,
        text=True,
        # Times are written in the reader's time zone.
        env={**os.environ, "TZ": "UTC"},
        check=False,
    )
    if done.returncode:
        reasons = [
            line for line in done.stderr.splitlines() if line.startswith(("Error: ", "TypeError: ", "SyntaxError: "))
        ]
        raise GrafanaError(reasons[0].partition(": ")[2] if reasons else done.stderr)
    return json.loads(done.stdout, object_hook=_special)


def _special(value: dict[str, Any]) -> Any:
    """A number that JSON has no name for."""
    return (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[value["$number"]]
        if "$number" in value
        else value
    )
