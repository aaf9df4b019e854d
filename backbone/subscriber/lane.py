"""One input partition of a transform: from its position to its outputs, a transaction at a time.

Outputs, dead letters and the new position commit together or not at all, so each input record has its effect once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from backbone import points
from backbone.errors import BackboneError, FatalError, FencedError, places_of
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.dead_letters import MAX_LETTER_BYTES
from backbone.kafka.partition_reader import PartitionReader
from backbone.kafka.partitioning import partition_of
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_state
from backbone.moments import rfc3339
from backbone.owner import Owner
from backbone.packed import Message, pack
from backbone.session import Producer
from backbone.subscriber.dead import Letter, letter_id, message_of
from backbone.subscriber.errors import BEHIND_DEAD
from backbone.subscriber.positions import Positions
from backbone.subscriber.tracing import TRACE_ID
from backbone.subscriber.translating import Packed, Translator
from backbone.subscriber.work import Place, Tally
from backbone.waiting import Waits, waits_are

TRANSACTION_RECORDS: Final = 1_000
GIVE_WAY_RECORDS: Final = 100
"""After so many records the event loop gets its turn: the lease's heartbeats need it."""

NOTHING: Final[Sequence[Packed]] = ()

log = structlog.get_logger(__name__)
Batches = dict[tuple[str, int], list[bytes]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every lane of a transform shares. ``partitions`` counts those of every topic that is written to."""

    connection: KafkaConnection
    positions_topic: str
    dead_letter_topic: str
    translator: Translator
    partitions: Mapping[str, int]
    begin: str
    park: bool
    tally: Tally


@dataclass(slots=True)
class Opened:
    """A lane whose earlier owners are fenced and whose position is known."""

    producer: Producer
    positions: Positions
    reader: PartitionReader


@dataclass(slots=True)
class Lane:
    """One input partition for as long as its lease is ours."""

    place: Place
    state_partition: int
    transactional_id: str
    around: Surroundings
    confirm: Callable[[], Awaitable[bool]]
    wanted: dict[str, Letter]
    """Dead letters that somebody asked for again; whoever follows their topic fills it."""
    stalled: BackboneError | None = None
    ended: bool = False
    caught_up: bool = False
    behind: int = 0
    last_timestamp_ms: int = 0
    open_letters: int = 0
    waits: Waits = field(default_factory=Waits)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _owner: Owner | None = None

    async def run(self) -> None:
        """Work until stopped, cancelled or fatally failed; every error but a fatal one begins again."""
        self._stopping.clear()
        waits_are(self.waits)
        TRACE_ID.set(self.around.translator.in_hand)
        if self._owner is None:
            self._owner = Owner(self.transactional_id, self._producer, self.confirm, self._stopping)
        await self._owner.run(self._open, self._work, self._gives_up)

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot go on, or of what it has waited for too long, or nothing."""
        if self.stalled is not None:
            return self.stalled.code
        overdue = self.waits.overdue()
        return "" if overdue is None else overdue[0].code

    def stop(self) -> None:
        """Ask the lane to end behind the transaction in hand."""
        self._stopping.set()

    def _producer(self, transactional_id: str) -> Producer:
        # outputs are smaller, as the translator sees to it; a dead letter is as large as what was read
        return TransactionalProducer(self.around.connection, transactional_id, largest_bytes=MAX_LETTER_BYTES)

    async def _open(self, producer: Producer) -> Opened:
        """Read the position, now that whoever owned the partition before is fenced."""
        around = self.around
        points.reached("state.loading")
        positions = Positions(self.place)
        await read_state(around.connection, around.positions_topic, self.state_partition, positions.apply)
        points.reached("state.loaded")
        reader = PartitionReader(around.connection, *self.place)
        return Opened(producer, positions, reader)

    async def _work(self, opened: Opened) -> None:
        positions, reader = opened.positions, opened.reader
        async with reader:
            await reader.seek(positions.offset, self.around.begin)
            self.stalled = None
            log.info("lane.opened", topic=self.place[0], partition=self.place[1], position=positions.offset)
            while not self._stopping.is_set():
                records = await reader.read(TRANSACTION_RECORDS)
                again = self._again(positions)
                if records or again:
                    batches = await self._transaction(positions, records, again)
                    await opened.producer.publish(batches, rfc3339(datetime.now(UTC)))
                    points.reached("transform.committed")
                    for letter in again:
                        self.wanted.pop(letter.id, None)
                self.open_letters = len(positions.letters.open)
                self.behind = await reader.behind()
                self.caught_up = not records and not again and self.behind == 0

    def _again(self, positions: Positions) -> list[Letter]:
        """Return the dead letters to be tried again or discarded: ours, open, to be tried the first of their case."""
        return [
            letter
            for letter in sorted(self.wanted.values(), key=lambda letter: letter.offset)
            if letter.id in positions.letters.open and (letter.discarded or not positions.letters.blocks(letter.id))
        ]

    async def _transaction(self, positions: Positions, records: Sequence[Any], again: Sequence[Letter]) -> Batches:
        """Translate everything and return what commits with it, the new position last."""
        batches: Batches = {}
        state: list[Message] = []
        for letter in again:
            outputs, code = (NOTHING, "") if letter.discarded else self.around.translator.translate(letter)
            if code:
                self._add(batches, self.around.dead_letter_topic, self._dead(letter, code))
            else:
                for topic, packed, key in outputs:
                    self._add_packed(batches, topic, packed, key)
                self._add(batches, self.around.dead_letter_topic, message_of("settled", letter))
                state.append(positions.settled(letter))
        for number, record in enumerate(records, 1):
            self._one(batches, state, positions, record)
            if number % GIVE_WAY_RECORDS == 0:
                await asyncio.sleep(0)
        if records:
            state.append(positions.move(records[-1].offset + 1))
            self.last_timestamp_ms = records[-1].timestamp
        place = (self.around.positions_topic, self.state_partition)
        if state:
            batches[place] = [pack(message) for message in state]
        return batches

    def _one(self, batches: Batches, state: list[Message], positions: Positions, record: Any) -> None:
        around = self.around
        if around.park and positions.letters.open and positions.letters.parks(self.place, record.key, record.offset):
            outputs, code = NOTHING, BEHIND_DEAD
        else:
            outputs, code = around.translator.translate(record)
        if code:
            around.tally.dead[code] = around.tally.dead.get(code, 0) + 1
            self._add(batches, around.dead_letter_topic, self._dead(record, code))
            state.append(positions.opened(record.offset, record.key))
            log.warning("event.dead", letter=letter_id(self.place, record.offset), code=code)
            return
        for topic, packed, key in outputs:
            self._add_packed(batches, topic, packed, key)

    def _dead(self, record: Any, code: str) -> Message:
        letter = Letter(
            letter_id(self.place, record.offset), self.place, record.offset, record.key, record.value,
            tuple(record.headers), code, 1, rfc3339(datetime.now(UTC)),
        )  # fmt: skip
        return message_of("dead", letter)

    def _add(self, batches: Batches, topic: str, message: Message) -> None:
        self._add_packed(batches, topic, pack(message), message[0])

    def _add_packed(self, batches: Batches, topic: str, packed: bytes, key: bytes) -> None:
        partition = partition_of(key, self.around.partitions[topic])
        batches.setdefault((topic, partition), []).append(packed)

    def _gives_up(self, error: Exception) -> bool:
        """Note an error where people see it; say whether it ends the lane."""
        topic, partition = self.place
        if isinstance(error, FencedError):
            log.warning("lane.fenced", topic=topic, partition=partition)
            return False
        more = {}
        if not isinstance(error, BackboneError):
            more = {"where": places_of(error)}
            error = BackboneError(f"unexpected {type(error).__name__}", guidance="report it with the log")
        self.stalled = error
        self.ended = isinstance(error, FatalError)
        write = log.error if more else log.warning
        write("lane.stalled", topic=topic, partition=partition, code=error.code, message=error.message, **more)
        return self.ended

    @property
    def delay_secs(self) -> float:
        """Return for how long the lane has been behind, by the time of the last record that was taken."""
        last = self.last_timestamp_ms
        return max(0.0, time.time() - last / 1_000) if self.behind and last else 0.0
