"""Questions to the real servers, as plain functions; no assertions of any one test."""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from prometheus_client.parser import text_string_to_metric_families

from stack import Stack

T = TypeVar("T")
Labels = dict[str, str]

#: The counters in which the Collector says that it lost something.
LOSSES = (
    "otelcol_receiver_refused_",
    "otelcol_receiver_failed_",
    "otelcol_processor_refused_",
    "otelcol_exporter_send_failed_",
    "otelcol_exporter_enqueue_failed_",
)


def eventually(question: Callable[[], T], *, timeout: float = 20, interval: float = 0.2) -> T:
    """Ask until the answer is true and return it; an AssertionError counts as "not yet"."""
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() > deadline
        try:
            answer = question()
            if answer:
                return answer
        except AssertionError:
            if late:
                raise
        else:
            if late:
                raise AssertionError(f"still {answer!r} after {timeout:.0f} s")
        time.sleep(interval)


def _get(url: str, **parameters: Any) -> Any:
    response = requests.get(url, params=parameters, timeout=10)
    assert response.ok, f"{response.url} answered {response.status_code}: {response.text[:500]}"
    return response.json()


def prometheus(stack: Stack, query: str, *, at: float | None = None) -> list[tuple[Labels, float]]:
    """The result of an instant query, labels and value of each series."""
    parameters = {"query": query} if at is None else {"query": query, "time": at}
    result = _get(f"{stack.prometheus}/api/v1/query", **parameters)["data"]["result"]
    return [(series["metric"], float(series["value"][1])) for series in result]


def value(stack: Stack, query: str) -> float | None:
    """The only value of an instant query, or None when nothing matches."""
    result = prometheus(stack, query)
    assert len(result) <= 1, f"{query} gave {len(result)} series: {result}"
    return result[0][1] if result else None


def exemplars(stack: Stack, query: str, *, since: float = 600) -> list[dict[str, Any]]:
    """The exemplars of the last seconds, with their labels, value and timestamp."""
    now = time.time()
    series = _get(f"{stack.prometheus}/api/v1/query_exemplars", query=query, start=now - since, end=now + 5)
    return [exemplar for one in series["data"] for exemplar in one["exemplars"]]


def trace(stack: Stack, trace_id: str) -> list[dict[str, Any]]:
    """The spans of a trace in Jaeger, or nothing while Jaeger does not know it."""
    response = requests.get(f"{stack.jaeger}/api/traces/{trace_id}", timeout=10)
    return response.json()["data"][0]["spans"] if response.ok else []


def traces(stack: Stack, service: str, **parameters: Any) -> list[dict[str, Any]]:
    """The traces of a service; `parameters` are those of Jaeger's search, such as `tags` or `operation`."""
    if "tags" in parameters:
        parameters["tags"] = json.dumps(parameters["tags"])
    found = _get(f"{stack.jaeger}/api/traces", service=service, **{"limit": 1000, **parameters})["data"]
    return found or []


def tags(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, or the fields of one of its log entries, from Jaeger's lists."""
    return {tag["key"]: tag["value"] for tag in span.get("tags", span.get("fields", []))}


def logs(stack: Stack, query: str, *, since: float = 600, limit: int = 5000) -> list[tuple[Labels, str]]:
    """The lines that a LogQL query finds, oldest first: labels with structured metadata, and the body."""
    now = time.time()
    streams = _get(
        f"{stack.loki}/loki/api/v1/query_range",
        query=query,
        start=int((now - since) * 1e9),
        end=int((now + 5) * 1e9),
        limit=limit,
    )["data"]["result"]
    lines = [(stamp, stream["stream"], line) for stream in streams for stamp, line in stream["values"]]
    return [(labels, line) for _, labels, line in sorted(lines, key=lambda item: int(item[0]))]


def scrape(url: str) -> list[tuple[str, Labels, float]]:
    """The samples on a metrics page of the Collector: name, labels and value."""
    text = requests.get(url, timeout=10).text
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def losses(stack: Stack) -> dict[str, float]:
    """The Collector's own counters of what it refused, dropped or could not send, those above zero."""
    return {
        f"{name}{labels}": number
        for name, labels, number in scrape(stack.collector_metrics)
        if number and (name.startswith(LOSSES) or (name.startswith("otelcol_deltatocumulative") and "error" in labels))
    }


def rules(stack: Stack) -> list[dict[str, Any]]:
    """The recording and alerting rules that Prometheus has loaded."""
    groups = _get(f"{stack.prometheus}/api/v1/rules")["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]
