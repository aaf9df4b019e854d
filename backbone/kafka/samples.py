"""Write synthetic events onto a topic, in transactions as a worker does."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from backbone.errors import ConfigurationError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import partition_counts
from backbone.moments import rfc3339
from backbone.packed import Message, pack

TRANSACTION_EVENTS = 500


async def publish_samples(
    connection: KafkaConnection, topic: str, messages: Iterable[Message], *, transactional_id: str
) -> int:
    """Write messages by their keys, some hundreds a transaction; return how many.

    Raises ConfigurationError for a topic that does not exist, UnreachableError without a broker.
    """
    partitions = (await partition_counts(connection, [topic])).get(topic)
    if partitions is None:
        raise ConfigurationError(
            f"there is no topic {topic}",
            code="topic.missing",
            guidance="--create makes it; or see `backbone topics plan`",
        )
    producer = TransactionalProducer(connection, transactional_id)
    await producer.start()
    written = 0
    waiting = iter(messages)
    try:
        while some := list(islice(waiting, TRANSACTION_EVENTS)):
            batches: dict[tuple[str, int], list[bytes]] = {}
            for message in some:
                batches.setdefault((topic, partition_of(message[0], partitions)), []).append(pack(message))
            await producer.publish(batches, rfc3339(datetime.now(UTC)))
            written += len(some)
    finally:
        await producer.discard()
    return written
