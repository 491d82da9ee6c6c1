"""Every query of the runbooks put to the real Prometheus and Loki, with its placeholders filled in."""

import time

import pytest
import requests

from stack import Stack
from tests.runbooks import Block, queries


@pytest.mark.parametrize("block", queries("promql"), ids=lambda block: block.where)
def test_prometheus_takes_the_query(stack: Stack, block: Block) -> None:
    """It is valid PromQL that matches series one to one; whether there are any does not matter here."""
    parameters = {"query": block.filled_in}
    answer = requests.get(f"{stack.prometheus}/api/v1/query", params=parameters, timeout=20)
    assert answer.status_code == 200, answer.text
    assert not answer.json().get("warnings"), answer.text


@pytest.mark.parametrize("block", queries("logql"), ids=lambda block: block.where)
def test_loki_takes_the_query(stack: Stack, block: Block) -> None:
    """It is valid LogQL, of lines or of numbers."""
    now = time.time_ns()
    parameters: dict[str, str | int] = {"query": block.filled_in, "start": now - 600_000_000_000, "end": now}
    answer = requests.get(f"{stack.loki}/loki/api/v1/query_range", params=parameters, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
