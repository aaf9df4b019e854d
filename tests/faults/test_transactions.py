"""What transactions of others may do to a shard: zombies, late commits, refused batches, one that hangs for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from backbone import points
from backbone.config import Deployment
from backbone.errors import FatalError, TransientError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_state, read_topics
from backbone.packed import pack
from backbone.state import Checkpoint, ShardState
from backbone.testing.kafka_proxy import END_TXN, Disturbance
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker, run_worker
from tests.faults.conftest import Stricken
from tests.faults.kafka_tools import kafka_transactions
from tests.faults.watching import until

NOW = "2031-01-06T08:00:00.000Z"


async def visible(connection: KafkaConnection, topic: str) -> list[bytes | None]:
    return [record.key async for record in read_topics(connection, [topic])]


@asynccontextmanager
async def holding_open(connection: KafkaConnection, transactional_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer of another program with an open transaction."""
    producer = AIOKafkaProducer(**connection.options(), transactional_id=transactional_id, acks="all")
    await producer.start()
    try:
        await producer.begin_transaction()
        yield producer
    finally:
        await producer.stop()


async def test_core_04_a_zombie_cannot_commit_between_fencing_and_reading(deployment: Deployment) -> None:
    """By the time that a shard begins to read its state, nobody who owned it before can commit to it any more.

    The zombie holds a checkpoint in an open transaction, and commits at the very moment at which reading begins.
    """
    worker = Worker(deployment.worker_settings(once=True))
    shard = worker.shards[0]
    loading = asyncio.Event()
    points.hook = lambda reached: loading.set() if reached == "state.loading" else None
    wanted = list(rows(50))
    write(deployment.path.parent / "drop" / "20310106_a.csv", wanted)
    key, value, _ = ShardState(shard.key, 0).write_checkpoint(Checkpoint(99, 50, "zombie"))
    try:
        async with holding_open(deployment.connection, shard.transactional_id) as zombie:
            await zombie.send_and_wait(deployment.topics.state, value, key=key, partition=shard.state_partition)
            running = asyncio.create_task(worker.run())
            await asyncio.wait_for(loading.wait(), 30)
            with pytest.raises(ProducerFenced):
                await zombie.commit_transaction()
            assert await asyncio.wait_for(running, 30) == 0
    finally:
        points.hook = None
    state = ShardState(shard.key, 0)
    await read_state(deployment.connection, deployment.topics.state, shard.state_partition, state.apply)
    assert (state.checkpoint.ordinal, state.checkpoint.writer) == (1, worker.name)
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


@pytest.mark.xdist_group("stricken")
async def test_core_05_a_commit_that_is_held_without_a_cut(
    stricken: Stricken, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that hangs is given up at its deadline and never sent again; arriving late it changes nothing.

    The deadline is one second instead of ten.
    """
    monkeypatch.setattr("backbone.kafka.producer.COMMIT_DEADLINE_SECS", 1.0)
    connection, name, loop = KafkaConnection(stricken.proxied), f"{organisation}.held", asyncio.get_running_loop()
    await create_topics(connection, [TopicSpec(name, 1, 1)])
    producer = TransactionalProducer(connection, organisation)
    await producer.start()
    await producer.publish({(name, 0): [pack((b"before", b"x", []))]}, NOW)
    sent_before = stricken.proxy.counts[END_TXN]
    stricken.proxy.arm(Disturbance(END_TXN, "delay", 2.5, transactional_id=organisation.encode()))
    arrives = loop.time() + 3.0
    with pytest.raises(TransientError):
        await producer.publish({(name, 0): [pack((b"lost", b"x", []))]}, NOW)
    assert loop.time() < arrives - 1
    assert stricken.proxy.counts[END_TXN] == sent_before + 1
    successor = TransactionalProducer(connection, organisation)
    await successor.start()
    await successor.publish({(name, 0): [pack((b"after", b"x", []))]}, NOW)
    await until(lambda: loop.time() > arrives)
    await successor.publish({(name, 0): [pack((b"last", b"x", []))]}, NOW)
    await successor.discard()
    assert await visible(connection, name) == [b"before", b"after", b"last"]


@pytest.mark.xdist_group("stricken")
async def test_core_08_one_topic_that_is_denied(stricken: Stricken, organisation: str) -> None:
    """If one topic of a transaction may not be written, nothing of it becomes visible, and the error says so."""
    connection, good, denied = KafkaConnection(stricken.direct), f"{organisation}.good", f"{organisation}.denied"
    await create_topics(connection, [TopicSpec(good, 1, 1), TopicSpec(denied, 1, 1)])
    rule = AclBinding(
        ResourceType.TOPIC, denied, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.WRITE,
        AclPermissionType.DENY,
    )  # fmt: skip
    provisioning = AdminClient(connection.librdkafka_options())
    for made in provisioning.create_acls([rule], request_timeout=15).values():
        await asyncio.to_thread(made.result)
    producer = TransactionalProducer(connection, organisation)
    await producer.start()
    with pytest.raises(FatalError) as caught:
        await producer.publish({(good, 0): [pack((b"good", b"x", []))], (denied, 0): [pack((b"bad", b"x", []))]}, NOW)
    assert caught.value.code == "broker.topic-denied"
    successor = TransactionalProducer(connection, organisation)
    await successor.start()
    await successor.discard()
    assert await visible(connection, good) == []


@pytest.mark.xdist_group("stricken")
async def test_core_16_a_transaction_that_hangs_for_ever(
    stricken: Stricken, stricken_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard stalls with its code instead of repeating anything, and goes on when the transaction is aborted.

    It hangs because it was never announced to its coordinator, which this broker does not check. The state is read for
    two seconds instead of forty-five.
    """
    monkeypatch.setattr(read_state, "__defaults__", (2.0,))
    deployment, wanted = stricken_deployment, list(rows(100))
    drop = deployment.path.parent / "drop"
    write(drop / "20310106_a.csv", wanted[:50])
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    worker = Worker(deployment.worker_settings())
    shard, topic = worker.shards[0], deployment.topics.state
    place = TopicPartition(topic, shard.state_partition)
    async with holding_open(deployment.connection, f"{deployment.organisation}.hanging") as hanging:
        hanging._txn_manager._txn_partitions.add(place)
        at = (await hanging.send_and_wait(topic, b"{}", key=b"hanging", partition=place.partition)).offset
        hanging._txn_manager._txn_partitions.clear()
        await hanging.abort_transaction()
    write(drop / "20310107_a.csv", wanted[50:])
    running = asyncio.create_task(worker.run())
    await until(lambda: shard.status.stalled_code == "state.offset-stuck")
    assert faults(await events(deployment.connection, deployment.organisation), wanted[:50]) == []
    where = ("--topic", topic, "--partition", str(place.partition))
    listed = await kafka_transactions(stricken.direct, "describe-producers", *where)
    assert str(at) in listed.split(), listed
    await kafka_transactions(stricken.direct, "abort", *where, "--start-offset", str(at))
    await until(lambda: shard.status.documents == 1)
    assert shard.status.stalled_code == ""
    worker.stop()
    assert await running == 0
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
