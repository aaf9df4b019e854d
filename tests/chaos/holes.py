"""Known holes, put back on purpose: a harness that does not find them proves nothing."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition

from backbone.kafka import broker, guards, readers
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import COMMIT_DEADLINE_SECS, TransactionalProducer
from backbone.kafka.record_batch import RecordBatch
from backbone.packed import packed_headers
from backbone.subscriber import lane


def last_stable_offset() -> None:
    """Read the state to the last stable offset: a sibling's open transaction hides a newer checkpoint of ours."""

    async def read(
        connection: KafkaConnection, topic: str, partition: int, apply: Callable[[bytes, bytes | None], None], *_: Any
    ) -> int:
        place, count = TopicPartition(topic, partition), 0
        async with readers.consumer(connection) as client:
            client.assign([place])
            await client.seek_to_beginning(place)
            end = (await client.end_offsets([place]))[place]
            while await client.position(place) < end:
                for record in (await client.getmany(place, timeout_ms=200)).get(place, ()):
                    if record.offset < end:
                        count += 1
                        apply(record.key or b"", record.value)
        return count

    broker.read_state = read  # type: ignore[attr-defined, assignment]  # as it is bound there
    lane.read_state = read  # type: ignore[attr-defined, assignment]


def end_transaction_repeated() -> None:
    """Leave aiokafka as it is: an EndTxn whose answer is lost is sent again at the same epoch."""
    guards.install = lambda: None


def batch_not_awaited() -> None:
    """Commit without waiting for the batches: one that fails is missing from what is committed."""

    async def publish(self: TransactionalProducer, batches: Any, recorded_at: str) -> None:
        producer = self._producer
        recorded = packed_headers([("ce_recordedtime", recorded_at.encode())])
        now = int(time.time() * 1_000)
        await producer.begin_transaction()
        for (topic, partition), messages in batches.items():
            future = await producer.send_batch(RecordBatch(messages, recorded, now), topic, partition=partition)
            future.add_done_callback(guards._retrieve)
        await asyncio.wait_for(producer.commit_transaction(), COMMIT_DEADLINE_SECS)

    TransactionalProducer._publish = publish  # type: ignore[method-assign]


HOLES: Final[Mapping[str, Callable[[], None]]] = {
    "last-stable-offset": last_stable_offset,
    "end-transaction-repeated": end_transaction_repeated,
    "batch-not-awaited": batch_not_awaited,
}
