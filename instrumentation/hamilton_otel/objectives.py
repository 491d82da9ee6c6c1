"""Objectives of DAGs: reads what users write, refuses what is wrong in it, makes Prometheus rules of it.

Not for what follows from them: the rules in ``prometheus/rules`` join the constants made here with what is measured.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


class ObjectivesError(ValueError):
    """The file cannot be used; each of ``problems`` names file and line, says what is wrong and how to mend it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one DAG, in one environment or in all; of every DAG where ``dag`` is None."""

    dag: str | None = None
    environment: str | None = None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of its constants; ``scope`` tells the rules which holds before which."""
        if self.dag is None:
            return {"scope": "default"}
        if self.environment is None:
            return {"scope": "dag", "hamilton_dag_name": self.dag}
        return {"scope": "environment", "hamilton_dag_name": self.dag, "deployment_environment_name": self.environment}


def _share(text: str) -> float:
    number = text.removesuffix("%").strip()
    if not text.endswith("%") or not _NUMBER.fullmatch(number):
        raise ValueError("is no percentage; write it like 99.5%")
    if not 0 < float(number) < 100:
        raise ValueError("is out of range; write more than 0% and less than 100%, which leaves no budget to spend")
    return round(float(number) / 100, 12)


def _seconds(text: str) -> float:
    compact = text.replace(" ", "")
    if _NUMBER.fullmatch(compact):
        raise ValueError(f"has no unit; write {compact}s, {compact}m, {compact}h or {compact}d")
    if not _DURATION.fullmatch(compact):
        raise ValueError("is no time; write a number and its unit (s, m, h, d or w), like 90s or 1h30m")
    seconds = math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact))
    if not seconds:
        raise ValueError("is no time; write more than zero")
    return seconds


def _truth(text: str) -> float:
    if text.lower() not in ("true", "false"):
        raise ValueError("is neither; write true or false")
    return float(text.lower() == "true")


_RECORDED: Final[dict[str, tuple[str, Callable[[str], float]]]] = {
    "success": ("hamilton:success_objective:constant", _share),
    "deadline": ("hamilton:deadline:constant", _seconds),
    "max_duration": ("hamilton:max_duration:constant", _seconds),
    "stuck_after": ("hamilton:stuck_after:constant", _seconds),
    "usual_interval": ("hamilton:usual_interval:constant", _truth),
}
"""What may be expected: the name under which it is recorded, and what reads it."""

_DEFAULTS: Final = ("success", "stuck_after")
"""Without these the SLO dashboard and RunStuck would know nothing of most DAGs."""
_NAMES: Final = ("dag", "environment")


def read(path: Path) -> list[Expectation]:
    """Return what *path* expects, the defaults first; raise :class:`ObjectivesError` with all that is wrong in it."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ObjectivesError(f"{path}: cannot be read ({reason}); name a file like alerting/objectives.yml.") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ObjectivesError(f"{path}:{line}: is no YAML ({error.problem}); correct it there or just above.") from None
    reader = _Reader(path)
    expectations = reader.file(root)
    if reader.problems:
        raise ObjectivesError(*reader.problems)
    return expectations


def compiled(expectations: list[Expectation], source: str) -> str:
    """Return the file of rules that record *expectations*, which were read from *source*."""
    rules = [
        {"record": _RECORDED[key][0], "expr": f"vector({number!r})", "labels": expectation.labels}
        for expectation in expectations
        for key, number in expectation.values.items()
    ]
    # Often, as everything that goes by an objective waits for it after a start.
    groups = {"groups": [{"name": "objectives-compiled", "interval": "15s", "rules": rules}]}
    body = yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1000)
    return f"# Made of {source} by `hamilton-otel objectives compile`; change that and run it again.\n{body}"


def write(path: Path, text: str) -> None:
    """Replace *path* at once, as Prometheus may read it at any time; through a link, where it is one."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)  # Prometheus may be another user
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


class _Reader:
    """Collects what is wrong, so that it is all said at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []

    def file(self, root: yaml.Node | None) -> list[Expectation]:
        """Return the expectations in the document *root*."""
        parts = dict(self._pairs(root, ("defaults", "dags"), "the file")) if root is not None else {}
        if "defaults" not in parts:
            self._refuse(root, f"defaults are missing; add `defaults:` with {' and '.join(_DEFAULTS)}")
            return []
        defaults = self._values(parts["defaults"], _DEFAULTS, "defaults")
        for key in _DEFAULTS:
            if key not in dict(self._pairs(parts["defaults"], None, "defaults")):
                self._refuse(parts["defaults"], f"defaults have no {key}; add it, it holds for every other DAG")
        found = [Expectation(values=defaults)]
        seen: dict[tuple[str, str | None], int] = {}
        for node in self._entries(parts.get("dags")):
            expectation = self._entry(node)
            if expectation is None or expectation.dag is None:
                continue
            about = (expectation.dag, expectation.environment)
            if about in seen:
                where = f" in {about[1]}" if about[1] else ""
                self._refuse(
                    node,
                    f"{about[0]}{where} has an entry in line {seen[about]} already; make one of the two, or tell them "
                    "apart by environment",
                )
            seen.setdefault(about, node.start_mark.line + 1)
            found.append(expectation)
        return found

    def _entry(self, node: yaml.Node) -> Expectation | None:
        names = {
            key: str(value.value).strip() if isinstance(value, yaml.ScalarNode) else ""
            for key, value in self._pairs(node, None, "an entry")
            if key in _NAMES
        }
        values = self._values(node, (*_NAMES, *_RECORDED), "an entry")
        if not isinstance(node, yaml.MappingNode):
            return None
        for key in _NAMES:
            if not names.get(key, "" if key == "dag" else "-"):
                self._refuse(
                    node, f"an entry has no {key}; write `{key}: name`" + (" or leave it out" * (key != "dag"))
                )
        if names.get("dag") and not set(_RECORDED) & {key for key, _ in self._pairs(node, None, "an entry")}:
            self._refuse(node, f"nothing is expected of {names['dag']}; add one of {', '.join(_RECORDED)}")
        return Expectation(names.get("dag") or None, names.get("environment") or None, values)

    def _values(self, node: yaml.Node, allowed: tuple[str, ...], what: str) -> dict[str, float]:
        values: dict[str, float] = {}
        for key, value in self._pairs(node, allowed, what):
            if key in _RECORDED and key in allowed:
                text = str(value.value).strip() if isinstance(value, yaml.ScalarNode) else "a list"
                try:
                    values[key] = _RECORDED[key][1](text)
                except ValueError as error:
                    self._refuse(value, f"{key}: {text!r} {error}")
        return values

    def _entries(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"):
            return []
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._refuse(node, "dags is no list; begin each entry with `- dag: name`")
        return []

    def _pairs(self, node: yaml.Node, allowed: tuple[str, ...] | None, what: str) -> Iterator[tuple[str, yaml.Node]]:
        """Yield keys and values of a mapping; say what is wrong with them where it is known what is *allowed*."""
        if not isinstance(node, yaml.MappingNode):
            if allowed is not None:
                self._refuse(node, f"{what} is not made of names and values; write `name: value`")
            return
        seen: set[Any] = set()
        for key, value in node.value:
            if allowed is not None and key.value not in allowed:
                self._refuse(key, f"{what} cannot have {key.value!r}; it may have {', '.join(allowed)}")
            elif allowed is not None and key.value in seen:
                self._refuse(key, f"{key.value} is there twice; remove one of them")
            seen.add(key.value)
            yield str(key.value), value

    def _refuse(self, node: yaml.Node | None, problem: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 1
        self.problems.append(f"{self._path}:{line}: {problem}.")
