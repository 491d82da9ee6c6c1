"""Docker and the native stack run the same things: versions, flags, targets."""

import re
import socket
from pathlib import Path
from typing import Any

import yaml

from stack.ports import Ports
from stack.recipes import RECIPES, ROOT
from stack.surroundings import OBJECTIVES, environment, prepare, targets

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROCFILE = (ROOT / "stack" / "Procfile").read_text()


def image_version(service: str) -> str:
    return str(COMPOSE["services"][service]["image"].rpartition(":")[2]).removeprefix("v")


def module_version(name: str, module: str) -> str:
    found = re.search(rf"\b{re.escape(module)} v(\S+)", (RECIPES[name].folder / "go.mod").read_text())
    assert found
    return found[1]


def test_the_images_are_the_versions_that_are_built() -> None:
    """What the tests run natively is what Docker runs."""
    builder = yaml.safe_load((ROOT / "collector" / "builder.yaml").read_text())
    assert image_version("collector") == builder["dist"]["version"]
    assert image_version("alertmanager") == module_version("alertmanager", "github.com/prometheus/alertmanager")
    assert image_version("loki") == module_version("loki", "github.com/grafana/loki/v3")
    # Prometheus v3.15.0 is the module v0.315.0, Jaeger v2.2.0 the module v1.65.0.
    major, minor, patch = image_version("prometheus").split(".")
    assert module_version("prometheus", "github.com/prometheus/prometheus") == f"0.{major}{minor}.{patch}"
    assert image_version("jaeger") == "2.2.0"
    assert module_version("jaeger", "github.com/jaegertracing/jaeger") == "1.65.0"


def test_prometheus_has_the_same_features_everywhere() -> None:
    """Without one of them counts are wrong or exemplars missing."""
    features = re.findall(r"--enable-feature=(\S+)", PROCFILE)
    assert len(features) == 1
    assert f"--enable-feature={features[0]}" in COMPOSE["services"]["prometheus"]["command"]


def test_prometheus_has_the_same_targets_everywhere() -> None:
    """The native jobs are those of Docker, on the well-known ports."""
    docker = yaml.safe_load((ROOT / "prometheus" / "targets" / "docker.yml").read_text())

    def ports(groups: list[dict[str, Any]]) -> dict[str, str]:
        return {group["labels"]["job"]: group["targets"][0].rpartition(":")[2] for group in groups}

    assert ports(docker) == ports(targets(Ports()))


def test_the_configurations_default_to_the_well_known_ports() -> None:
    """A port in a configuration is the one that the stack checks and shows."""
    known = Ports().environment()
    for path in ("collector/config.yaml", "jaeger/config.yaml", "loki/config.yaml", "docker-compose.yml"):
        found = dict(re.findall(r"\b(?:env:)?([A-Z_]+_PORT):-(\d+)\}", (ROOT / path).read_text()))
        found.pop("GRAFANA_PORT", None)
        assert found
        assert found == {name: known[name] for name in found}


def test_the_collector_measures_the_host_and_not_its_container() -> None:
    """In Docker it looks where the host's root is mounted, which it cannot write to; natively at this machine."""
    collector = COMPOSE["services"]["collector"]
    assert f"/:{collector['environment']['HOST_ROOT']}:ro" in collector["volumes"]
    variables = environment(ROOT, Ports(), "/bin", {})
    assert variables["HOST_NAME"] == socket.gethostname()
    assert "HOST_ROOT" not in variables


def test_prometheus_knows_where_links_in_alerts_lead(monkeypatch: Any) -> None:
    """The same natively and in Docker, unless the user says otherwise."""
    docker = COMPOSE["services"]["prometheus"]["environment"]
    monkeypatch.delenv("GRAFANA_URL", raising=False)
    monkeypatch.setenv("RUNBOOKS_URL", "https://runbooks")
    variables = environment(ROOT, Ports(), "/bin", {})
    assert docker["GRAFANA_URL"] == f"${{GRAFANA_URL:-{variables['GRAFANA_URL']}}}"
    assert variables["RUNBOOKS_URL"] == "https://runbooks"


def test_prometheus_reloads_when_asked() -> None:
    """So that new objectives hold at once."""
    assert "--web.enable-lifecycle" in COMPOSE["services"]["prometheus"]["command"]
    assert "--web.enable-lifecycle" in PROCFILE


def test_new_objectives_reach_the_native_stack(tmp_path: Path) -> None:
    """Of the rules, which are a copy, the objectives are a link to those that are compiled."""
    prepare(tmp_path, Ports(), None)
    prepare(tmp_path, Ports(), None)
    linked = tmp_path / "config" / "rules" / OBJECTIVES
    assert linked.resolve() == ROOT / "prometheus" / "rules" / OBJECTIVES
    assert not (tmp_path / "config" / "rules" / "runs.yml").is_symlink()


def test_docker_listens_on_loopback_only() -> None:
    """Nothing of the stack can be reached from another machine."""
    published = [port for service in COMPOSE["services"].values() for port in service["ports"]]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_the_users_own_otel_settings_do_not_reach_the_servers(monkeypatch: Any) -> None:
    """The servers would take OTEL_SERVICE_NAME and the like for theirs."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-etl")
    variables = environment(ROOT, Ports(), "/bin", {"LIVE_EXPIRATION": "9s"})
    assert "OTEL_SERVICE_NAME" not in variables
    assert variables["LIVE_EXPIRATION"] == "9s"
    assert variables["PATH"] == "/bin"
