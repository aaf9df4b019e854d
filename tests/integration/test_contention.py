"""Workers that fight for a shard, leases that move, brokers that die: readers notice nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backbone.config import Deployment
from backbone.embedded import EmbeddedKafka
from backbone.errors import BackboneError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.lease import Lease
from backbone.provisioning import apply
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker, run_worker

FEED = "\n  - {name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0}}"


async def test_two_deployments_that_claim_one_shard_never_repeat_or_lose(deploy: Callable[..., Deployment]) -> None:
    """Each start fences the other; what a fenced one had in hand is never seen, and in the end all is there once."""
    first, second = deploy(FEED, deployment="first"), deploy(FEED, deployment="second")
    await apply(first)
    wanted = list(rows(25_000))
    write(Path(first.path.parent) / "drop" / "20310106.csv", wanted)
    fighting = [Worker(deployment.worker_settings(once=True)) for deployment in (first, second)]
    await asyncio.wait_for(asyncio.gather(*[worker.run() for worker in fighting]), 90)
    assert await run_worker(first.worker_settings(once=True)) == 0
    assert faults(await events(first.connection, first.organisation), wanted) == []


async def test_a_worker_survives_its_brokers_death(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    """The broker is killed in the middle of a file and comes back; nobody has to do anything."""
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        deployment = deploy(FEED, at=kafka.bootstrap_servers)
        await apply(deployment)
        wanted = list(rows(40_000))
        write(Path(deployment.path.parent) / "drop" / "20310106.csv", wanted)
        worker = Worker(deployment.worker_settings())
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(100):
            while not await events(deployment.connection, deployment.organisation):
                await asyncio.sleep(0.02)
            await kafka.kill()
            await kafka.start()
            while worker.shards[0].status.documents < 1:
                await asyncio.sleep(0.05)
        worker.stop()
        assert await running == 0
        assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


@pytest.fixture
async def topic(broker: str, organisation: str) -> tuple[KafkaConnection, str]:
    """Give a connection and a topic of six partitions."""
    connection, name = KafkaConnection(broker), f"{organisation}.backbone.state"
    await create_topics(connection, [TopicSpec(name, 6, 1)])
    return connection, name


class Member:
    """A member of a lease group that notes what it is given."""

    def __init__(
        self, connection: KafkaConnection, name: str, assigned: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.given: list[frozenset[int]] = []
        self.extra = assigned
        weights = dict.fromkeys(range(6), 1)
        self.lease = Lease(connection, f"{name}.group", name, weights, assigned=self.assigned, revoked=self.revoked)
        self.task = asyncio.create_task(self.lease.run())

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Note them."""
        self.given.append(partitions)
        if self.extra is not None:
            await self.extra()

    async def revoked(self) -> None:
        """Nothing runs here."""

    async def leave(self) -> None:
        """Leave the group."""
        self.task.cancel()
        await asyncio.wait({self.task})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_leases_move_when_members_come_and_go(topic: tuple[KafkaConnection, str]) -> None:
    """Two members have half each, and after a clean leave the other has everything, within seconds."""
    first = Member(*topic)
    await until(lambda: first.lease.partitions == frozenset(range(6)))
    assert await first.lease.confirm(0)
    second = Member(*topic)
    await until(lambda: len(first.lease.partitions) == 3 and len(second.lease.partitions) == 3)
    assert first.lease.partitions | second.lease.partitions == frozenset(range(6))
    lost = next(iter(second.lease.partitions))
    assert not await first.lease.confirm(lost)
    began = asyncio.get_running_loop().time()
    await second.leave()
    await until(lambda: len(first.lease.partitions) == 6)
    assert asyncio.get_running_loop().time() - began < 5
    await first.leave()
    assert not await first.lease.confirm(0)


async def test_a_listener_that_fails_ends_the_membership(topic: tuple[KafkaConnection, str]) -> None:
    """The client would swallow the exception and go on without shards; we do not."""

    async def fail() -> None:
        message = "the listener failed"
        raise BackboneError(message)

    member = Member(*topic, assigned=fail)
    with pytest.raises(BackboneError, match="listener failed"):
        await asyncio.wait_for(member.task, 30)
