"""The real Kafka behind a worker: what shards, status and control need, over one connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from backbone.feed import ServiceTopics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.guards import DISCARD_DEADLINE_SECS
from backbone.kafka.partitioning import partition_of
from backbone.kafka.producer import TransactionalProducer, classified
from backbone.kafka.readers import TopicRecord, partition_counts, read_state, read_topics
from backbone.packed import Message
from backbone.rejects import Reject


class KafkaBroker:
    """Give shards their producers and their state."""

    def __init__(self, connection: KafkaConnection, topics: ServiceTopics, written: Sequence[str]) -> None:
        """Take the names of all topics that shards write to."""
        self._connection = connection
        self._topics = topics
        self._written = tuple(written)
        self._counts: dict[str, int] = {}

    def producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a producer that is not started."""
        return TransactionalProducer(self._connection, transactional_id)

    async def read_state(self, partition: int, apply: Callable[[bytes, bytes | None], None]) -> None:
        """Give every committed state record of a partition, up to its high watermark, to ``apply``."""
        await read_state(self._connection, self._topics.state, partition, apply)

    async def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of every topic that is written to; it never changes while we run."""
        if not self._counts:
            self._counts = await partition_counts(self._connection, self._written)
        return self._counts

    async def read_rejects(self, ids: frozenset[str], since_ms: int) -> dict[str, Reject]:
        """Return the newest record, reject or repair, of each id."""
        found: dict[str, Reject] = {}
        async for record in read_topics(self._connection, [self._topics.rejects], begin=since_ms):
            key = (record.key or b"").decode()
            if key in ids and record.value is not None:
                found[key] = Reject.model_validate_json(record.value)
        return found

    def follow(self, topic: str) -> AsyncIterator[TopicRecord]:
        """Yield a topic's records from its beginning, for ever."""
        return read_topics(self._connection, [topic], follow=True)


class PlainProducer:
    """Write single messages outside of transactions: heartbeats and commands."""

    def __init__(self, connection: KafkaConnection) -> None:
        """Prepare; nothing is sent before it is entered."""
        self._producer = AIOKafkaProducer(
            **connection.options(), acks="all", enable_idempotence=True, linger_ms=0, request_timeout_ms=10_000
        )

    async def __aenter__(self) -> Self:
        """Connect; raises UnreachableError."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await asyncio.wait_for(self._producer.stop(), DISCARD_DEADLINE_SECS)
            raise classified(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect within two seconds, whatever state the broker is in."""
        try:
            await asyncio.wait_for(self._producer.stop(), DISCARD_DEADLINE_SECS)
        except (KafkaError, TimeoutError):
            return

    async def send(self, topic: str, message: Message) -> int:
        """Write one message by its key; return its offset when every in-sync replica has it."""
        try:
            partitions = await self._producer.partitions_for(topic)
        except KafkaError as error:
            raise classified(error) from error
        return await self.send_to(topic, partition_of(message[0], len(partitions)), message)

    async def send_to(self, topic: str, partition: int, message: Message) -> int:
        """Write one message to a partition; return its offset."""
        key, value, headers = message
        try:
            sent = await self._producer.send_and_wait(topic, value, key=key, headers=headers, partition=partition)
        except KafkaError as error:
            raise classified(error) from error
        return int(sent.offset)
