"""The inbox: what it keeps of each kind of message, how it shows it, and what it refuses."""

import json
import smtplib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from alerting.inbox.__main__ import settings
from alerting.inbox.app import application
from alerting.inbox.formats import from_email
from alerting.inbox.messages import MOST_BYTES_OF_ONE, Message, Messages
from stack import Ports
from stack.recipes import ROOT

HOSTILE = "</pre><script>alert(1)</script>&\"'{{ .X }}\n<!channel>"


@pytest.fixture
def runbooks(tmp_path: Path) -> Path:
    """A folder with one runbook, beside a file that is none of its business."""
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "RunLost.md").write_text(
        "# Lost\n\n<b>raw</b> [other](Other.md) [bad](javascript:alert(1))\n\n|a|\n|-|\n|b|\n"
    )
    (tmp_path / "secret.md").write_text("secret")
    return folder


@pytest.fixture
def client(runbooks: Path) -> TestClient:
    """The application without a server."""
    return TestClient(application(Messages(), runbooks))


def kept(client: TestClient) -> list[dict[str, str]]:
    answer: list[dict[str, str]] = client.get("/api/messages").json()
    return answer


def message(title: str, size: int = 0) -> Message:
    return Message("slack", "now", title, "x" * size, "")


def test_a_slack_message_is_kept_and_answered_as_slack_does(client: TestClient) -> None:
    """Alertmanager takes any answer but this for an error."""
    payload = {"attachments": [{"title": "[CRITICAL] flights", "text": "Node: delay"}]}
    answer = client.post("/slack", json=payload)
    assert (answer.status_code, answer.text) == (200, "ok")
    (only,) = kept(client)
    assert (only["kind"], only["title"], only["text"]) == ("slack", "[CRITICAL] flights", "Node: delay")
    assert json.loads(only["raw"]) == payload
    assert only["received"].endswith("+00:00")


def test_a_pagerduty_event_is_kept_with_its_action_details_and_links(client: TestClient) -> None:
    """Trigger and resolve are told apart by the title."""
    event = {"summary": "flights", "custom_details": {"firing": "Node: delay", "num_firing": 1}}
    links = [{"href": "http://runs", "text": "Runs"}]
    answer = client.post("/pagerduty", json={"event_action": "resolve", "payload": event, "links": links})
    assert answer.status_code == 202
    (only,) = kept(client)
    assert only["title"] == "resolve: flights"
    assert only["text"] == "firing: Node: delay\nnum_firing: 1\nRuns: http://runs"


def test_a_sign_of_life_is_kept(client: TestClient) -> None:
    """The dead man's switch takes Alertmanager's webhooks."""
    payload = {"status": "firing", "commonLabels": {"alertname": "Watchdog"}, "commonAnnotations": {"summary": "Works"}}
    assert client.post("/watchdog", json=payload).text == "ok"
    assert [(one["title"], one["text"]) for one in kept(client)] == [("Watchdog is firing", "Works")]


def test_the_newest_message_comes_first(client: TestClient) -> None:
    """Of all kinds in one list."""
    client.post("/slack", json={"text": "first"})
    client.post("/watchdog", json={"status": "firing"})
    assert [one["kind"] for one in kept(client)] == ["watchdog", "slack"]


def test_messages_can_be_deleted(client: TestClient) -> None:
    """Tests begin with an empty inbox."""
    client.post("/slack", json={"text": "first"})
    assert client.delete("/api/messages").status_code == 204
    assert kept(client) == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff", b'{"attachments": 1}', b'{"attachments": ["x"]}'])
def test_what_is_no_payload_is_refused_with_a_sentence(client: TestClient, body: bytes) -> None:
    """The sentence says what would be right, and nothing is kept."""
    answer = client.post("/slack", content=body)
    assert answer.status_code == 400
    assert answer.text == "The body is no payload for slack: send what Alertmanager sends, a JSON object."
    assert kept(client) == []


def test_a_message_that_is_too_large_is_refused(client: TestClient) -> None:
    """Nobody fills the memory with one message."""
    answer = client.post("/slack", content=b"x" * (MOST_BYTES_OF_ONE + 1))
    assert answer.status_code == 413
    assert kept(client) == []


def test_the_oldest_messages_go_when_there_are_too_many() -> None:
    """The number is bounded."""
    messages = Messages(most=2)
    for title in "abc":
        messages.add(message(title))
    assert [one.title for one in messages] == ["c", "b"]


def test_the_oldest_messages_go_when_they_take_too_much_room() -> None:
    """The size is bounded, also after some have gone."""
    messages = Messages(most_characters=100)
    for title in "abcd":
        messages.add(message(title, 45))
    assert [one.title for one in messages] == ["d", "c"]
    messages.clear()
    messages.add(message("e", 90))
    assert len(messages) == 1


def test_the_page_escapes_what_came_in_and_runs_no_script(client: TestClient) -> None:
    """Whatever a label holds is read as it is."""
    client.post("/slack", json={"attachments": [{"title": HOSTILE, "text": HOSTILE}]})
    page = client.get("/")
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert kept(client)[0]["text"] == HOSTILE


def test_half_a_character_does_not_break_the_page(client: TestClient) -> None:
    """JSON can hold what no page can."""
    client.post("/slack", content=rb'{"text": "a\ud800b"}')
    assert client.get("/").status_code == 200
    assert kept(client)[0]["title"] == "a?b"


def test_the_page_shortens_a_very_long_text_and_the_api_does_not(client: TestClient) -> None:
    """The page stays readable."""
    client.post("/slack", json={"attachments": [{"text": "y" * 500_000}]})
    assert client.get("/").text.count("y") < 30_000
    assert kept(client)[0]["text"] == "y" * 500_000


def test_a_runbook_is_a_page(client: TestClient) -> None:
    """With tables and links to other runbooks; HTML and scripts of the source are text."""
    page = client.get("/runbooks/RunLost").text
    assert "<h1>Lost</h1>" in page
    assert "<td>b</td>" in page
    assert "&lt;b&gt;raw&lt;/b&gt;" in page
    assert '<a href="Other.md">other</a>' in page
    assert 'href="javascript' not in page


def test_a_runbook_is_found_by_the_name_of_its_file_too(client: TestClient) -> None:
    """That is how runbooks link to each other."""
    assert "<h1>Lost</h1>" in client.get("/runbooks/RunLost.md").text


def test_all_runbooks_are_listed(client: TestClient) -> None:
    """Somebody who has no alert can read them too."""
    assert '<a href="/runbooks/RunLost">RunLost</a>' in client.get("/runbooks/").text


@pytest.mark.parametrize("name", ["Unknown", "..%2Fsecret", "%2e%2e", "a%00b", "x" * 300, "<b>"])
def test_there_is_no_runbook_of_any_other_name(client: TestClient, name: str) -> None:
    """Nothing outside the folder can be read."""
    answer = client.get(f"/runbooks/{name}")
    assert answer.status_code == 404
    assert "secret" not in answer.text.removeprefix("There is no runbook")
    if "%2F" not in name:
        assert answer.text.startswith("There is no runbook ")


def test_an_email_is_read_as_its_subject_and_its_text() -> None:
    """Of an e-mail with HTML as well, the plain text."""
    mail = EmailMessage()
    mail["Subject"] = "[CRITICAL] Flüge"
    mail.set_content("Knoten: ä")
    mail.add_alternative("<b>html</b>", subtype="html")
    read = from_email(mail.as_bytes())
    assert (read.kind, read.title, read.text.strip()) == ("email", "[CRITICAL] Flüge", "Knoten: ä")
    assert "<b>html</b>" in read.raw


@pytest.mark.parametrize(
    "source", [b"", b"\xff\xfe", b"Content-Type: text/plain; charset=none\n\nx", b"Subject: \xff\n\n\xff"]
)
def test_an_email_that_is_broken_is_kept_all_the_same(source: bytes) -> None:
    """Something came, and that is worth knowing."""
    read = from_email(source)
    json.dumps(read.as_json()).encode()
    (read.title + read.text + read.raw).encode()


def test_the_environment_sets_where_it_listens() -> None:
    """The defaults are those of the stack, on loopback."""
    chosen = settings({})
    assert (chosen.host, chosen.smtp, chosen.http) == ("127.0.0.1", Ports().inbox_smtp, Ports().inbox_http)
    assert chosen.runbooks == ROOT / "runbooks"
    assert settings({"INBOX_RUNBOOKS": "/books"}).runbooks == Path("/books")


def test_what_is_no_port_is_named() -> None:
    """The error quotes the variable and its value."""
    with pytest.raises(ValueError, match=r"^INBOX_HTTP_PORT is 'x', which is no port: "):
        settings({"INBOX_HTTP_PORT": "x"})


def run(ports: Ports, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**ports.environment(), **variables, "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([sys.executable, "-m", "alerting.inbox"], cwd=ROOT, env=environment, stderr=subprocess.PIPE)


@pytest.fixture
def inbox() -> Iterator[Ports]:
    """The inbox as a process of its own, which has to end at SIGTERM."""
    ports = Ports.free()
    process = run(ports)
    try:
        wait_until_it_answers(ports)
        yield ports
    finally:
        process.terminate()
        process.communicate(timeout=10)


def wait_until_it_answers(ports: Ports) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            assert get(ports, "/health") == b"ok"
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def get(ports: Ports, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.inbox_http}{path}", timeout=5) as answer:
        return answer.read()


def test_mail_comes_in_over_smtp(inbox: Ports) -> None:
    """Lines that begin with a dot and letters beyond ASCII arrive as they were sent."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Grüße", "a@localhost", "b@localhost"
    mail.set_content(".dot\n..two\nä\n")
    with smtplib.SMTP("127.0.0.1", inbox.inbox_smtp, timeout=5) as server:
        server.send_message(mail)
    (only,) = json.loads(get(inbox, "/api/messages"))
    assert (only["kind"], only["title"], only["text"].splitlines()) == ("email", "Grüße", [".dot", "..two", "ä"])


def test_mail_that_is_too_large_is_refused(inbox: Ports) -> None:
    """The limit is that of the other sinks."""
    with smtplib.SMTP("127.0.0.1", inbox.inbox_smtp, timeout=5) as server, pytest.raises(smtplib.SMTPResponseException):
        server.sendmail("a@localhost", ["b@localhost"], "x\r\n" * (MOST_BYTES_OF_ONE // 2))
    assert json.loads(get(inbox, "/api/messages")) == []


def test_a_taken_port_is_named() -> None:
    """Whoever reads the error knows what to set."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        process = run(Ports.free(), INBOX_SMTP_PORT=str(taken))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.decode().startswith(f"The inbox cannot listen on 127.0.0.1:{taken} (")
