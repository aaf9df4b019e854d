"""A shard's state stays quick to load, however many transactions there were."""

import asyncio
from typing import Final

import pytest

from backbone.kafka.admin import TopicSpec, alter_settings, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_state
from backbone.packed import pack
from backbone.state import Checkpoint, ShardState
from backbone.topics import COMPACTED
from tests.faults.conftest import Stricken

pytestmark = pytest.mark.xdist_group("stricken")
NOW: Final = "2031-01-06T08:00:00.000Z"
CHECKPOINTS: Final = 10_000
IN_ONE: Final = 25
LEAST_KEPT: Final = 2_000


async def loaded(connection: KafkaConnection, topic: str) -> tuple[ShardState, int, float]:
    """Load a shard's state; return it, the number of records read, and the seconds that it took."""
    state, loop = ShardState("hw/main", 0), asyncio.get_running_loop()
    began = loop.time()
    count = await read_state(connection, topic, 0, state.apply)
    return state, count, loop.time() - began


async def test_core_14_state_after_ten_thousand_checkpoints(stricken: Stricken, organisation: str) -> None:
    """The newest checkpoint is found in less than a second, before and after compaction.

    The topic has the settings of every state topic, but that compaction begins when the test says so and is not waited
    for. So that the test is short, twenty-five checkpoints share a transaction.
    """
    connection, topic = KafkaConnection(stricken.direct), f"{organisation}.backbone.state"
    settings = {
        **COMPACTED,
        "segment.ms": "1000",
        "max.compaction.lag.ms": "9000000",
        "min.compaction.lag.ms": "8000000",
    }
    await create_topics(connection, [TopicSpec(topic, 1, 1, settings)])
    state = ShardState("hw/main", 0)
    producer = TransactionalProducer(connection, organisation)
    await producer.start()
    for first in range(0, CHECKPOINTS, IN_ONE):
        some = [state.write_checkpoint(Checkpoint(first + number + 1, first, "w" * 100)) for number in range(IN_ONE)]
        await producer.publish({(topic, 0): [pack(message) for message in some]}, NOW)
    found, count, secs = await loaded(connection, topic)
    assert (found.checkpoint, count) == (state.checkpoint, CHECKPOINTS)
    assert secs < 1
    await alter_settings(connection, topic, {"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "1000"})
    async with asyncio.timeout(60):
        while count > LEAST_KEPT:
            await asyncio.sleep(0.3)
            last = state.write_checkpoint(Checkpoint(found.checkpoint.generation + 1, CHECKPOINTS, "w"))
            await producer.publish({(topic, 0): [pack(last)]}, NOW)  # a segment ends when something comes behind it
            found, count, secs = await loaded(connection, topic)
    assert found.checkpoint == state.checkpoint
    assert secs < 1
    await producer.discard()
