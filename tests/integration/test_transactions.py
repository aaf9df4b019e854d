"""The transactional producer and the state reader on a real broker: fencing, failed batches, the high watermark."""

import asyncio
import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import EndTxnHandler, Sender
from aiokafka.producer.transaction_manager import TransactionManager

from backbone.embedded import EmbeddedKafka
from backbone.errors import BackboneError, FencedError, TransientError
from backbone.kafka import guards
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_state, read_topics
from backbone.packed import pack

NOW = "2031-01-06T08:00:00.000Z"


def message(key: str, size: int = 10) -> bytes:
    return pack((key.encode(), b"x" * size, []))


@pytest.fixture
def connection(broker: str) -> KafkaConnection:
    """Give the way to the session's broker."""
    return KafkaConnection(broker)


async def topic(connection: KafkaConnection, organisation: str, **settings: str) -> str:
    name = f"{organisation}.test"
    await create_topics(connection, [TopicSpec(name, 1, 1, {key.replace("_", "."): v for key, v in settings.items()})])
    return name


async def visible(connection: KafkaConnection, name: str) -> list[str]:
    return [(record.key or b"").decode() async for record in read_topics(connection, [name])]


async def started(connection: KafkaConnection, transactional_id: str) -> TransactionalProducer:
    producer = TransactionalProducer(connection, transactional_id)
    await producer.start()
    return producer


async def test_a_zombie_is_fenced_and_publishes_nothing_visible(connection: KafkaConnection, organisation: str) -> None:
    """Once a second owner has initialised the id, nothing of the first one's transaction becomes visible."""
    name = await topic(connection, organisation)
    zombie = await started(connection, organisation)
    await zombie.publish({(name, 0): [message("before")]}, NOW)
    owner = await started(connection, organisation)
    with pytest.raises(FencedError):
        await zombie.publish({(name, 0): [message("zombie")]}, NOW)
    await owner.publish({(name, 0): [message("after")]}, NOW)
    await owner.discard()
    assert await visible(connection, name) == ["before", "after"]


async def test_a_transaction_with_one_refused_batch_is_never_committed(
    connection: KafkaConnection, organisation: str
) -> None:
    """If the broker refuses one batch, nothing of the transaction becomes visible."""
    name = await topic(connection, organisation, max_message_bytes="2000")
    other = f"{organisation}.other"
    await create_topics(connection, [TopicSpec(other, 1, 1)])
    producer = await started(connection, organisation)
    with pytest.raises(BackboneError):
        await producer.publish({(other, 0): [message("good")], (name, 0): [message("large", 50_000)]}, NOW)
    successor = await started(connection, organisation)
    await successor.discard()
    assert await visible(connection, other) == []
    assert await visible(connection, name) == []


async def test_a_transaction_that_fails_while_it_is_sent_says_why(
    connection: KafkaConnection, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client then takes no more batches; that we were fenced is known from those that it took before."""
    name = await topic(connection, organisation)
    other = f"{organisation}.other"
    await create_topics(connection, [TopicSpec(other, 1, 1)])
    producer = await started(connection, organisation)
    sent: list[asyncio.Future[object]] = []
    send_batch = AIOKafkaProducer.send_batch

    async def slowly(self: AIOKafkaProducer, *arguments: object, **named: object) -> asyncio.Future[object]:
        if sent:
            await asyncio.wait(sent)
        else:
            await (await started(connection, organisation)).discard()
        sent.append(await send_batch(self, *arguments, **named))
        return sent[-1]

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", slowly)
    with pytest.raises(FencedError):
        await producer.publish({(name, 0): [message("one")], (other, 0): [message("two")]}, NOW)
    assert len(sent) == 1, "the second batch was refused by the client itself"


async def test_state_is_read_to_the_high_watermark_behind_a_siblings_open_transaction(
    connection: KafkaConnection, organisation: str
) -> None:
    """A sibling that holds a transaction open makes the reader wait; it never gets a stale checkpoint."""
    name = await topic(connection, organisation)
    ours = await started(connection, f"{organisation}.ours")
    sibling = AIOKafkaProducer(**connection.options(), transactional_id=f"{organisation}.sibling", acks="all")
    await sibling.start()
    await ours.publish({(name, 0): [message("old")]}, NOW)
    await sibling.begin_transaction()
    await (await sibling.send(name, b"x", key=b"sibling", partition=0))
    await ours.publish({(name, 0): [message("newest")]}, NOW)
    found: list[bytes] = []
    reading = asyncio.create_task(read_state(connection, name, 0, lambda key, _: found.append(key)))
    await asyncio.wait({reading}, timeout=1.0)
    assert not reading.done(), "the reader did not wait for the sibling's transaction"
    await sibling.commit_transaction()
    await asyncio.wait_for(reading, 10)
    assert found[-1] == b"newest"
    await sibling.stop()
    await ours.discard()


async def test_a_hanging_sibling_is_reported_and_never_passed_over(
    connection: KafkaConnection, organisation: str
) -> None:
    """While the last stable offset is stuck, loading fails with its own code instead of going on with less."""
    name = await topic(connection, organisation)
    sibling = AIOKafkaProducer(**connection.options(), transactional_id=organisation, acks="all")
    await sibling.start()
    await sibling.begin_transaction()
    await (await sibling.send(name, b"x", key=b"sibling", partition=0))
    with pytest.raises(TransientError) as caught:
        await read_state(connection, name, 0, lambda _key, _value: None, deadline_secs=1.0)
    assert caught.value.code == "state.offset-stuck"
    await sibling.abort_transaction()
    await sibling.stop()


async def test_a_whole_read_waits_for_what_lies_behind_an_open_transaction(
    connection: KafkaConnection, organisation: str
) -> None:
    """A command that looks for a reject must not overlook one behind a sibling's open transaction."""
    name = await topic(connection, organisation)
    ours = await started(connection, f"{organisation}.ours")
    sibling = AIOKafkaProducer(**connection.options(), transactional_id=f"{organisation}.sibling", acks="all")
    await sibling.start()
    await sibling.begin_transaction()
    await (await sibling.send(name, b"x", key=b"sibling", partition=0))
    await ours.publish({(name, 0): [message("reject")]}, NOW)
    assert await visible(connection, name) == []

    async def whole() -> list[bytes | None]:
        return [record.key async for record in read_topics(connection, [name], begin=0, whole=True)]

    reading = asyncio.create_task(whole())
    await asyncio.wait({reading}, timeout=1.0)
    assert not reading.done(), "the reader did not wait for the sibling's transaction"
    await sibling.abort_transaction()
    assert await asyncio.wait_for(reading, 10) == [b"reject"]
    await sibling.stop()
    await ours.discard()


async def test_a_restarted_broker_needs_no_operator() -> None:
    """After SIGKILL of the broker, an attempt fails within its deadline and the next owner goes on."""
    async with EmbeddedKafka() as kafka:
        connection = KafkaConnection(kafka.bootstrap_servers)
        await create_topics(connection, [TopicSpec("restarted", 1, 1)])
        producer = await started(connection, "restarted")
        await producer.publish({("restarted", 0): [message("before")]}, NOW)
        await kafka.kill()
        attempt = asyncio.create_task(producer.publish({("restarted", 0): [message("lost")]}, NOW))
        await kafka.start()
        try:
            await asyncio.wait_for(attempt, 30)
            expected = ["before", "lost", "after"]
        except BackboneError:
            expected = ["before", "after"]
        successor = await started(connection, "restarted")
        await successor.publish({("restarted", 0): [message("after")]}, NOW)
        await successor.discard()
        assert await visible(connection, "restarted") == expected


async def test_a_member_is_discarded_under_a_broker_that_does_not_answer() -> None:
    """Leaving a group under a stopped broker is bounded, and leaves no task and no connection behind."""
    async with EmbeddedKafka() as kafka:
        connection = KafkaConnection(kafka.bootstrap_servers)
        await create_topics(connection, [TopicSpec("grouped", 1, 1)])
        before = asyncio.all_tasks()
        member = AIOKafkaConsumer("grouped", **connection.options(), group_id="group", enable_auto_commit=False)
        await member.start()
        kafka.pause()
        began = asyncio.get_running_loop().time()
        assert not await guards.discard_consumer(member, 0.5)
        took = asyncio.get_running_loop().time() - began
        kafka.resume()
        assert took < 3
        assert not [task for task in asyncio.all_tasks() - before if not task.done()]
        assert not [conn for conn in member._client._conns.values() if conn.connected()]


def test_the_private_names_that_the_guards_use_are_there() -> None:
    """A new aiokafka that renames them must fail here and not in production."""
    assert "node_id" in inspect.signature(EndTxnHandler.do).parameters
    assert {"create_request", "handle_response", "handle_error"} <= set(dir(EndTxnHandler))
    assert "_sender" in inspect.getsource(inspect.getmodule(EndTxnHandler))  # type: ignore[arg-type]
    accumulator = inspect.getsource(MessageAccumulator.__init__)
    assert "_batches" in accumulator
    assert "_pending_batches" in accumulator
    assert isinstance(Sender.sender_task, property)
    assert "_transaction_waiter" in inspect.getsource(TransactionManager)
    assert {"self._fetcher = None", "self._client = AIOKafkaClient("} <= {
        line.strip() for line in inspect.getsource(AIOKafkaConsumer.__init__).splitlines()
    }
    assert "_drain_waiter" in inspect.getsource(inspect.getmodule(MessageAccumulator))  # type: ignore[arg-type]
    assert list(inspect.signature(guards._can_retry).parameters) == ["self", "error", "batch"]
    assert guards._can_retry.__qualname__ == "SendProduceReqHandler._can_retry"
    assert guards._partitions_added.__qualname__ == "AddPartitionsToTxnHandler.handle_response"
    coordinators = inspect.getsource(inspect.getmodule(GroupCoordinator))  # type: ignore[arg-type]
    assert all(f"self.{name} = " in coordinators for name in guards._COORDINATOR_TASKS)
    assert "self._fetch_task = " in inspect.getsource(Fetcher.__init__)
    assert "self._pending_tasks = " in inspect.getsource(Fetcher.__init__)
