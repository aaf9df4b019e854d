"""A consumer group for subscribers: batches of committed records, and commits that cannot pass what is unfinished.

FastStream's own acknowledgement commits whatever was consumed, so the loop is ours. Nothing is committed but what the
owner of the partition says, and only while the group's generation is ours: a zombie's commit is refused.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from backbone import points
from backbone.errors import TransientError
from backbone.kafka import fetching, guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.producer import classified

POLL_MS: Final = 200
COMMIT_EVERY_SECS: Final = 1.0
COMMIT_DEADLINE_SECS: Final = 4.0
PLENTY_PAUSE_SECS: Final = 0.001
MAX_RECORDS: Final = 2_000
STOP_DEADLINE_SECS: Final = 5.0
METADATA_MAX_AGE_MS: Final = 5_000
"""How soon a new organisation's topic is noticed."""

log = structlog.get_logger(__name__)
Place = tuple[str, int]


class Partitions(Protocol):
    """Who works on the partitions of this member of the group."""

    def assigned(self, places: Sequence[Place]) -> None:
        """Take partitions; their records come from the committed position on."""
        ...

    async def prepare(self) -> None:
        """Get ready for partitions that were just assigned; nothing of them is offered before it returns."""
        ...

    async def revoking(self, places: Sequence[Place]) -> None:
        """Give partitions up: end what is in hand, within a bound. Their positions are committed afterwards."""
        ...

    def offer(self, place: Place, records: Sequence[Any]) -> None:
        """Take records of a partition, in order: with topic, partition, offset, timestamp, key, value and headers."""
        ...

    def has_plenty(self) -> bool:
        """Say whether there is enough to do for a while without reading more."""
        ...

    def full(self) -> set[Place]:
        """Return the partitions that should not be read further for now."""
        ...

    def idle(self) -> bool:
        """Say whether everything that was read is done."""
        ...

    def positions(self) -> Mapping[Place, int]:
        """Return the offsets to commit, of partitions where they moved."""
        ...

    def committed(self, positions: Mapping[Place, int]) -> None:
        """Learn that these positions are safe."""
        ...


class GroupReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Read the topics that a pattern matches, as one member of a group."""

    def __init__(
        self, connection: KafkaConnection, group: str, pattern: str, partitions: Partitions, *, begin: str = "earliest"
    ) -> None:
        """Prepare; ``begin`` is where a group without a position starts: ``earliest`` or ``latest``."""
        self.assignment: frozenset[Place] = frozenset()
        self.joined = False
        self._connection = connection
        self._fresh = False
        self._pattern = pattern
        self._partitions = partitions
        self._paused: set[Place] = set()
        self._positions: dict[Place, int] = {}
        self._client: Any = None
        self._options: dict[str, Any] = dict(
            **connection.options(),
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset=begin,
            max_poll_interval_ms=300_000,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            request_timeout_ms=15_000,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=2_097_152,
        )

    async def run(self, stopping: asyncio.Event, *, until_caught_up: bool = False) -> None:
        """Read until asked to stop, or until everything there is has been done; then commit and leave the group.

        Raises UnreachableError, FatalError (denied) and other errors of the client as ours.
        """
        fetching.install()
        self._client = AIOKafkaConsumer(**self._options)
        try:
            await self._client.start()
            self._client.subscribe(pattern=self._pattern, listener=self)
            await self._loop(stopping, until_caught_up=until_caught_up)
            await self._give_up()
        except (KafkaError, AssertionError, asyncio.CancelledError) as error:
            problem = await explained(error, self._connection)
            if problem is error:
                raise
            raise problem from error
        finally:
            if not await guards.discard_consumer(self._client, STOP_DEADLINE_SECS):
                log.warning("subscriber.left-hard")

    async def _loop(self, stopping: asyncio.Event, *, until_caught_up: bool) -> None:
        commit_at = time.monotonic() + COMMIT_EVERY_SECS
        while not stopping.is_set():
            while self._partitions.has_plenty() and time.monotonic() < commit_at:
                # fetching more now would only pile up, and pausing throws away what the client has fetched already
                await asyncio.sleep(PLENTY_PAUSE_SECS)
            self._pause()
            while self._fresh:
                await self._begin_reading()
            fetched = await self._client.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            for place, records in fetched.items():
                if (place.topic, place.partition) in self.assignment:
                    self._partitions.offer((place.topic, place.partition), records)
            if time.monotonic() >= commit_at:
                await self._commit()
                self._look()
                commit_at = time.monotonic() + COMMIT_EVERY_SECS
            else:
                await asyncio.sleep(0)
            if until_caught_up and not fetched and self.joined and self._partitions.idle() and await self._at_end():
                break

    def _look(self) -> None:
        """Note up to where we have read, where that is known."""
        subscription = self._client._subscription.subscription
        known: Any = None if subscription is None else subscription.assignment
        for place in self.assignment if known is not None else ():
            state = known.state_value(TopicPartition(*place))
            if state is not None and state.has_valid_position:
                self._positions[place] = state.position

    async def _at_end(self) -> bool:
        try:
            for place in self.assignment:
                partition = TopicPartition(*place)
                end = self._client.last_stable_offset(partition)
                if end is None or await self._client.position(partition) < end:
                    return False
        except IllegalStateError:
            return False  # it was given to somebody else meanwhile
        return True

    async def _give_up(self) -> None:
        """End what is in hand and commit it."""
        await self._partitions.revoking(sorted(self.assignment))
        await self._commit()

    async def _begin_reading(self) -> None:
        """Let records of newly assigned partitions come, once whoever works on them is ready."""
        self._fresh = False
        await self._partitions.prepare()
        if not self._fresh:  # or else they were assigned anew meanwhile, and rest again
            self._client.resume(*(TopicPartition(*place) for place in self.assignment))

    def _pause(self) -> None:
        """Stop fetching partitions whose work has piled up; go on with those where it went down."""
        full = self._partitions.full() & self.assignment
        if full == self._paused:
            return
        for place in full - self._paused:
            self._client.pause(TopicPartition(*place))
        for place in (self._paused - full) & self.assignment:
            self._client.resume(TopicPartition(*place))
        self._paused = set(full)

    async def _commit(self) -> None:
        positions = {
            place: offset for place, offset in self._partitions.positions().items() if place in self.assignment
        }
        if not positions:
            return
        try:
            offsets = {TopicPartition(*place): offset for place, offset in positions.items()}
            await asyncio.wait_for(self._client.commit(offsets), COMMIT_DEADLINE_SECS)
        except (CommitFailedError, IllegalStateError):
            # the group has gone on without us: what we did not commit is handed out again, to somebody
            log.warning("subscriber.commit-refused", partitions=len(positions))
            return
        except (KafkaError, TimeoutError, asyncio.CancelledError) as error:
            mapped = classified(error, self._connection.principal)
            if not isinstance(mapped, TransientError):
                raise
            log.warning("subscriber.commit-failed", error=type(error).__name__)
            return
        self._partitions.committed(positions)

    @property
    def connected(self) -> bool:
        """Say whether the group's coordinator answered within the session's time-out."""
        return self._client is not None and self._client._coordinator.coordinator_id is not None

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics that there are to read: those that exist, are wanted and may be known of."""
        return frozenset(() if self._client is None else self._client.subscription())

    def reached(self) -> dict[Place, tuple[int, int]]:
        """Return up to where each partition was read, past markers of transactions, and its end at the last fetch."""
        ends = {place: self._client.highwater(TopicPartition(*place)) for place in self.assignment}
        return {
            place: (position, max(position, ends[place] or 0))
            for place, position in self._positions.items()
            if place in ends
        }

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """End what is in hand and commit, before somebody else gets the partitions."""
        places = [(place.topic, place.partition) for place in revoked]
        if not places:
            return
        points.reached("subscriber.revoking")
        await self._partitions.revoking(places)
        points.reached("subscriber.revoked")
        await self._commit()
        self.assignment -= frozenset(places)
        self._paused -= set(places)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin with partitions: they rest until ``prepare`` has returned."""
        places = [(place.topic, place.partition) for place in assigned]
        if assigned:
            self._client.pause(*assigned)
        self.assignment = frozenset(places)
        self._paused = set()
        self._positions = {}
        self.joined = self._fresh = True
        self._partitions.assigned(sorted(places))
        log.info("subscriber.assigned", partitions=len(places))
