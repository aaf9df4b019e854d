"""The guard on EndTxn: a commit whose answer is lost is fatal, never repeated, and harmless when it arrives late."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.sender import BaseHandler, EndTxnHandler

from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import free_port
from backbone.errors import BackboneError
from backbone.kafka import guards
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_topics
from backbone.packed import pack
from backbone.testing.kafka_proxy import END_TXN, KafkaProxy

NOW = "2031-01-06T08:00:00.000Z"


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[KafkaConnection, KafkaProxy]]:
    """Give a broker that clients reach through a proxy only."""
    port, upstream = free_port(), free_port()
    extra = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    async with (
        KafkaProxy(port, upstream) as proxy,
        EmbeddedKafka(port=upstream, extra=extra),
    ):
        connection = KafkaConnection(f"127.0.0.1:{port}")
        await create_topics(connection, [TopicSpec("t", 1, 1)])
        yield connection, proxy


async def visible(connection: KafkaConnection) -> list[bytes | None]:
    return [record.key async for record in read_topics(connection, ["t"])]


async def test_a_commit_without_an_answer_is_never_sent_again(proxied: tuple[KafkaConnection, KafkaProxy]) -> None:
    """The request is held and the connection cut: one EndTxn, an error, and the late one changes nothing."""
    connection, proxy = proxied
    producer = TransactionalProducer(connection, "guarded")
    await producer.start()
    await producer.publish({("t", 0): [pack((b"before", b"x", []))]}, NOW)
    sent_before = proxy.counts[END_TXN]
    proxy.hold = END_TXN
    with pytest.raises(BackboneError):
        await asyncio.wait_for(producer.publish({("t", 0): [pack((b"lost", b"x", []))]}, NOW), 30)
    assert proxy.counts[END_TXN] == sent_before + 1
    proxy.hold = None
    successor = TransactionalProducer(connection, "guarded")
    await successor.start()
    await proxy.deliver_late()
    await successor.publish({("t", 0): [pack((b"after", b"x", []))]}, NOW)
    await proxy.deliver_late()
    await successor.discard()
    assert await visible(connection) == [b"before", b"after"]


async def test_without_the_guard_the_client_repeats_the_commit(proxied: tuple[KafkaConnection, KafkaProxy]) -> None:
    """The defect that the guard is for is still there: stock aiokafka sends EndTxn again at the same epoch."""
    connection, proxy = proxied
    guards.install()
    guarded = EndTxnHandler.do
    del EndTxnHandler.do
    try:
        assert EndTxnHandler.do is BaseHandler.do
        producer = AIOKafkaProducer(**connection.options(), transactional_id="stock", acks="all")
        await producer.start()
        await producer.begin_transaction()
        await (await producer.send("t", b"x", key=b"stock", partition=0))
        proxy.hold = END_TXN
        committing = asyncio.create_task(producer.commit_transaction())
        async with asyncio.timeout(20):
            while not proxy.held:
                await asyncio.sleep(0.01)
            proxy.hold = None
            await committing
        assert proxy.counts[END_TXN] >= 2
        await producer.stop()
    finally:
        EndTxnHandler.do = guarded
