"""One broker that tests of faults may pause, kill, cut off and fill up; whoever did it leaves it running."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from backbone.config import Deployment
from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import Member, free_port
from backbone.errors import BackboneError
from backbone.kafka.admin import admin
from backbone.kafka.connection import KafkaConnection
from backbone.provisioning import apply
from backbone.testing.kafka_proxy import KafkaProxy
from tests.faults.authority import Authority

SETTINGS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
    "ssl.client.auth": "required",
    "transaction.partition.verification.enable": "false",
    "log.cleaner.backoff.ms": "200",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
}
"""An ACL denies what it names; no more is needed to leave a transaction hanging than not to announce it."""


@dataclass(frozen=True, slots=True)
class Stricken:
    """The broker, the proxy before its second listener, and who signed the certificates of its third one."""

    kafka: EmbeddedKafka
    proxy: KafkaProxy
    proxied: str
    tls: str
    authority: Authority
    controller_port: int

    @property
    def direct(self) -> str:
        """Return the address that no proxy stands before."""
        return self.kafka.bootstrap_servers

    @asynccontextmanager
    async def joined_by_another(self) -> AsyncIterator[EmbeddedKafka]:
        """Give a second broker of the same cluster, without a controller, for as long as it is needed."""
        properties = (self.kafka.path / "data" / "meta.properties").read_text()
        cluster = properties.split("cluster.id=")[1].split()[0]
        port = free_port()
        extra = {
            **SETTINGS,
            "process.roles": "broker",
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        }
        member = Member(2, cluster, self.controller_port, f"1@127.0.0.1:{self.controller_port}")
        async with EmbeddedKafka(self.kafka.path.parent / "another", port=port, extra=extra, member=member) as another:
            yield another
        await self._alone()

    async def _alone(self) -> None:
        """Wait until the cluster knows that the other broker has gone: nothing is asked of it any more."""
        async with asyncio.timeout(30):
            while True:
                with suppress(BackboneError):  # the one that has gone was asked
                    async with admin(KafkaConnection(self.direct)) as client:
                        if len((await client.describe_cluster())["brokers"]) == 1:
                            return
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
async def stricken(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stricken]:
    """Give the broker: plain, behind a proxy, and with TLS."""
    folder = tmp_path_factory.mktemp("stricken")
    authority = Authority(folder)
    authority.issue("broker", timedelta(days=1))
    plain, behind, tls, controller, proxied = (free_port() for _ in range(5))
    listeners = {"PLAINTEXT": plain, "PROXIED": behind, "SSL": tls, "CONTROLLER": controller}
    advertised = {"PLAINTEXT": plain, "PROXIED": proxied, "SSL": tls}
    extra = {
        **SETTINGS,
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in advertised.items()),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SSL:SSL",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "ssl.keystore.location": str(folder / "broker.store.pem"),
        "ssl.truststore.location": str(authority.file),
    }
    async with (
        KafkaProxy(proxied, behind) as proxy,
        EmbeddedKafka(folder / "kafka", port=plain, extra=extra) as kafka,
    ):
        yield Stricken(kafka, proxy, f"127.0.0.1:{proxied}", f"127.0.0.1:{tls}", authority, controller)


@pytest.fixture
async def stricken_deployment(stricken: Stricken, deploy: Callable[..., Deployment]) -> Deployment:
    """Give a deployment with one Symology feed on the stricken broker, past the proxy; its topics are there."""
    made = deploy(at=stricken.direct)
    await apply(made)
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transactions in this process be given up after two seconds instead of ten."""
    for name in ("SEND", "COMMIT"):
        monkeypatch.setattr(f"backbone.kafka.producer.{name}_DEADLINE_SECS", 2.0)
