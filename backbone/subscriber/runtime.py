"""A subscriber while it runs: between the consumer group, the engine and the dead-letter topic."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from backbone.kafka.consuming import GroupReader
from backbone.kafka.dead_letters import DeadLetterTopic, now
from backbone.kafka.readers import ensure_not_denied
from backbone.subscriber.attempts import Retrying
from backbone.subscriber.dead import Letter, Letters, letter_id, message_of, read_letter
from backbone.subscriber.engine import Engine
from backbone.subscriber.routes import Routes
from backbone.subscriber.settings import Settings
from backbone.subscriber.work import Key, PartitionRun, Place, Tally, Work

PLENTY_RECORDS: Final = 2_000
REVOKE_WITHIN_SECS: Final = 5.0
"""How long a rebalance waits for handlers; what takes longer is cut off and handled again by the next owner."""
END_WITHIN_SECS: Final = 3.0
"""How long what is cancelled at the end has to end."""

log = structlog.get_logger(__name__)


class Runtime:
    """Implements ``Partitions`` for the group and ``DeadLetters`` for the engine, from start to stop or to an error."""

    def __init__(
        self,
        name: str,
        dead_letter_topic: str,
        routes: Routes,
        settings: Settings,
        joined: Callable[[], None],
        *,
        until_caught_up: bool = False,
        tally: Tally | None = None,
    ) -> None:
        """Build everything; nothing is connected. ``joined`` is called whenever the group has let us in."""
        self.stopping = asyncio.Event()
        self.settings = settings
        self.letters = Letters()
        self.runs: dict[Place, PartitionRun] = {}
        self._joined = joined
        self._until_caught_up = until_caught_up
        self._settling: set[str] = set()
        self._routes = routes
        self.engine = Engine(
            routes,
            self,
            concurrency=settings.concurrency,
            retrying=Retrying(settings.tries, settings.first_wait_secs, settings.longest_wait_secs),
            park=settings.after_dead == "park",
            patient=not until_caught_up,
            tally=tally,
        )
        self._connection = settings.connection()
        self._pattern = routes.topic_pattern()
        self.reader = GroupReader(
            self._connection, settings.group_of(name), self._pattern, self, begin=settings.begin
        )  # fmt: skip
        self.topic = DeadLetterTopic(self._connection, dead_letter_topic, self._read_letter)

    async def run(self) -> None:
        """Run until ``stopping`` is set or an error ends it; the first error that no handler made is raised.

        With ``until_caught_up``, ends when everything there is has been done.
        """
        await ensure_not_denied(self._connection, [*self._routes.known_topics(), self.topic.topic])
        background: set[asyncio.Task[Any]] = {
            asyncio.create_task(self.topic.follow()),
            asyncio.create_task(self.engine.run()),
        }
        stopping = asyncio.create_task(self.stopping.wait())
        loaded = asyncio.create_task(self.topic.loaded.wait())
        tasks: set[asyncio.Task[Any]] = {*background, stopping, loaded}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if loaded.done() and not stopping.done():
                reading = asyncio.create_task(self.reader.run(self.stopping, until_caught_up=self._until_caught_up))
                tasks.add(reading)
                await asyncio.wait({reading, *background}, return_when=asyncio.FIRST_COMPLETED)
                self.stopping.set()
                await reading
            for task in background:
                if task.done():
                    task.result()
        finally:
            self.stopping.set()
            for task in tasks:
                task.cancel()
            _, outlived = await asyncio.wait(tasks, timeout=END_WITHIN_SECS)
            for task in tasks - outlived:
                if not task.cancelled():
                    task.exception()  # what matters was raised above
            if outlived:
                log.warning("subscriber.handler-outlived", tasks=len(outlived))
            await self.topic.close()

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot do its work, or nothing when it can."""
        if self.engine.refusals.code:
            return self.engine.refusals.code
        if not (self.reader.joined and self.topic.loaded.is_set()):
            return "subscriber.starting"
        if not self.reader.connected:
            return "broker.unreachable"
        return "" if self.reader.topics else "subscriber.no-topics"

    @property
    def ready(self) -> bool:
        """Say whether it does its work: in the group, with topics to read, and nothing refused."""
        return not self.trouble

    def lag(self) -> dict[Place, int]:
        """Return how many offsets each partition is behind its end."""
        found = {}
        for place, (position, end) in self.reader.reached().items():
            run = self.runs.get(place)
            oldest = None if run is None else run.progress.oldest
            found[place] = max(0, end - (position if oldest is None else oldest))
        return found

    @property
    def delay_secs(self) -> float:
        """Return the age of the oldest event that was read and is not done."""
        waiting = [run.oldest_timestamp_ms for run in self.runs.values() if run.alive and len(run.progress)]
        return max(0.0, time.time() - min(waiting) / 1_000) if waiting else 0.0

    def assigned(self, places: Sequence[Place]) -> None:
        """Begin with partitions."""
        for place in places:
            self.runs[place] = PartitionRun(place)

    async def prepare(self) -> None:
        """Learn of the dead letters that earlier owners wrote, and begin with those that are wanted again."""
        await self.topic.reach_end()
        self._joined()
        if not self.reader.topics:
            guidance = "do they exist, and may we know of them?"
            principal = self._connection.principal or None
            log.warning("subscriber.no-topics", wanted=self._pattern, principal=principal, guidance=guidance)
        fresh = {place for place, run in self.runs.items() if run.alive and not run.prepared}
        for place in fresh:
            self.runs[place].prepared = True
        for letter in sorted(self.letters.open.values(), key=lambda letter: letter.offset):
            if letter.wanted and letter.place in fresh:
                self._try_again(letter)

    async def revoking(self, places: Sequence[Place]) -> None:
        """End what is in hand of partitions that go away."""
        within = self.settings.stop_within_secs if self.stopping.is_set() else REVOKE_WITHIN_SECS
        runs = [self.runs[place] for place in places if place in self.runs]
        ended = await asyncio.gather(*(self.engine.release(run, within) for run in runs))
        if not all(ended):
            log.warning("subscriber.handler-cut-off", partitions=ended.count(False))

    def offer(self, place: Place, records: Sequence[Any]) -> None:
        """Take records."""
        self.engine.offer(self.runs[place], records)

    def has_plenty(self) -> bool:
        """Say whether there is enough to do for a while."""
        return self.engine.waiting > PLENTY_RECORDS

    def full(self) -> set[Place]:
        """Return the partitions with too much work; one goes on when half of it is done."""
        most, most_bytes = self.settings.window_records, self.settings.window_bytes
        for run in self.runs.values():
            share = 2 if run.paused else 1
            run.paused = len(run.progress) > most // share or run.unfinished_bytes > most_bytes // share
        return {run.place for run in self.runs.values() if run.paused}

    def idle(self) -> bool:
        """Say whether everything that was read is done."""
        return not any(len(run.progress) for run in self.runs.values() if run.alive)

    def positions(self) -> dict[Place, int]:
        """Return the positions that moved."""
        return {
            place: run.progress.position
            for place, run in self.runs.items()
            if run.progress.position is not None and run.progress.position != run.committed
        }

    def committed(self, positions: Mapping[Place, int]) -> None:
        """Learn what is safe."""
        for place, position in positions.items():
            if place in self.runs:
                self.runs[place].committed = position

    @property
    def open(self) -> Mapping[str, Letter]:
        """Return the dead letters that are open."""
        return self.letters.open

    def knows(self, place: Place, offset: int) -> bool:
        """Say whether a record is a dead letter."""
        return self.letters.knows(place, offset)

    def parks(self, place: Place, key: Key, offset: int) -> bool:
        """Say whether a case has one before an offset."""
        return self.letters.parks(place, key, offset)

    def blocks(self, letter: str) -> bool:
        """Say whether an earlier one of the case is open."""
        return self.letters.blocks(letter)

    async def put(self, work: Work, code: str) -> None:
        """Write a dead letter; it counts from now on, not only when it is read back."""
        record, place = work.record, work.run.place
        letter = Letter(
            id=letter_id(place, record.offset), place=place, offset=record.offset, key=record.key, value=record.value,
            headers=tuple(record.headers), code=code, tries=work.tries, at=now(),
        )  # fmt: skip
        await self.topic.write(message_of("dead", letter))
        self._settling.discard(letter.id)
        self.letters.apply("dead", letter)
        log.warning("event.dead", letter=letter.id, code=code, tries=work.tries)

    async def settle(self, work: Work) -> None:
        """Note that a dead letter was handled after all."""
        letter = self.letters.open.get(work.retry_of)
        if letter is None:
            return  # somebody discarded it meanwhile
        await self.topic.write(message_of("settled", letter))
        # what the topic still says of it until our own note is read back is older
        self._settling.add(letter.id)
        self.letters.apply("settled", letter)
        log.info("event.settled", letter=letter.id)

    def _read_letter(self, key: Key, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
        found = read_letter(key, value, headers)
        if found is None:
            return
        kind, letter = found
        if letter.id in self._settling:
            if kind == "settled":
                self._settling.discard(letter.id)
            return
        self.letters.apply(kind, letter)
        if kind == "retry":
            self._try_again(self.letters.open[letter.id])

    def _try_again(self, letter: Letter) -> None:
        run = self.runs.get(letter.place)
        if run is not None and run.alive and run.prepared:
            wanted = self._routes.wanting(letter.topic, letter.headers)
            self.engine.retry(Work(run, letter, wanted, retry_of=letter.id))
