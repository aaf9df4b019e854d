"""What FastStream does with a record that its handler fails on: why subscribers have a loop of their own."""

import asyncio
from typing import Final

import pytest
from aiokafka import TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from backbone.kafka.admin import TopicSpec, admin, create_topics
from backbone.kafka.broker import PlainProducer
from backbone.kafka.connection import KafkaConnection

RECORDS: Final = 4
BAD: Final = b"1"
LOOPS: Final = 5


@pytest.mark.parametrize(
    ("policy", "tries", "passed"),
    [
        (AckPolicy.ACK_FIRST, 1, True),
        (AckPolicy.ACK, 1, True),
        (AckPolicy.MANUAL, 1, True),
        (AckPolicy.NACK_ON_ERROR, LOOPS, False),
    ],
    ids=lambda value: value.value if isinstance(value, AckPolicy) else str(value),
)
async def test_core_18_policies(
    broker: str,
    organisation: str,
    policy: AckPolicy,
    tries: int,
    passed: bool,  # noqa: FBT001
) -> None:
    """Every policy but one commits past a record that failed, and loses it; that one tries it in a hot loop.

    REJECT_ON_ERROR is left out: FastStream itself says that it is the same as ACK.
    """
    topic, connection = f"{organisation}.failing", KafkaConnection(broker)
    await create_topics(connection, [TopicSpec(topic, 1, 1)])
    async with PlainProducer(connection) as producer:
        for number in range(RECORDS):
            await producer.send_to(topic, 0, (b"k", str(number).encode(), []))
    stream = KafkaBroker(broker, logger=None)
    handled: list[bytes] = []
    enough = asyncio.Event()

    @stream.subscriber(topic, group_id=organisation, ack_policy=policy, auto_offset_reset="earliest")
    async def handle(raw: KafkaMessage) -> None:
        handled.append(raw.body)
        if handled[-1:] == [str(RECORDS - 1).encode()] or handled.count(BAD) >= LOOPS:
            enough.set()
        if raw.body == BAD:
            text = "it always fails"
            raise ValueError(text)
        if policy is AckPolicy.MANUAL:
            await raw.ack()

    async with asyncio.timeout(60):
        async with stream:
            await stream.start()
            await enough.wait()
        while passed and await committed(connection, organisation, topic) < RECORDS:
            await asyncio.sleep(0.05)
    assert (handled.count(BAD) == 1) == passed
    assert handled.count(BAD) >= tries
    if not passed:
        assert await committed(connection, organisation, topic) <= int(BAD)


async def committed(connection: KafkaConnection, group: str, topic: str) -> int:
    """Return the offset that a group has committed, or -1."""
    async with admin(connection) as client:
        offsets = await client.list_consumer_group_offsets(group)
    found = offsets.get(TopicPartition(topic, 0))
    return -1 if found is None else int(found.offset)
