"""Where consumer groups read next: seen and moved while nobody of the group runs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from backbone.errors import ConfigurationError
from backbone.kafka import guards
from backbone.kafka.admin import admin
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.readers import From


@dataclass(frozen=True, slots=True)
class Move:
    """A partition's next offset before and after."""

    topic: str
    partition: int
    before: int
    after: int


async def move_group(connection: KafkaConnection, group: str, to: From, *, dry_run: bool) -> list[Move]:
    """Move a group to a time, the beginning or the end of every partition that it has committed.

    Raises ConfigurationError where the group has committed nothing or has members that run.
    """
    await ensure_stopped(connection, group)
    async with admin(connection) as client:
        committed = await client.list_consumer_group_offsets(group)
    if not committed:
        message = f"the group {group} has committed nothing"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="is the subscriber's name right?")
    async with _member(connection, group) as consumer:
        moves = await _moves(consumer, {place: found.offset for place, found in committed.items()}, to)
        if not dry_run:
            await consumer.commit({TopicPartition(move.topic, move.partition): move.after for move in moves})
    return moves


async def moves_of(connection: KafkaConnection, positions: Mapping[tuple[str, int], int], to: From) -> list[Move]:
    """Return where positions that are kept elsewhere would move to."""
    async with _member(connection, None) as consumer:
        return await _moves(consumer, {TopicPartition(*place): offset for place, offset in positions.items()}, to)


async def ensure_stopped(connection: KafkaConnection, group: str) -> None:
    """Raise ConfigurationError while members of a group run."""
    async with admin(connection) as client:
        members = await _members(client, group)
    if members:
        message = f"{members} instances of {group} are running"
        raise ConfigurationError(message, code="subscriber.running", guidance="stop them first")


@asynccontextmanager
async def _member(connection: KafkaConnection, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**connection.options(), group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise await explained(error, connection) from error
    finally:
        await guards.discard_consumer(consumer)


async def _moves(consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int], to: From) -> list[Move]:
    places = sorted(positions)
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    begins = await consumer.beginning_offsets(places)
    return [
        Move(
            place.topic, place.partition, positions[place],
            await _target(consumer, place, to, begins[place], ends[place]),
        )
        for place in places
    ]  # fmt: skip


async def _members(client: AIOKafkaAdminClient, group: str) -> int:
    for response in await client.describe_consumer_groups([group]):
        for described in response.groups:
            return len(described[5])
    return 0


async def _target(consumer: AIOKafkaConsumer, place: TopicPartition, to: From, begin: int, end: int) -> int:
    if to == "earliest":
        return begin
    if to == "latest":
        return end
    found = (await consumer.offsets_for_times({place: to}))[place]
    return end if found is None else int(found.offset)
