"""Moving where a transform reads next, while none of its instances runs."""

from datetime import UTC, datetime

from backbone.errors import ConfigurationError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.groups import Move, ensure_stopped, moves_of
from backbone.kafka.partitioning import partition_of
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import From, read_topics
from backbone.moments import rfc3339
from backbone.packed import pack
from backbone.subscriber.positions import (
    PARTITIONS,
    Positions,
    lease_group_of,
    named,
    positions_topic,
    transactional_id_of,
)
from backbone.subscriber.work import Place


async def move_positions(
    connection: KafkaConnection, organisation: str, name: str, to: From, *, dry_run: bool
) -> list[Move]:
    """Move a transform to a time, the beginning or the end of every partition that it has read.

    Raises ConfigurationError where it has read nothing or runs.
    """
    await ensure_stopped(connection, lease_group_of(organisation, name))
    topic = positions_topic(organisation, name)
    known: dict[Place, Positions] = {}
    async for record in read_topics(connection, [topic]):
        kind, _, place = (record.key or b"").decode().partition("/")
        if kind == "at":
            read_from, _, partition = place.rpartition("/")
            positions = known.setdefault((read_from, int(partition)), Positions((read_from, int(partition))))
            positions.apply(record.key or b"", record.value)
    if not known:
        message = f"the transform {name} has read nothing"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="is its name right?")
    moves = await moves_of(connection, {place: found.offset or 0 for place, found in known.items()}, to)
    for move in moves if not dry_run else ():
        at: Place = (move.topic, move.partition)
        producer = TransactionalProducer(connection, transactional_id_of(organisation, name, at))
        await producer.start()
        try:
            lies_at = (topic, partition_of(named(at).encode(), PARTITIONS))
            await producer.publish({lies_at: [pack(known[at].move(move.after))]}, rfc3339(datetime.now(UTC)))
        finally:
            await producer.discard()
    return moves
