"""The simulated Kafka is held against the real one: the same plays, the same clients, and the same must show."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.socketless import SocketlessConnection
from backbone.testing.simulation.kafka import SimulatedKafka
from backbone.testing.simulation.loop import VirtualLoop, virtual_time
from backbone.testing.simulation.network import Network
from tests.simulation.script import MAX_MESSAGE_BYTES, PARTITIONS, on_stage

PLAYS = 60


def simulated(seed: int, topic: str) -> list[str]:
    """Give a play on the simulated Kafka."""
    loop = VirtualLoop()
    choose = random.Random(seed)  # noqa: S311 - not a secret
    kafka = SimulatedKafka(loop, choose, {topic: PARTITIONS}, nodes=1)
    for log in kafka.logs.values():
        log.max_bytes = MAX_MESSAGE_BYTES
    connection = SocketlessConnection("simulated:9092", wire=Network(loop, choose, kafka).wire)
    try:
        with virtual_time(loop):
            return loop.run_until_complete(on_stage(connection, topic, seed))
    finally:
        loop.close()


async def real(
    connection: KafkaConnection, expected: Mapping[int, Sequence[str]], topics: Mapping[int, str]
) -> list[str]:
    """Give all plays on a real broker, side by side; return where something else showed."""
    settings = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    await create_topics(connection, [TopicSpec(topic, PARTITIONS, 1, settings) for topic in topics.values()])
    at_once = asyncio.Semaphore(8)

    async def one(seed: int) -> list[str]:
        async with at_once:
            return await on_stage(connection, topics[seed], seed, expected[seed])

    shown = await asyncio.gather(*(one(seed) for seed in expected))
    return [
        f"play {seed}, step {number}: real Kafka shows {step!r}, the simulated one {expected[seed][number]!r}"
        for seed, steps in zip(expected, shown, strict=True)
        for number, step in enumerate(steps)
        if step != expected[seed][number]
    ]


@pytest.mark.timeout(300)
def test_what_shows_is_what_real_kafka_shows(broker: str, organisation: str) -> None:
    """Fencing, aborts, zombies, siblings, refusals, offsets and reads are the same, step by step."""
    topics = {seed: f"{organisation}.play-{seed}" for seed in range(PLAYS)}
    expected = {seed: simulated(seed, topic) for seed, topic in topics.items()}
    differences = asyncio.run(real(KafkaConnection(broker), expected, topics))
    assert differences == [], "\n".join(differences[:20])


def test_the_plays_show_something() -> None:
    """They are worth giving: fenced producers, refused batches, aborted and open transactions are all among them."""
    shown = Counter(
        step.partition(": ")[2].partition(" ")[0] for seed in range(PLAYS) for step in simulated(seed, "play")
    )
    assert shown["feed.fenced"] + shown["ProducerFenced"] >= 10, shown
    assert shown["MessageSizeTooLargeError"] >= 3, shown
    assert shown["state.offset-stuck"] >= 1, shown
    assert shown["done"] >= 200, shown
