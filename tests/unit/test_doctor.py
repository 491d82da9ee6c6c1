import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from hamilton_otel.cli.app import app
from hamilton_otel.delivery.spool import Spool
from hamilton_otel.doctor import SERVICE, Check, examine
from hamilton_otel.settings import SERVERS, SIGNALS
from typer.testing import CliRunner

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROBED = ("jaeger", "loki", "prometheus")
NAMES = (
    "settings",
    *(f"{check} {signal}" for check in ("endpoint", "authentication") for signal in SIGNALS),
    "collector",
    *PROBED,
    "spool",
)

Answer = tuple[int, Any]
Finish = Callable[[str], None]
Given = pytest.MonkeyPatch


@dataclass
class Servers:
    """A Collector, Jaeger, Loki and Prometheus in one; they find what was sent, save what `lost` names.

    `answers` says what else is answered to a path that begins so.
    """

    url: str = ""
    lost: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    received: dict[str, list[Any]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        for beginning, answer in self.answers.items():
            if path.startswith(beginning):
                return answer
        if path.startswith("/api/traces/"):
            found = path.rpartition("/")[2] in self._sent("/v1/traces", "traces")
            return (200, {"data": [{"spans": [{}]}]}) if found else (404, {"data": None, "errors": [{"code": 404}]})
        if path.startswith("/loki/"):
            found = "probe" in self._sent("/v1/logs", "logs").lower()
            return 200, {"data": {"result": [{"values": []}] if found else []}}
        if path.startswith("/api/v1/query"):
            count = self._sent("/v1/metrics", "metrics").count("hamilton.telemetry.probes")
            return 200, {"data": {"result": [{"value": [0, str(count)]}] if count else []}}
        return 200, {}

    def _sent(self, path: str, signal: str) -> str:
        return "" if signal in self.lost else json.dumps(self.received.get(path, []))


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Servers]:
    """Serve on a free port, with TLS where a *context* is given."""
    servers = Servers()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            servers.headers.append(dict(self.headers))
            status, _ = answer = servers.answer(self.path)
            if status == 200 and any(body.values()):
                servers.received.setdefault(self.path, []).append(body)
            self._reply(*answer)

        def do_GET(self) -> None:
            servers.headers.append(dict(self.headers))
            self._reply(*servers.answer(self.path))

        def _reply(self, status: int, content: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content.encode() if isinstance(content, str) else json.dumps(content).encode())

        def log_message(self, *arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            if context is None:
                return super().finish_request(request, client_address)
            try:
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)
            except OSError:
                return None

    with Server(("127.0.0.1", 0), Handler) as server:
        servers.url = f"http{'s' if context else ''}://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield servers
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def servers(monkeypatch: Given) -> Iterator[Servers]:
    """All servers, and an environment that leads to them."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as found:
        monkeypatch.setenv(ENDPOINT, found.url)
        for name in SERVERS:
            monkeypatch.setenv(f"HAMILTON_OTEL_{name.upper()}_URL", found.url)
        yield found


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nothing listens, and on which nothing can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA, *names: str, **options: Any) -> ssl.SSLContext:
    """Return the context of a server whose certificate is for *names*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


def checks(timeout: float = 1.0) -> dict[str, Check]:
    return {check.name: check for check in examine(timeout)}


def failed(timeout: float = 1.0) -> list[Check]:
    return [check for check in examine(timeout) if check.status == "failed"]


def the_failed(timeout: float = 1.0) -> tuple[str, str]:
    """Return the name of the only check that failed, and what it says."""
    (check,) = failed(timeout)
    return check.name, f"{check.detail}; {check.mend}."


def test_all_is_well(servers: Servers) -> None:
    """Each check succeeds, in the order of a signal's way; each probe is sent once, by the doctor's own service."""
    found = checks()
    assert [(check.name, check.status) for check in found.values()] == [(name, "ok") for name in NAMES]
    assert found["prometheus"].detail.startswith("the count went from 0 to 1 after ")
    assert {path: len(requests) for path, requests in servers.received.items()} == {
        f"/v1/{signal}": 1 for signal in SIGNALS
    }
    for requests in servers.received.values():
        assert SERVICE in json.dumps(requests)
        assert '"name": "hamilton_otel"' in json.dumps(requests)
    (span,) = servers.received["/v1/traces"][0]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    (line,) = servers.received["/v1/logs"][0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert span["traceId"] == line["traceId"]
    assert span["traceId"] in found["jaeger"].detail


def test_wrong_settings_are_named_and_nothing_else_is_tried(servers: Servers, monkeypatch: Given) -> None:
    """All wrong settings are named at once, in any profile, and the rest is skipped for that reason."""
    monkeypatch.setenv("HAMILTON_OTEL_PROFILE", "prod")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    monkeypatch.setenv("HAMILTON_OTEL_JAEGER_URL", "jaeger")
    first, *others = examine(1)
    assert (first.name, first.status, first.mend) == ("settings", "failed", "correct them or leave them out")
    assert "OTEL_EXPORTER_OTLP_TIMEOUT is 'soon', but must be a number of seconds" in first.detail
    assert "HAMILTON_OTEL_JAEGER_URL is 'jaeger', but must be a URL" in first.detail
    assert {(check.status, check.detail) for check in others} == {("skipped", "settings failed")}
    assert not servers.headers


def test_a_disabled_sdk_is_said(monkeypatch: Given) -> None:
    """OTEL_SDK_DISABLED is a reason why nothing arrives."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert the_failed() == ("settings", "OTEL_SDK_DISABLED is true, so that nothing is recorded; unset it.")


def test_without_an_endpoint_the_local_store_is_checked(tmp_path: Path, monkeypatch: Given) -> None:
    """Telemetry goes to the local store; the rest is skipped, and it is said how to send it."""
    monkeypatch.chdir(tmp_path)
    found = checks()
    assert found["local store"].status == "ok"
    assert str(tmp_path / ".hamilton-otel") in found["local store"].detail
    assert "set OTEL_EXPORTER_OTLP_ENDPOINT" in found["local store"].detail
    skipped = {check.detail for check in found.values() if check.status == "skipped"}
    assert skipped == {"OTEL_EXPORTER_OTLP_ENDPOINT is not set"}
    assert [name for name, check in found.items() if check.status == "ok"] == ["settings", "local store", "spool"]


def test_a_local_store_that_cannot_be_written(tmp_path: Path, monkeypatch: Given) -> None:
    """The setting, the reason and the mend are said."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HAMILTON_OTEL_LOCAL_STORE", str(tmp_path / "file" / "store"))
    name, sentence = the_failed()
    assert name == "local store"
    assert sentence.startswith("HAMILTON_OTEL_LOCAL_STORE is ")
    assert sentence.endswith("choose a directory that can be, or set OTEL_EXPORTER_OTLP_ENDPOINT.")


def test_a_signal_that_is_not_sent_is_skipped(servers: Servers, monkeypatch: Given) -> None:
    """What OTEL_LOGS_EXPORTER switches off is no failure, and is not looked for in Loki."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    found = checks()
    assert not failed()
    skipped = {name: check.detail for name, check in found.items() if check.status == "skipped"}
    reason = "OTEL_LOGS_EXPORTER is none"
    assert skipped == {"endpoint logs": reason, "authentication logs": reason, "loki": reason}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_closed_port(servers: Servers, closed: int, protocol: str, monkeypatch: Given) -> None:
    """It is told once; what goes the same way is skipped, the Collector's own check is not."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv(ENDPOINT, f"http://localhost:{closed}")
    sentence = f"nothing listens on localhost:{closed}; start the server or correct {ENDPOINT}."
    assert the_failed() == ("endpoint traces", sentence)
    found = checks()
    assert [name for name, check in found.items() if check.status == "ok"] == ["settings", "collector", "spool"]
    assert {check.detail for check in found.values() if check.status == "skipped"} == {"endpoint traces failed"}


def test_a_signal_may_have_an_endpoint_of_its_own(servers: Servers, closed: int, monkeypatch: Given) -> None:
    """Its variable is named, and the other signals are followed to the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"http://localhost:{closed}/v1/metrics")
    name, sentence = the_failed()
    assert name == "endpoint metrics"
    assert sentence.endswith("correct OTEL_EXPORTER_OTLP_METRICS_ENDPOINT.")
    found = checks()
    assert (found["jaeger"].status, found["loki"].status, found["prometheus"].status) == ("ok", "ok", "skipped")


def test_a_name_that_is_not_found(servers: Servers, monkeypatch: Given) -> None:
    """A misspelt host is told from a closed port."""
    monkeypatch.setenv(ENDPOINT, "http://nowhere.invalid:4318")
    expected = f"the name 'nowhere.invalid' is not found; correct it in {ENDPOINT}."
    assert the_failed() == ("endpoint traces", expected)


def test_a_host_that_does_not_answer(servers: Servers, monkeypatch: Given) -> None:
    """Packets that are dropped, as a firewall drops them, are told from a closed port."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # until the queue of the kernel is full
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = f"localhost:{full.getsockname()[1]}"
        monkeypatch.setenv(ENDPOINT, f"http://{address}")
        expected = f"{address} does not answer within 0.3 s; let firewalls pass it or correct {ENDPOINT}."
        assert the_failed(0.3) == ("endpoint traces", expected)


def test_a_port_that_is_silent(servers: Servers, silent: int, monkeypatch: Given) -> None:
    """With TLS it is silent at once, without TLS when something is sent."""
    monkeypatch.setenv(ENDPOINT, f"https://localhost:{silent}")
    name, sentence = the_failed(0.3)
    assert name == "endpoint traces"
    assert sentence.startswith(f"localhost:{silent} does not answer a TLS greeting within 0.3 s; write http:// in")
    monkeypatch.setenv(ENDPOINT, f"http://localhost:{silent}")
    first, *_ = failed(0.3)
    assert first.name == "authentication traces"
    assert first.detail == f"localhost:{silent} does not answer within 0.3 s"


def test_tls_to_a_plain_port(servers: Servers, monkeypatch: Given) -> None:
    """It is said which side speaks TLS, and how to write the endpoint."""
    address = servers.url.removeprefix("http://")
    monkeypatch.setenv(ENDPOINT, f"https://{address}")
    name, sentence = the_failed()
    assert name == "endpoint traces"
    assert sentence.startswith(f"{address} does not speak TLS, but {ENDPOINT} does; write http:// in {ENDPOINT}")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_plain_connection_to_a_tls_port(
    servers: Servers, authority: trustme.CA, protocol: str, monkeypatch: Given
) -> None:
    """It is said which side speaks TLS, and how to write the endpoint."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with serving(secured(authority, "localhost")) as behind_tls:
        address = behind_tls.url.removeprefix("https://")
        monkeypatch.setenv(ENDPOINT, f"http://{address}")
        expected = f"{address} speaks TLS, but {ENDPOINT} does not; write https:// in {ENDPOINT}."
        assert the_failed() == ("endpoint traces", expected)


def test_a_certificate_that_is_not_trusted(
    servers: Servers, authority: trustme.CA, tmp_path: Path, monkeypatch: Given
) -> None:
    """The mend is OTEL_EXPORTER_OTLP_CERTIFICATE, and it does mend."""
    with serving(secured(authority, "localhost")) as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        name, sentence = the_failed()
        assert name == "endpoint traces"
        assert "is not trusted (unable to get local issuer certificate)" in sentence
        assert "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority" in sentence
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
        found = checks(0.1)
        assert (
            found["endpoint traces"].detail == f"{receiver.url.removeprefix('https://')} accepts connections with TLS"
        )
        assert found["authentication logs"] == Check("authentication logs", "ok", "accepted over HTTP")


def test_a_certificate_of_another_name_or_time(
    servers: Servers, authority: trustme.CA, tmp_path: Path, monkeypatch: Given
) -> None:
    """It is said whether the name or the date is wrong."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
    past = datetime.now(UTC) - timedelta(days=1)
    for context, expected in (
        (secured(authority, "collector.example"), f"is for another name; write the name that it is for in {ENDPOINT}."),
        (secured(authority, "localhost", not_after=past), "has expired; have it renewed."),
    ):
        with serving(context) as receiver:
            monkeypatch.setenv(ENDPOINT, receiver.url)
            address = receiver.url.removeprefix("https://")
            assert the_failed() == ("endpoint traces", f"the certificate of {address} {expected}")


def test_a_file_of_authorities_that_cannot_be_used(
    servers: Servers, authority: trustme.CA, tmp_path: Path, monkeypatch: Given
) -> None:
    """The setting is named, whether the file is absent or no PEM file."""
    (tmp_path / "text.pem").write_text("no certificate")
    with serving(secured(authority, "localhost")) as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        for file, reason in (("absent.pem", "no such file or directory"), ("text.pem", "no certificate or crl found")):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / file))
            expected = f"the file of OTEL_EXPORTER_OTLP_CERTIFICATE cannot be used ({reason}); "
            assert the_failed() == ("endpoint traces", f"{expected}name a file in PEM format.")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_receiver_that_wants_a_certificate_of_ours(
    servers: Servers, authority: trustme.CA, tmp_path: Path, version: ssl.TLSVersion, monkeypatch: Given
) -> None:
    """The mend is OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, and it does mend."""
    context = secured(authority, "localhost")
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("client.example")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
    with serving(context) as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        first, *_ = failed()
        assert "refuses our TLS" in first.detail
        assert first.mend == "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE if it asks for one"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(tmp_path / "client.pem"))
        assert checks(0.1)["authentication logs"] == Check("authentication logs", "ok", "accepted over HTTP")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_missing_or_wrong(servers: Servers, status: int, monkeypatch: Given) -> None:
    """Both name OTEL_EXPORTER_OTLP_HEADERS, and the token is never shown."""
    servers.answers["/v1/"] = (status, "token does not match: Bearer stale-token")
    first, *others = failed()
    assert [check.name for check in (first, *others)] == [f"authentication {signal}" for signal in SIGNALS]
    assert f"asks for a token, and OTEL_EXPORTER_OTLP_HEADERS is not set ({status})" in first.detail
    assert first.mend == "set OTEL_EXPORTER_OTLP_HEADERS, for example to authorization=Bearer%20TOKEN"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20stale-token")
    found = checks()
    assert "refuses the token in OTEL_EXPORTER_OTLP_HEADERS" in found["authentication traces"].detail
    assert "stale-token" not in repr(found)
    assert {found[name].detail for name in PROBED} == {f"authentication {signal} failed" for signal in SIGNALS}


@pytest.mark.parametrize(
    ("variable", "path", "mend"),
    [
        (ENDPOINT, "/v1/traces", f"leave the path /v1/... out of {ENDPOINT}"),
        (ENDPOINT, "/absent", f"name an OTLP receiver of traces in {ENDPOINT}"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "/absent",
            "add the path /v1/traces to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
    ],
)
def test_an_endpoint_with_a_wrong_path(
    servers: Servers, variable: str, path: str, mend: str, monkeypatch: Given
) -> None:
    """A base URL that is no base, and a signal's own URL without its path, are told apart."""
    servers.answers = {"/v1/traces/v1": (404, ""), "/absent": (404, "")}
    monkeypatch.setenv(variable, f"{servers.url}{path}")
    check = checks()["authentication traces"]
    assert (check.status, check.mend) == ("failed", mend)
    assert "receives no traces (404 Not Found)" in check.detail


@pytest.mark.parametrize("status", [302, 503])
def test_other_refusals_are_failures(servers: Servers, status: int) -> None:
    """A redirection is not followed, an overloaded receiver is quoted."""
    servers.answers["/v1/logs"] = (status, "try later")
    name, sentence = the_failed()
    assert name == "authentication logs"
    assert str(status) in sentence


@contextmanager
def grpc_server(method: Callable[[bytes, grpc.ServicerContext], bytes]) -> Iterator[str]:
    """Serve every method of every service by *method*."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return grpc.unary_unary_rpc_method_handler(method)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://localhost:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "asks for a token, and OTEL_EXPORTER_OTLP_HEADERS is not set"),
        (grpc.StatusCode.UNIMPLEMENTED, "receives no traces"),
        (grpc.StatusCode.UNAVAILABLE, "refuses traces (UNAVAILABLE sorry)"),
    ],
)
def test_refusals_over_grpc(servers: Servers, code: grpc.StatusCode, sentence: str, monkeypatch: Given) -> None:
    """They are told apart as those over HTTP are."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "sorry")

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with grpc_server(refuse) as url:
        monkeypatch.setenv(ENDPOINT, url)
        assert sentence in checks()["authentication traces"].detail


def test_grpc_is_accepted(servers: Servers, monkeypatch: Given) -> None:
    """An empty export over gRPC is accepted where the receiver speaks it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with grpc_server(lambda request, context: b"") as url:
        monkeypatch.setenv(ENDPOINT, url)
        assert checks(0.1)["authentication traces"].detail == "accepted over gRPC"


def test_the_wrong_one_of_http_and_grpc(servers: Servers, monkeypatch: Given) -> None:
    """The other protocol and its port are named."""
    with grpc_server(lambda request, context: b"") as url:
        monkeypatch.setenv(ENDPOINT, url)
        check = checks()["authentication traces"]
        assert check.detail.endswith("does not speak OTLP over HTTP")
        assert check.mend.startswith("set OTEL_EXPORTER_OTLP_PROTOCOL to grpc or correct the port")
    monkeypatch.setenv(ENDPOINT, servers.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    check = checks()["authentication traces"]
    assert check.detail.endswith("does not speak OTLP over gRPC")
    assert check.mend.startswith("set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or correct the port")


def test_a_proxy_is_gone_through(servers: Servers, closed: int, monkeypatch: Given) -> None:
    """Where requests go through a proxy, it is the proxy that has to be reached."""
    monkeypatch.setenv(ENDPOINT, "http://collector.invalid:4318")
    monkeypatch.setenv("http_proxy", servers.url)
    monkeypatch.setenv("no_proxy", "localhost")
    assert checks(0.1)["endpoint traces"].detail.startswith("the proxy localhost:")
    monkeypatch.setenv("http_proxy", f"http://localhost:{closed}")
    assert the_failed()[1].endswith("start the server or correct HTTP_PROXY.")


def test_a_collector_that_is_not_healthy(servers: Servers) -> None:
    """What its health check answers is quoted; the rest is checked all the same."""
    with serving() as healthless:
        healthless.answers["/"] = (503, "")
        with pytest.MonkeyPatch.context() as given:
            given.setenv("HAMILTON_OTEL_COLLECTOR_HEALTH_URL", healthless.url)
            name, sentence = the_failed()
    assert name == "collector"
    assert sentence == f"the Collector at {healthless.url} is not healthy (503 Service Unavailable); see its log."


PATHS = {"jaeger": "/api/traces/", "loki": "/loki/", "prometheus": "/api/v1/query"}


@pytest.mark.parametrize("name", PROBED)
def test_a_server_that_is_not_there(servers: Servers, closed: int, name: str, monkeypatch: Given) -> None:
    """Exactly its own check fails and names its setting."""
    variable = f"HAMILTON_OTEL_{name.upper()}_URL"
    monkeypatch.setenv(variable, f"http://localhost:{closed}")
    expected = f"nothing listens on localhost:{closed}; start the server or correct {variable}."
    assert the_failed() == (name, expected)


@pytest.mark.parametrize("name", PROBED)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, "no such page"), "does not answer as"),
        ((200, "<html>"), "does not answer as"),
        ((200, []), "does not answer as"),
        ((503, ""), "answers 503 Service Unavailable; see the log of"),
        ((401, ""), "asks for a password (401 Unauthorized); write it into HAMILTON_OTEL_"),
    ],
)
def test_a_server_that_does_not_answer_as_it_should(servers: Servers, name: str, answer: Answer, expected: str) -> None:
    """Another server, one in trouble and one that wants a password are told apart, without waiting."""
    servers.answers[PATHS[name]] = answer
    found, sentence = the_failed(timeout=60)
    assert found == name
    assert expected in sentence


def test_a_password_is_sent_and_not_shown(servers: Servers, monkeypatch: Given) -> None:
    """A user and a password in a server's URL are used, and left out of what is said."""
    monkeypatch.setenv("HAMILTON_OTEL_JAEGER_URL", servers.url.replace("://", "://me:secret-word@"))
    assert checks()["jaeger"].status == "ok"
    assert any("Authorization" in headers for headers in servers.headers)
    servers.lost.add("traces")
    assert "secret-word" not in repr(checks(0.1))


@pytest.mark.parametrize(("name", "signal"), [("jaeger", "traces"), ("loki", "logs"), ("prometheus", "metrics")])
def test_a_probe_that_does_not_arrive(servers: Servers, name: str, signal: str) -> None:
    """It is waited for, with word of it, and then said where it was looked for."""
    servers.lost.add(signal)
    said: list[str] = []
    (check,) = (check for check in examine(0.2, said.append) if check.status == "failed")
    assert check.name == name
    assert f"was accepted but is not in {name.capitalize()} at {servers.url} after 0.2 s" in check.detail
    assert check.mend
    assert any(line.startswith("waiting 0 s at the most for the ") for line in said)


def test_a_counter_that_began_anew_is_seen(servers: Servers) -> None:
    """After a restart of the Collector the count is lower than it was, and still says that the probe arrived."""
    counts = iter(["7", "7", "1", "1"])
    answer = servers.answer

    def counting(path: str) -> Answer:
        if path.startswith("/api/v1/query"):
            return 200, {"data": {"result": [{"value": [0, next(counts)]}]}}
        return answer(path)

    servers.answer = counting  # type: ignore[method-assign]
    assert checks()["prometheus"].detail.startswith("the count went from 7 to 1 after ")


def test_what_waits_in_the_spool_is_told(servers: Servers, tmp_path: Path, monkeypatch: Given) -> None:
    """Number, size and age of what was not delivered, and how to send it."""
    monkeypatch.setenv("HAMILTON_OTEL_SPOOL", str(tmp_path / "spool"))
    spool = Spool(tmp_path / "spool", 2**20)
    spool.write("localhost_4318", "traces", b"x" * 2047 + b"\n")
    spool.close()
    check = checks()["spool"]
    assert check.status == "ok"
    assert check.detail == (
        f"1 file of 2.0 KiB in {tmp_path / 'spool'}, the oldest 0.0 h old; hamilton-otel replay sends what waits"
    )
    monkeypatch.setenv("HAMILTON_OTEL_SPOOL", "none")
    assert checks()["spool"] == Check("spool", "skipped", "HAMILTON_OTEL_SPOOL is none")


def test_the_command_prints_json(servers: Servers) -> None:
    """A list of the checks with name, status, detail and mend; exit code 0 where none failed."""
    done = CliRunner().invoke(app, ["doctor", "--json", "--timeout", "2"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert [sorted(check) for check in printed] == [sorted(asdict(Check("", "ok", "")))] * len(NAMES)
    assert [(check["name"], check["status"]) for check in printed] == [(name, "ok") for name in NAMES]


def test_the_command_is_readable_at_80_columns(servers: Servers, closed: int, monkeypatch: Given) -> None:
    """Marks, names and sentences; what was skipped for one reason stands together; exit code 1 where any failed."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv(ENDPOINT, f"http://localhost:{closed}")
    done = CliRunner().invoke(app, ["doctor", "--timeout", "2"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.rstrip() for line in lines]
    assert shown[1] == f"✗ endpoint traces        nothing listens on localhost:{closed}"
    assert shown[2].lstrip() == "→ start the server or correct"
    assert shown[4].startswith("– skipped                endpoint traces failed: endpoint metrics,")
    assert shown[-1] == "1 of 12 checks failed"


def test_options_name_the_servers(servers: Servers, closed: int, monkeypatch: Given) -> None:
    """An option wins over the environment."""
    for name in SERVERS:
        monkeypatch.setenv(f"HAMILTON_OTEL_{name.upper()}_URL", f"http://localhost:{closed}")
    options = [text for name in SERVERS for text in (f"--{name.replace('_', '-')}-url", servers.url)]
    done = CliRunner().invoke(app, ["doctor", *options, "--timeout", "2"])
    assert done.exit_code == 0, done.output
