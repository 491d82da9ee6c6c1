"""What the servers need around them before they start: folders, Prometheus' targets, environment variables."""

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import yaml

from .ports import HOST, Ports
from .recipes import ROOT

#: Settings meant for the user's own programs, which the servers would take for theirs.
FOREIGN_PREFIX = "OTEL_"
OBJECTIVES = "objectives.compiled.yml"


def prepare(directory: Path, ports: Ports, scrape_interval: str | None) -> None:
    """Create the run directory: data, logs, and a Prometheus configuration with the addresses of this run."""
    for name in ("logs", "collector", "jaeger", "loki", "alertmanager", "prometheus"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    config = directory / "config"
    # Prometheus resolves rules and targets beside its configuration, so a copy is what separates this run's.
    shutil.rmtree(config, ignore_errors=True)
    (config / "targets").mkdir(parents=True)
    shutil.copytree(ROOT / "prometheus" / "rules", config / "rules")
    # Save these, so that `make objectives` reaches servers that are running.
    (config / "rules" / OBJECTIVES).unlink()
    (config / "rules" / OBJECTIVES).symlink_to(ROOT / "prometheus" / "rules" / OBJECTIVES)
    settings = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    if scrape_interval:
        for key in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
            settings["global"][key] = scrape_interval
    (config / "prometheus.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (config / "targets" / "native.yml").write_text(yaml.safe_dump(targets(ports)))


def targets(ports: Ports) -> list[dict[str, object]]:
    """The same jobs as in prometheus/targets/docker.yml, at the addresses of this run."""
    numbers = {
        "collector-aggregated": ports.collector_aggregated,
        "collector-live": ports.collector_live,
        "collector": ports.collector_metrics,
        "prometheus": ports.prometheus,
        "alertmanager": ports.alertmanager,
        "loki": ports.loki,
        "jaeger": ports.jaeger_metrics,
    }
    return [{"targets": [f"{HOST}:{number}"], "labels": {"job": job}} for job, number in numbers.items()]


def environment(directory: Path, ports: Ports, path: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The one environment for all servers; the Procfile and the configurations read it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIX)}
    return {
        "HOST_NAME": socket.gethostname(),
        "GRAFANA_URL": "http://127.0.0.1:3000",
        "RUNBOOKS_URL": "http://127.0.0.1:8026/runbooks",
        **inherited,
        **ports.environment(),
        "PATH": path,
        "COLLECTOR_HOST": HOST,
        "JAEGER_HOST": HOST,
        "LOKI_HOST": HOST,
        "JAEGER_OTLP_ENDPOINT": f"{HOST}:{ports.jaeger_otlp}",
        "LOKI_OTLP_ENDPOINT": f"http://{HOST}:{ports.loki}/otlp",
        "LOG_DIR": str(directory / "logs"),
        "COLLECTOR_QUEUE_DIR": str(directory / "collector"),
        "JAEGER_DIR": str(directory / "jaeger"),
        "LOKI_DIR": str(directory / "loki"),
        "ALERTMANAGER_DIR": str(directory / "alertmanager"),
        "PROMETHEUS_DIR": str(directory / "prometheus"),
        "PROMETHEUS_CONFIG": str(directory / "config" / "prometheus.yml"),
        **extra,
    }
