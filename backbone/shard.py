"""The life of a shard: confirm the lease, fence, read the state, work, and begin again after any error.

The order is that of ``docs/adr/0002-exactly-once.md`` and every step of it matters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from backbone import points
from backbone.control import Command
from backbone.document_run import DocumentRun
from backbone.errors import BackboneError, FatalError, FencedError, TransientError, places_of
from backbone.feed import Feed
from backbone.kafka.partitioning import CachedPartitioner
from backbone.moments import epoch_ms
from backbone.owner import Owner
from backbone.packed import Message
from backbone.redrive import redrive, wanted
from backbone.rejects import Reject
from backbone.session import Producer, Session
from backbone.sources.source import CaughtUp, SourceDocument
from backbone.state import ShardState
from backbone.status import ShardStatus
from backbone.tally import Tally
from backbone.waiting import Waits, waits_are

BARRIER_SECS: Final = 2.0
SOURCE_PAUSES_SECS: Final = (0.2, 0.5, 1.0, 2.0)
"""How long a source that fails is left alone, the last one again and again."""

log = structlog.get_logger(__name__)


class Broker(Protocol):
    """What a shard needs of Kafka; a fake stands in for it in simulations."""

    def producer(self, transactional_id: str) -> Producer:
        """Return a producer that is not started."""
        ...

    async def read_state(self, partition: int, apply: Callable[[bytes, bytes | None], None]) -> None:
        """Give every committed state record of a partition, up to its high watermark, to ``apply``."""
        ...

    async def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of every topic that is written to."""
        ...

    async def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the ids of topics; raises MadeAnewError for one that is another than it was."""
        ...

    async def last_ordinal(self, shard: str, *, everything: bool) -> int:
        """Return the number of the last document that a shard has a receipt of, or -1."""
        ...

    async def read_rejects(self, ids: frozenset[str], since_ms: int) -> dict[str, Reject]:
        """Return the newest record, reject or repair, of each id."""
        ...


@dataclass(slots=True)
class Barrier:
    """Let the siblings of one state partition initialise their ids before any of them reads the state.

    It saves waiting for a dead owner's transactions; correctness comes from reading to the high watermark. So it is
    waited for at most two seconds.
    """

    expected: int
    arrived: set[str] = field(default_factory=set)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self, name: str) -> None:
        """Say that we have arrived, and wait for the others for a moment."""
        self.arrived.add(name)
        if len(self.arrived) >= self.expected:
            self.open.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.open.wait(), BARRIER_SECS)


class Shard:
    """Run one shard of a feed for as long as this worker has its lease."""

    def __init__(
        self,
        feed: Feed,
        shard: str,
        broker: Broker,
        *,
        state_partition: int,
        confirm: Callable[[], Awaitable[bool]],
        worker: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        deployment: str = "default",
    ) -> None:
        """Prepare; nothing happens before ``run``."""
        self.feed = feed
        self.name = shard
        self.state_partition = state_partition
        self.commands: list[tuple[int, Command]] = []
        self.status = ShardStatus(feed.name, shard, worker, feed.expected_every_secs, feed.paused, deployment)
        self.tally = Tally()
        self.waits = Waits()
        self.caught_up = asyncio.Event()
        self._setup = replace(feed.setup, shard=shard)
        self._broker = broker
        self._worker = worker
        self._now = now
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._log = log.bind(feed=feed.name, shard=shard)
        self._owner = Owner(self.transactional_id, broker.producer, confirm, self._stopping)

    @property
    def key(self) -> str:
        """Return feed and shard as the state's keys have them."""
        return f"{self.feed.name}/{self.name}"

    @property
    def transactional_id(self) -> str:
        """Return the shard's one transactional id."""
        return f"{self._setup.origin.organisation}.{self.feed.name}.{self.name}"

    def command(self, offset: int, command: Command) -> None:
        """Hand over a command; ``offset`` is where it stands on the control topic."""
        self.commands.append((offset, command))
        self._wake.set()

    def stop(self) -> None:
        """Ask the shard to end after the document or the transaction in hand."""
        self._stopping.set()
        self._wake.set()

    def resume(self) -> None:
        """Be ready to run again after a stop."""
        self._stopping.clear()

    async def run(self, barrier: Barrier) -> None:
        """Work until stopped, cancelled or fatally failed; every error but a fatal one begins again."""
        waits_are(self.waits)

        async def opening(producer: Producer) -> Session:
            return await self._open(producer, barrier)

        await self._owner.run(opening, self._work, self._gives_up)

    async def _open(self, producer: Producer, barrier: Barrier) -> Session:
        """Read the state, now that whoever owned the shard before is fenced."""
        await barrier.pass_through(self.key)
        points.reached("state.loading")
        state = ShardState(self.key, self._setup.seen_capacity)
        await self._broker.read_state(self.state_partition, state.apply)
        state.loaded()
        points.reached("state.loaded")
        first = await self._recognise(state)
        partitioner = CachedPartitioner(await self._broker.partition_counts())
        session = Session(
            self._setup, state, producer, partitioner, self.state_partition,
            worker=self._worker, now=self._now, reject_retention_days=self.feed.reject_retention_days,
            tally=self.tally, committed=self._progressed, first=first,
        )  # fmt: skip
        self.status.knows(state)
        self.status.running(epoch_ms(self._now()))
        self._note(session)
        for _, fingerprint, outcome in sorted(state.ledger.ended, key=lambda entry: entry[0]):
            await self.feed.source.finish(fingerprint, outcome)
        self._log.info("shard.opened", generation=state.checkpoint.generation, ordinal=state.checkpoint.ordinal)
        return session

    async def _recognise(self, state: ShardState) -> Sequence[Message]:
        """Make sure that topics are those of before and the state is not older than the receipts.

        Returns records that note new topics. Raises FatalError: going on would publish again what was published.
        """
        names = self._setup.topics
        ids = await self._broker.topic_ids((names.state, names.receipts, names.rejects, *self._setup.event_topics))
        del ids[names.state]  # it is noted by whoever runs, as a new state knows nothing of the old one
        checkpoint = state.checkpoint
        last = await self._broker.last_ordinal(self.key, everything=checkpoint.generation == 0)
        if last >= checkpoint.ordinal:
            message = f"receipts tell of {last + 1:,} documents, and the state of {checkpoint.ordinal:,}: it was lost"
            guidance = "see the runbook: starting from nothing would publish everything again"
            raise FatalError(message, code="state.lost", guidance=guidance)
        return state.recognise(ids)

    async def _work(self, session: Session) -> None:
        """Take documents and commands in turn until stopped or until the state has to be read again."""
        documents = self.feed.source.documents(self.name, session.state)
        coming: asyncio.Task[SourceDocument | CaughtUp] | None = None
        failures = 0
        try:
            while not self._stopping.is_set() and not session.stale:
                self._wake.clear()
                await self._obey(session)
                if self.feed.paused:
                    await self._wake.wait()
                    continue
                if coming is None:
                    coming = asyncio.ensure_future(_next(documents))
                woken = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({coming, woken}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if not coming.done():
                    continue
                ended, coming = coming, None
                try:
                    item = ended.result()
                except TransientError as error:
                    # our state and our transactions are as they were: only the source is begun anew
                    self._gives_up(error)
                    documents = self.feed.source.documents(self.name, session.state)
                    pause_secs = SOURCE_PAUSES_SECS[min(failures, len(SOURCE_PAUSES_SECS) - 1)]
                    coming = asyncio.ensure_future(_next(documents, pause_secs))
                    failures += 1
                else:
                    failures = 0
                    await self._take(session, item)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            with suppress(RuntimeError):
                await documents.aclose()  # type: ignore[attr-defined]  # an async generator in every source

    async def _take(self, session: Session, item: SourceDocument | CaughtUp) -> None:
        if isinstance(item, CaughtUp):
            begun = session.state.checkpoint.document
            if begun is not None:
                aborted = await DocumentRun.abort(session, self.feed.source, begun)
                self.status.received(aborted, epoch_ms(self._now()))
            self.status.waiting = item.waiting
            self.status.caught_up = item.waiting == 0
            if item.waiting == 0:
                self.caught_up.set()
            self._progressed()
            return
        self.caught_up.clear()
        self.status.caught_up = False
        self.status.document, self.status.document_at_ms = item.name, epoch_ms(item.modified_at)
        receipt = await DocumentRun(session, self.feed.source, item, self._stopping.is_set).run()
        if receipt is not None:
            self.status.received(receipt, epoch_ms(self._now()))
        self._note(session)

    async def _obey(self, session: Session) -> None:
        """Carry out the commands that have not been, in their order."""
        while self.commands:
            offset, command = self.commands[0]
            if offset >= session.state.checkpoint.control:
                await self._carry_out(session, offset, command)
                self._note(session)
            self.commands.pop(0)

    async def _carry_out(self, session: Session, offset: int, command: Command) -> None:
        state = session.state
        if command.kind == "redrive":
            entries = wanted(command, state.rejects.values())
            if entries:
                since_ms = min(entry.at_ms for entry in entries) - 60_000
                found = await self._broker.read_rejects(frozenset(entry.id for entry in entries), since_ms)
                await redrive(session, entries, found)
            await session.obeyed(offset + 1)
            return
        entry = state.ledger.get(command.sha256)
        if entry is None or entry.outcome != "held":
            await session.obeyed(offset + 1)
            return
        self.status.held.pop(entry.sha256, None)
        if command.kind == "release":
            await session.obeyed(offset + 1, state.forget_document(entry.sha256, entry.fingerprint))
        else:
            discarded = replace(entry, outcome="discarded", at_ms=epoch_ms(self._now()))
            await session.obeyed(offset + 1, state.write_ended(discarded, entry.fingerprint))

    def _progressed(self) -> None:
        self.status.progressed(epoch_ms(self._now()))

    def _note(self, session: Session) -> None:
        rejects = session.state.rejects
        self.status.open_rejects = len(rejects)
        self.status.oldest_reject_ms = min((entry.at_ms for entry in rejects.values()), default=0)
        self.status.control = session.state.checkpoint.control

    def _gives_up(self, error: Exception) -> bool:
        """Note an error where people see it; say whether it ends the feed."""
        now_ms = epoch_ms(self._now())
        if isinstance(error, FencedError):
            self.tally.fenced += 1
            self._log.warning("shard.fenced", code=error.code)
            return False
        fatal = isinstance(error, FatalError)
        if isinstance(error, BackboneError):
            code, message, guidance, more = error.code, error.message, error.guidance, {}
        else:
            code, message, guidance = "internal.error", f"unexpected {type(error).__name__}", "report it with the log"
            more = {"where": places_of(error)}
        if self.status.stalled(code, message, guidance, now_ms, ended=fatal):  # once a cause, not once a try
            self.tally.stalled(code)
            write = self._log.error if fatal or more else self._log.warning
            write("feed.stopped" if fatal else "feed.stalled", code=code, message=message, **more)
        return fatal


async def _next(
    documents: AsyncIterator[SourceDocument | CaughtUp], pause_secs: float = 0.0
) -> SourceDocument | CaughtUp:
    if pause_secs:
        await asyncio.sleep(pause_secs)
    try:
        return await anext(documents)
    except StopAsyncIteration:
        message = "the source ended by itself"
        raise TransientError(message, code="source.ended") from None
