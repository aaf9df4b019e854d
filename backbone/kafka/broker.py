"""The real Kafka behind a worker: what shards, status and control need, over one connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Final, Self

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from backbone.errors import BackboneError, MadeAnewError, TransientError, UnreachableError
from backbone.feed import ServiceTopics
from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.kafka.producer import UNREACHABLE, TransactionalProducer, classified, refusal_of
from backbone.kafka.readers import From, TopicRecord, partition_counts, read_state, read_topics
from backbone.kafka.topic_ids import topic_ids
from backbone.packed import Message
from backbone.rejects import Reject

RECENT_RECEIPTS: Final = 5_000


class KafkaBroker:
    """Give shards their producers and their state."""

    def __init__(self, connection: KafkaConnection, topics: ServiceTopics, written: Sequence[str]) -> None:
        """Take the names of all topics that shards write to."""
        self._connection = connection
        self._topics = topics
        self._written = tuple(written)
        self._counts: dict[str, int] = {}
        self._ids: dict[str, str] = {}
        self._ordinals: dict[str, int] = {}
        self._all_receipts = False
        self._reading_receipts = asyncio.Lock()

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

    async def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the ids of topics that are written to.

        Raises TransientError ``topic.missing``, and MadeAnewError for one that is another than when we first looked.
        """
        ids = await topic_ids(self._connection, names)
        missing = [name for name in names if name not in ids]
        if missing:
            message = f"topics are missing: {', '.join(missing)}"
            raise TransientError(message, code="topic.missing", guidance="run `backbone topics apply`")
        for name, found in ids.items():
            if self._ids.setdefault(name, found) != found:
                raise MadeAnewError(name)
        return ids

    async def last_ordinal(self, shard: str, *, everything: bool) -> int:
        """Return the number of the last document that a shard ended, by its newest receipt, or -1 without one.

        Receipts are read once a process: the newest few thousand, or ``everything`` for a shard that has no state.
        What is known may be older than the truth, never newer.
        """
        async with self._reading_receipts:
            if not self._ordinals or (everything and not self._all_receipts):
                last = None if everything else RECENT_RECEIPTS
                self._ordinals = {"": -1}
                async for record in read_topics(self._connection, [self._topics.receipts], last=last):
                    self._ordinals[(record.key or b"").decode()] = orjson.loads(record.value or b"{}")["ordinal"]
                self._all_receipts = everything
        return self._ordinals.get(shard, -1)

    async def read_rejects(self, ids: frozenset[str], since_ms: int) -> dict[str, Reject]:
        """Return the newest record, reject or repair, of each id.

        All that is committed by now counts: a command that overlooked a reject would have been obeyed all the same.
        ``since_ms`` is by the clock of a worker. Where that was ahead of the broker's, everything is read.
        """
        found: dict[str, Reject] = {}
        begins: tuple[From, ...] = (since_ms, "earliest")
        for begin in begins:
            async for record in read_topics(self._connection, [self._topics.rejects], begin=begin, whole=True):
                key = (record.key or b"").decode()
                if key in ids and record.value is not None:
                    found[key] = Reject.model_validate_json(record.value)
            if ids <= found.keys():
                break
        return found

    def follow(
        self, topic: str, *, begin: From = "earliest", attached: Callable[[], None] = lambda: None
    ) -> AsyncIterator[TopicRecord]:
        """Yield a topic's records, for ever; ``attached`` is called when it is there and is being read.

        Ends at once where the topic is missing.
        """
        return read_topics(self._connection, [topic], begin=begin, follow=True, attached=attached)


class PlainProducer:
    """Write single messages outside of transactions: heartbeats and commands."""

    def __init__(self, connection: KafkaConnection) -> None:
        """Prepare; nothing is sent before it is entered."""
        guards.install()
        self._producer = AIOKafkaProducer(
            **connection.options(), acks="all", enable_idempotence=True, linger_ms=0, request_timeout_ms=10_000
        )

    async def __aenter__(self) -> Self:
        """Connect; raises UnreachableError."""
        try:
            await self._producer.start()
        except BaseException as error:
            await guards.discard(self._producer)
            raise classified(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect within a bound, whatever state the broker is in; every message was waited for before."""
        await guards.discard(self._producer)

    def refusal(self) -> BackboneError | None:
        """Return why a message is refused and sent again and again, where the broker has said so."""
        return refusal_of(self._producer)

    async def ping(self, topic: str) -> None:
        """Ask some broker for something small; raises UnreachableError when none answers."""
        self._producer.client.add_topic(topic)
        if not await self._producer.client.force_metadata_update():
            raise UnreachableError("no broker answers", guidance=UNREACHABLE)

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
        guards.forget_refused(self._producer)
        try:
            sent = await self._producer.send_and_wait(topic, value, key=key, headers=headers, partition=partition)
        except KafkaError as error:
            raise classified(error) from error
        return int(sent.offset)
