"""A sender that sends every request until it is acknowledged, and says which were: `python insistent.py OPTIONS`.

Runs until its standard input ends, and then until all is acknowledged. Plain HTTP and JSON, so that nothing but the
servers can lose anything: each round is a request of a run's start, one of five spans and one of a log line. With the
option `grpc` it is a run's start alone, over gRPC.
"""

import http.client
import json
import sys
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stack.drain import EXPORT

SPANS = 5
#: Few enough spans in a trace for Jaeger to return it at once.
ROUNDS_PER_TRACE = 100
PAUSE = 0.05

Attributes = list[dict[str, Any]]


class Insistent:
    """Posts to one receiver; counts the requests that had to be sent again."""

    def __init__(self, endpoint: str) -> None:
        self._address = urlsplit(endpoint).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=10)
        self.retries = 0
        self.codes: set[int] = set()

    def post(self, path: str, body: dict[str, Any]) -> float:
        """Return the time of the acknowledgement."""
        data = json.dumps(body)
        while not self._accepted(path, data):
            self.retries += 1
            time.sleep(PAUSE)
        return time.time()

    def _accepted(self, path: str, data: str) -> bool:
        try:
            self._connection.request("POST", path, data, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        self.codes.add(answer.status)
        return answer.status == 200


class InsistentGrpc:
    """Sends metrics over gRPC."""

    def __init__(self, address: str) -> None:
        # As impatient as the other one, also after many failures.
        impatient = [(f"grpc.{name}_reconnect_backoff_ms", 100) for name in ("initial", "min", "max")]
        self._export = grpc.insecure_channel(address, impatient).unary_unary(EXPORT, bytes, bytes)
        self.retries = 0
        self.codes: set[int] = set()

    def post(self, path: str, body: dict[str, Any]) -> float:
        """Return the time of the acknowledgement."""
        data = ParseDict(body, ExportMetricsServiceRequest()).SerializeToString()
        while True:
            try:
                self._export(data, timeout=10)
            except grpc.RpcError as error:
                self.codes.add(error.code().value[0])
                self.retries += 1
                time.sleep(PAUSE)
            else:
                return time.time()


def attributes(**values: str) -> Attributes:
    return [{"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in values.items()]


def spans(trace_id: str, ids: list[str]) -> dict[str, Any]:
    now = time.time_ns()
    made = [
        {"traceId": trace_id, "spanId": id_, "name": "work", "startTimeUnixNano": now, "endTimeUnixNano": now + 1000}
        for id_ in ids
    ]
    return {"scopeSpans": [{"scope": {"name": "insistent"}, "spans": made}]}


def log(line: str) -> dict[str, Any]:
    record = {"timeUnixNano": time.time_ns(), "severityNumber": 9, "body": {"stringValue": line}}
    return {"scopeLogs": [{"scope": {"name": "insistent"}, "logRecords": [record]}]}


def run(dag: str) -> dict[str, Any]:
    now = time.time_ns()
    point = {"attributes": attributes(hamilton_dag_name=dag), "startTimeUnixNano": now, "timeUnixNano": now + 1000}
    counter = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [{**point, "asInt": "1"}]}
    metric = {"name": "hamilton.run.starts", "unit": "{run}", "sum": counter}
    return {"scopeMetrics": [{"scope": {"name": "hamilton_otel"}, "metrics": [metric]}]}


def wait_for_the_end_of_input(done: threading.Event) -> None:
    sys.stdin.read()
    done.set()


def main(options: dict[str, Any]) -> None:
    done = threading.Event()
    threading.Thread(target=wait_for_the_end_of_input, args=(done,), daemon=True).start()
    name, pad = options["name"], "x" * options.get("pad", 0)
    resource = {"attributes": attributes(service_name=name, service_instance_id=options["instance"])}
    sender = Insistent(options["endpoint"])
    counter = InsistentGrpc(options["grpc"]) if "grpc" in options else sender
    traces: dict[str, list[str]] = {}
    lines: list[str] = []
    runs: list[float] = []
    while not done.is_set():
        runs.append(counter.post("/v1/metrics", {"resourceMetrics": [{"resource": resource, **run(name)}]}))
        if counter is not sender:
            continue
        if len(lines) % ROUNDS_PER_TRACE == 0:
            trace_id = uuid.uuid4().hex
            traces[trace_id] = []
        ids = [uuid.uuid4().hex[:16] for _ in range(SPANS)]
        sender.post("/v1/traces", {"resourceSpans": [{"resource": resource, **spans(trace_id, ids)}]})
        traces[trace_id] += ids
        line = f"{options['instance']} {len(lines):06d}"
        sender.post("/v1/logs", {"resourceLogs": [{"resource": resource, **log(f"{line} {pad}".strip())}]})
        lines.append(line)
    codes = sorted(counter.codes)
    print(json.dumps({"traces": traces, "lines": lines, "runs": runs, "codes": codes, "retries": counter.retries}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
