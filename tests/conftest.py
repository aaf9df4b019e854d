"""Fixtures of all tests: one real broker a session, and an organisation of its own for each test."""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backbone.config import Deployment, load
from backbone.embedded import EmbeddedKafka
from backbone.provisioning import apply

FEED = """
  - name: {name}
    adapter: symology
    source: {{type: files, url: drop, pattern: "*.csv", ready_after_secs: 0, poll_interval_secs: 0.05}}
"""


@pytest.fixture(scope="session")
async def broker() -> AsyncIterator[str]:
    """Give the address of a real broker: a named one, one in a container, or by default the embedded one."""
    chosen = os.environ.get("BACKBONE_TEST_BROKER", "")
    if chosen == "docker":
        with _container() as address:
            yield address
    elif chosen:
        yield chosen
    else:
        async with EmbeddedKafka() as kafka:
            yield kafka.bootstrap_servers


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.kafka import KafkaContainer  # noqa: PLC0415 - an engine is needed only when it is asked for

    with KafkaContainer("apache/kafka:4.3.1").with_kraft() as container:
        yield container.get_bootstrap_server()


@pytest.fixture
def organisation() -> str:
    """Give a code that no other test uses."""
    return f"E{random.SystemRandom().randrange(10**8):08d}"


@pytest.fixture
def deploy(broker: str, organisation: str, tmp_path: Path) -> Callable[..., Deployment]:
    """Give a function that writes a deployment file and reads it; feeds are YAML text."""

    def make(
        feeds: str = FEED.format(name="hw"), *, deployment: str = "default", more: str = "", at: str = ""
    ) -> Deployment:
        (tmp_path / "drop").mkdir(exist_ok=True)
        path = tmp_path / f"{deployment}.yaml"
        path.write_text(
            f"organisation: {{id: {organisation}}}\ndeployment: {deployment}\n"
            f'kafka: {{bootstrap_servers: "{at or broker}", replication_factor: 1, min_insync_replicas: 1}}\n'
            f"{more}\nfeeds:{feeds}"
        )
        return load(path)

    return make


@pytest.fixture
async def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    """Give a deployment with one Symology feed whose topics are there."""
    made = deploy()
    await apply(made)
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """Name the tests that were skipped: none may be."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"SKIPPED IS FAILED: {report.nodeid}", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run when a test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
