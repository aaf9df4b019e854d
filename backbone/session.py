"""An opened shard: earlier owners are fenced, its state is loaded, and transactions can be written.

State in memory runs ahead of what is committed, by at most the transaction in flight. After any error the whole
session is thrown away and the state is read again, so it never has to be put back.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from backbone import receipts, rejects
from backbone.batch import Batch
from backbone.feed import FeedSetup
from backbone.ledger import LedgerEntry
from backbone.moments import epoch_ms, rfc3339
from backbone.packed import Message, pack
from backbone.pipeline import Partitioner
from backbone.receipts import Counts, Receipt
from backbone.sources.source import Fingerprint
from backbone.state import Checkpoint, OpenDocument, ShardState
from backbone.tally import Tally

Batches = Mapping[tuple[str, int], Sequence[bytes]]
"""The packed messages of one transaction by topic and partition."""


class Producer(Protocol):
    """Publish transactions under one transactional id."""

    async def start(self) -> None:
        """Fence every earlier owner of the id."""
        ...

    async def publish(self, batches: Batches, recorded_at: str) -> None:
        """Commit one transaction, or raise."""
        ...

    async def discard(self) -> None:
        """End at once; safe to call twice."""
        ...


class Session:
    """What it takes to write a shard's transactions."""

    def __init__(
        self,
        feed: FeedSetup,
        state: ShardState,
        producer: Producer,
        partition_of: Partitioner,
        state_partition: int,
        *,
        worker: str,
        now: Callable[[], datetime],
        reject_retention_days: int = 30,
        tally: Tally | None = None,
        committed: Callable[[], None] = lambda: None,
        first: Sequence[Message] = (),
    ) -> None:
        """Take a started producer and a loaded state; ``stale`` asks for the state to be read again.

        ``committed`` is called after every transaction, and what it brought is added to ``tally``. ``first`` are
        records of the state that go into the first transaction.
        """
        self.feed = feed
        self.state = state
        self.partition_of = partition_of
        self.now = now
        self.stale = False
        self.tally = Tally() if tally is None else tally
        self._producer = producer
        self._state_place = (feed.topics.state, state_partition)
        self._worker = worker
        self._reject_retention_days = reject_retention_days
        self._committed = committed
        self._first = first

    @property
    def ordinal(self) -> int:
        """Return the number of the document in hand: how many have ended before it."""
        return self.state.checkpoint.ordinal

    def transaction(
        self,
        batch: Batch | None,
        *,
        document: OpenDocument | None = None,
        receipt: Receipt | None = None,
        ended: Fingerprint | None = None,
        control: int | None = None,
        also: Iterable[Message] = (),
        traceparent: str = "",
    ) -> Batches:
        """Gather everything that one transaction writes, in the order in which readers may rely on it.

        ``document`` is the open document after it; None ends the one in hand, which then has its ``receipt``.
        ``ended`` enters the receipt's document into the ledger.
        """
        feed, state, now = self.feed, self.state, self.now()
        gathered: dict[tuple[str, int], list[bytes]] = {} if batch is None else dict(batch.messages)
        written: list[Message] = [*self._first, *also]
        self._first = ()
        if batch is not None:
            for reject in batch.rejects:
                message = rejects.message_of(reject, source=feed.origin.source, traceparent=traceparent)
                self._add(gathered, feed.topics.rejects, message)
            written += state.write_seen(batch.hashes)
            written += state.write_rejects(batch.rejects, batch.closed, epoch_ms(now))
        if receipt is not None:
            self._add(gathered, feed.topics.receipts, receipts.message_of(receipt, source=feed.origin.source))
            if ended is not None:
                written += state.write_ended(_entry(receipt, ended, epoch_ms(now)), ended)
            written += state.expired(epoch_ms(now), self._reject_retention_days)
        before = state.checkpoint
        checkpoint = Checkpoint(
            generation=before.generation + 1,
            ordinal=before.ordinal + (receipt is not None),
            writer=self._worker,
            document=document,
            control=before.control if control is None else control,
        )
        written.append(state.write_checkpoint(checkpoint))
        gathered.setdefault(self._state_place, []).extend(map(pack, written))
        return gathered

    def _add(self, gathered: dict[tuple[str, int], list[bytes]], topic: str, message: Message) -> None:
        gathered.setdefault((topic, self.partition_of(topic, message[0])), []).append(pack(message))

    async def publish(self, batches: Batches) -> None:
        """Commit a transaction; ``ce_recordedtime`` is the moment it begins."""
        began = time.monotonic()
        await self._producer.publish(batches, rfc3339(self.now()))
        self.tally.transaction_secs.observe(time.monotonic() - began)
        self._committed()

    async def obeyed(self, control: int, also: Iterable[Message] = ()) -> None:
        """Note that a command was carried out, with what it changed in the state."""
        document = self.state.checkpoint.document
        await self.publish(self.transaction(None, document=document, control=control, also=also))


def _entry(receipt: Receipt, ended: Fingerprint, at_ms: int) -> LedgerEntry:
    return LedgerEntry(
        sha256=receipt.sha256,
        outcome=receipt.outcome,
        receipt=receipt.id,
        name=receipt.document,
        file=(ended.path, ended.size, ended.modified_ns),
        records=receipt.records,
        at_ms=at_ms,
        code=receipt.code,
    )


def continued(document: OpenDocument, delivered: int, offset: int | None, counts: Counts) -> OpenDocument:
    """Return the open document with its position moved on; the running counts are copied as they are now."""
    copied = replace(counts, reasons=dict(counts.reasons))
    return replace(document, delivered=delivered, offset=offset, counts=copied)
