"""Known holes, put back on purpose: a simulation that does not find them proves nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.producer.sender import BaseHandler, EndTxnHandler

from backbone import owner as owner_module
from backbone.errors import BackboneError
from backbone.kafka import broker, guards, readers
from backbone.kafka.broker import KafkaBroker
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import COMMIT_DEADLINE_SECS, TransactionalProducer
from backbone.kafka.record_batch import RecordBatch
from backbone.owner import Owner
from backbone.packed import packed_headers
from backbone.session import Producer
from backbone.subscriber import lane


@contextmanager
def swapped(owner: Any, name: str, value: object) -> Iterator[None]:
    """Put something in another's place, for a while."""
    kept = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


@contextmanager
def last_stable_offset() -> Iterator[None]:
    """Read the state to the last stable offset: a sibling's open transaction hides a newer checkpoint of ours."""

    async def read(
        connection: KafkaConnection, topic: str, partition: int, apply: Callable[[bytes, bytes | None], None]
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

    with swapped(broker, "read_state", read), swapped(lane, "read_state", read):
        yield


@contextmanager
def end_transaction_repeated() -> Iterator[None]:
    """Leave aiokafka as it is: an EndTxn whose answer is lost is sent again at the same epoch."""
    guards.install()
    with swapped(guards, "install", lambda: None), swapped(EndTxnHandler, "do", BaseHandler.do):
        yield


@contextmanager
def batch_not_awaited() -> Iterator[None]:
    """Commit without waiting for the batches: one that fails is missing from what is committed."""

    async def publish(self: TransactionalProducer, batches: Any, recorded_at: str) -> None:
        producer = self._producer
        recorded = packed_headers([("ce_recordedtime", recorded_at.encode())])
        await producer.begin_transaction()
        for (topic, partition), messages in batches.items():
            future = await producer.send_batch(RecordBatch(messages, recorded, 0), topic, partition=partition)
            future.add_done_callback(guards._retrieve)
        await asyncio.wait_for(producer.commit_transaction(), COMMIT_DEADLINE_SECS)

    with swapped(TransactionalProducer, "_publish", publish):
        yield


@contextmanager
def read_before_fencing() -> Iterator[None]:
    """Read the state first and fence the earlier owner then: what it commits in between is not known."""

    async def read_first(producer: Producer, opening: Callable[[Producer], Awaitable[Any]]) -> Any:
        opened = await opening(producer)
        await producer.start()
        return opened

    with swapped(owner_module, "_fenced", read_first):
        yield


@contextmanager
def lease_not_confirmed() -> Iterator[None]:
    """Fence without asking whether the lease is still ours: two workers fence each other in turns."""
    right = Owner.run

    async def run(self: Owner, *arguments: Any) -> None:
        async def confirm() -> bool:
            return True

        self.confirm = confirm
        await right(self, *arguments)

    with swapped(Owner, "run", run):
        yield


class _Guessing(TransactionalProducer):
    """Take a commit without an answer for what ``committed`` says: go on, or publish it all again."""

    committed = True

    def __init__(self, connection: KafkaConnection, transactional_id: str) -> None:
        self._connection = connection
        super().__init__(connection, transactional_id)

    async def publish(self, batches: Any, recorded_at: str) -> None:
        """Publish, or guess."""
        try:
            await super().publish(batches, recorded_at)
        except BackboneError:
            super().__init__(self._connection, self.transactional_id)
            await self.start()
            if not self.committed:
                await super().publish(batches, recorded_at)


class _GuessingAborted(_Guessing):
    committed = False


@contextmanager
def guessed_committed() -> Iterator[None]:
    """Go on behind a commit without an answer as if it had been committed."""
    with swapped(KafkaBroker, "producer", lambda self, name: _Guessing(self._connection, name)):
        yield


@contextmanager
def guessed_aborted() -> Iterator[None]:
    """Publish everything again behind a commit without an answer, as if it had not been committed."""
    with swapped(KafkaBroker, "producer", lambda self, name: _GuessingAborted(self._connection, name)):
        yield


HOLES: Final[Mapping[str, Callable[[], Any]]] = {
    "last-stable-offset": last_stable_offset,
    "end-transaction-repeated": end_transaction_repeated,
    "batch-not-awaited": batch_not_awaited,
    "read-before-fencing": read_before_fencing,
    "lease-not-confirmed": lease_not_confirmed,
    "guessed-committed": guessed_committed,
    "guessed-aborted": guessed_aborted,
}
