"""Rules with shorter durations are the same rules, and promtool takes them (tests/stack/faster.py)."""

from pathlib import Path

import pytest
import yaml

from stack.recipes import ROOT
from tests.stack.faster import faster, seconds

FILES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    for: 2m", "    for: 2000ms"),
        ("    interval: 15m", "    interval: 15000ms"),
        ("    query_offset: 30s", "    query_offset: 1000ms"),
        ("    for: 0s", "    for: 0ms"),
        ("      keep_firing_for: 1h30m", "      keep_firing_for: 90000ms"),
        ("sum_over_time(x[1h])", "sum_over_time(x[60000ms])"),
        ("increase(x[1m] anchored)", "increase(x[1000ms] anchored)"),
        ("max_over_time(x[1h:5m])", "max_over_time(x[60000ms:5000ms])"),
        ("max_over_time(x[1h:])", "max_over_time(x[60000ms:])"),
        ("x[2m] offset 14m", "x[2000ms] offset 14000ms"),
        ("x offset -1h", "x offset -60000ms"),
        ('x{job=~"[a-z]5m"} > 600 # offset of 3', 'x{job=~"[a-z]5m"} > 600 # offset of 3'),
        ("hamilton:runs:increase1m / 24 < 86400", "hamilton:runs:increase1m / 24 < 86400"),
        ("labels: {severity: critical, window: 6h}", "labels: {severity: critical, window: 6h}"),
    ],
)
def test_durations_and_nothing_else_are_divided(before: str, after: str) -> None:
    """Settings, ranges, subqueries and offsets; no names, labels or plain numbers."""
    assert faster(before, 60) == after


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_duration_of_the_rules_is_seen(path: Path) -> None:
    """None of the settings keeps its length, and the rules are as many as before."""
    old, new = (yaml.safe_load(text) for text in (path.read_text(), faster(path.read_text(), 60)))
    assert len(old["groups"]) == len(new["groups"])
    for before, after in zip(old["groups"], new["groups"], strict=True):
        if "interval" in before:
            assert seconds(after["interval"]) == max(seconds(before["interval"]) / 60, 1)
        assert len(before["rules"]) == len(after["rules"])
