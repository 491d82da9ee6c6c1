"""What the drain says where it cannot do its work; draining itself is tested with the real servers."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack import StackError
from stack.__main__ import app
from stack.drain import Drain

NOBODY = "127.0.0.1:9"


def must_not_be_called() -> None:
    raise AssertionError("the Collector was stopped")


def prometheus_says(monkeypatch: pytest.MonkeyPatch, *scrapes: float) -> None:
    monkeypatch.setattr(Drain, "_scrapes", lambda self: list(scrapes))


def test_without_prometheus_nothing_is_stopped() -> None:
    """The sentence names the address and the option."""
    with pytest.raises(StackError, match=r"^Prometheus does not answer at http://127\.0\.0\.1:9: .*--prometheus\.$"):
        Drain(NOBODY, f"http://{NOBODY}").stop(must_not_be_called)


def test_without_a_scraped_collector_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As waiting for its scrape would be in vain."""
    prometheus_says(monkeypatch)
    with pytest.raises(StackError, match=r"does not scrape the Collector .* nothing was stopped"):
        Drain(NOBODY, f"http://{NOBODY}").stop(must_not_be_called)


def test_without_a_collector_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the address and the options."""
    prometheus_says(monkeypatch, 1.0, 1.0)
    with pytest.raises(StackError, match=r"^The Collector does not answer over gRPC at 127\.0\.0\.1:9, .*--grpc"):
        Drain(NOBODY, f"http://{NOBODY}").stop(must_not_be_called)


def test_a_certificate_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the reason."""
    prometheus_says(monkeypatch, 1.0, 1.0)
    with pytest.raises(StackError, match=r"^--certificate is .*absent\.pem, which cannot be read \(No such file"):
        Drain(NOBODY, f"http://{NOBODY}", tmp_path / "absent.pem").stop(must_not_be_called)


def test_the_command_wants_to_know_what_stops_the_collector() -> None:
    """Without a command it is used wrongly."""
    assert CliRunner().invoke(app, ["drain", "--help"]).exit_code == 0
    assert CliRunner().invoke(app, ["drain"]).exit_code == 2
