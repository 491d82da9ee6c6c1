"""The real servers for every test in this folder: started once, on free ports, with data of their own."""

from collections.abc import Generator, Iterator

import pytest

from stack import Ports, Stack
from stack.build import Cache
from stack.progress import build_missing

#: Short, so that tests see in seconds what takes a minute with the defaults.
LIVE_EXPIRATION = "10s"
SCRAPE_INTERVAL = "1s"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers, ready; whatever a test kills it has to start again."""
    cache = Cache.default()
    build_missing(cache)
    servers = Stack(
        tmp_path_factory.mktemp("stack"),
        Ports.free(),
        cache=cache,
        settings={"LIVE_EXPIRATION": LIVE_EXPIRATION},
        scrape_interval=SCRAPE_INTERVAL,
    )
    with servers:
        yield servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the servers."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the end of each server's log to a failure."""
    report = yield
    running = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(running, Stack):
        for server in running.servers.values():
            report.sections.append((server.name, server.last_words()))
    return report
