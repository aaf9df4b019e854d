"""Fixtures of all tests: one real broker a session, and an organisation of its own for each test."""

import os
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from backbone.config import Deployment, load
from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import SETTINGS, free_port
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readiness import wait_until_ready
from backbone.provisioning import apply

settings.register_profile("backbone", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("backbone")

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
            await wait_until_ready(KafkaConnection(address))
            yield address
    elif chosen:
        yield chosen
    else:
        async with EmbeddedKafka() as kafka:
            yield kafka.bootstrap_servers


@contextmanager
def _container() -> Iterator[str]:
    """Run the image of the compose stack with the embedded broker's settings, on a port that is the same within."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - an engine is needed only when asked for

    port = free_port()
    settings = {
        **SETTINGS,
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://127.0.0.1:{free_port()}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": "/var/lib/kafka/data",
    }
    settings["controller.quorum.voters"] = f"1@{settings['listeners'].partition('CONTROLLER://')[2]}"
    with tempfile.TemporaryDirectory(prefix="backbone-broker-") as folder:
        Path(folder).chmod(0o755)  # the broker is another user
        (Path(folder) / "server.properties").write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items())
        )
        container = DockerContainer(os.environ.get("BACKBONE_KAFKA_IMAGE", "apache/kafka:4.3.1"))
        container.with_env("CLUSTER_ID", "5L6g3nShT-eMCtK--X86sw")
        container.with_volume_mapping(folder, "/mnt/shared/config")
        container.with_bind_ports(port, port)
        with container:
            yield f"127.0.0.1:{port}"


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
