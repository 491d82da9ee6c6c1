"""`make demo`: runs the flights pipeline observed, shows the run, and says what to try next.

The pipeline itself is `pipeline.py`, which knows nothing of telemetry; it gets the arguments of this script.
"""

import os
import subprocess
import sys
from pathlib import Path

import requests
from hamilton_otel.history import Run, open_store
from rich.console import Console

HERE = Path(__file__).resolve().parent
STORE = Path(".hamilton-otel")
HEALTH = "http://127.0.0.1:13133"
ENDPOINT = "http://127.0.0.1:4318"

console = Console(highlight=False)


def main(arguments: list[str]) -> int:
    """Run, show, and point onwards; 0 unless the demo itself could not run (a failure that was asked for is fine)."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or (ENDPOINT if _stack_is_up() else None)
    environment = {**os.environ, "HAMILTON_OTEL_LOCAL_STORE": str(STORE), "OTEL_SERVICE_NAME": "flights-demo"}
    if endpoint:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    console.print("[dim]$[/] hamilton-otel run examples/flights/pipeline.py", *arguments)
    command = [sys.executable, "-m", "hamilton_otel.cli"]
    done = subprocess.run([*command, "run", str(HERE / "pipeline.py"), *arguments], env=environment, check=False)
    if done.returncode > 1:
        return done.returncode
    console.print("\n[dim]$[/] hamilton-otel show\n")
    shown = subprocess.run([*command, "show", "--store", str(STORE)], check=False)
    if shown.returncode:
        return shown.returncode
    run = open_store(STORE).run("latest")
    if endpoint:
        _point_to_servers(endpoint, run)
    _point_onwards(bool(endpoint))
    return 0


def _stack_is_up() -> bool:
    try:
        return requests.get(HEALTH, timeout=0.5).ok
    except requests.RequestException:
        return False


def _point_to_servers(endpoint: str, run: Run) -> None:
    query = f'{{service_name="flights-demo"}} | trace_id="{run.trace_id}"'
    console.print(f"\nSent to {endpoint} as well. The same run there:")
    console.print(f"  trace    curl -s http://127.0.0.1:16686/api/traces/{run.trace_id}", soft_wrap=True)
    console.print(f"           http://127.0.0.1:16686/trace/{run.trace_id} (pages: with Docker)", soft_wrap=True)
    console.print(
        f"  logs     curl -sG http://127.0.0.1:3100/loki/api/v1/query_range --data-urlencode 'query={query}'",
        soft_wrap=True,
        markup=False,
    )
    console.print(
        "  metrics  curl -sG http://127.0.0.1:9090/api/v1/query"
        f" --data-urlencode 'query=hamilton_run_starts_total{{hamilton_dag_name=\"{run.dag}\"}}'",
        soft_wrap=True,
        markup=False,
    )


def _point_onwards(with_servers: bool) -> None:
    console.print("\nNext:")
    console.print("  make demo FAIL=delay_model   a node that fails")
    console.print("  make demo SLOW=3             a slow node")
    if not with_servers:
        console.print("  make stack                   real servers without Docker; then demo again")
        console.print("  make up                      the whole stack with dashboards, in Docker")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
