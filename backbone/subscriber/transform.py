"""Kafka to Kafka, exactly once: consume, transform and produce in one transaction, with positions of our own.

Example::

    transform = Transform("open-potholes", Settings(organisation="dft"), to=["dft.potholes"])

    @transform.on(StatusChanged, organisations=["E09*"])
    def only_open(event: Event[StatusChanged]) -> Output | None:
        return Output(event.data.case_ref.encode()) if event.data.state == "open" else None

    transform.main()

The procedure is that of feeds, see ``docs/adr/0008-kafka-to-kafka.md``.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog

from backbone.errors import BackboneError, FatalError, exit_code
from backbone.event import Origin
from backbone.kafka.dead_letters import DeadLetterTopic
from backbone.kafka.lease import Lease
from backbone.kafka.partitioning import partition_of
from backbone.kafka.readers import matching_topics, partition_counts
from backbone.logs import configure_logging
from backbone.secret import Secret
from backbone.subscriber.dead import Letter, read_letter
from backbone.subscriber.errors import PermanentError
from backbone.subscriber.event import Event
from backbone.subscriber.lane import Lane, Surroundings, letters_of
from backbone.subscriber.positions import PARTITIONS, named, positions_topic, transactional_id_of
from backbone.subscriber.routes import Routes
from backbone.subscriber.settings import Settings
from backbone.subscriber.translating import Function, Translator, topics_of
from backbone.subscriber.work import Place, Tally
from schemas.shared import Event as Data

LOOK_EVERY_SECS: Final = 5.0
"""How soon a new organisation's topic is noticed."""
STOP_WITHIN_SECS: Final = 5.0
LEASE_BACKOFF_SECS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)

log = structlog.get_logger(__name__)
FunctionT = TypeVar("FunctionT", bound=Function)


class Transform:
    """Give events to pure functions and write what they return, each input's effect once.

    ``name`` is the lease group and part of every transactional id: instances of one name share the partitions that are
    read. ``to`` are the topics of ``Output``s, ``emits`` the event classes that functions return, which are published
    for ``settings.organisation``. Both topics of its own, positions and dead letters, are made by
    ``backbone subscriber topics NAME``.
    """

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        to: Sequence[str] = (),
        emits: Sequence[type[Data]] = (),
        case_secret: str | None = None,
    ) -> None:
        """Prepare; nothing is connected before ``run``. ``case_secret`` hides personal case references of ``emits``."""
        self.name = name
        self.settings = settings or Settings()
        self.routes = Routes()
        self.tally = Tally()
        self.lanes: dict[Place, Lane] = {}
        self._to = tuple(to)
        self._emits = tuple(emits)
        secret = None if case_secret is None else Secret(case_secret)
        self._origin = Origin(self.settings.organisation, name, case_secret=secret)
        self._stopping = asyncio.Event()
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._leased: frozenset[int] = frozenset()
        self._lease: Lease | None = None
        self._looked = False
        self._wanted: dict[Place, dict[str, Letter]] = {}

    @property
    def dead_letter_topic(self) -> str:
        """Return where records go that cannot be transformed."""
        return f"{self.settings.organisation}.dead.{self.name}"

    @property
    def positions_topic(self) -> str:
        """Return where the positions are kept."""
        return positions_topic(self.settings.organisation, self.name)

    def on(
        self,
        *models: type[Data],
        organisations: Sequence[str] = ("*",),
        attributes: Mapping[str, str] | None = None,
        replays: bool = True,
    ) -> Callable[[FunctionT], FunctionT]:
        """Register a pure function of event classes; the filters are those of ``Subscriber.on``.

        It returns outputs, or None for none, and MUST return the same whenever it is given the same. It may raise
        PermanentError; whatever it raises sets the record aside at once.
        """

        def register(function: FunctionT) -> FunctionT:
            self.routes.add(function, models, organisations, attributes or {}, replays=replays, batch=0)
            return function

        return register

    async def run(self, *, until_caught_up: bool = False) -> None:
        """Run until SIGTERM or SIGINT, or with ``until_caught_up`` until everything there is has been done.

        Raises UnreachableError, FatalError or ConfigurationError with what to do about it.
        """
        routes = self.routes.with_facts({}, _nobody if self.settings.facts_without_hook == "dead" else None)
        pattern = routes.topic_pattern()
        around = await self._surroundings(routes)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        letters = DeadLetterTopic(around.connection, around.dead_letter_topic, self._read_letter)
        background = {
            asyncio.create_task(self._hold_lease()),
            asyncio.create_task(self._look(around, pattern)),
            asyncio.create_task(letters.follow()),
            asyncio.create_task(self._ends(until_caught_up=until_caught_up)),
        }
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
            await self._stop_lanes()
        finally:
            for task in (*background, stopping):
                task.cancel()
            await asyncio.wait([*background, stopping], timeout=2 * STOP_WITHIN_SECS)
            await letters.close()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        for task in background:
            if task.done() and not task.cancelled():
                task.result()

    def main(self) -> None:
        """Run until told to stop, and exit; for a script's last line. Exit codes are those of ``Subscriber.main``."""
        configure_logging(json=not sys.stderr.isatty())
        try:
            asyncio.run(self.run())
        except BackboneError as error:
            who = f" as {self.settings.username}" if self.settings.username else ""
            sys.stderr.write(f"{self.name}{who}: {error.message} [{error.code}]; {error.guidance}\n")
            sys.exit(exit_code(error))

    def stop(self) -> None:
        """Ask for the end behind the transactions in hand."""
        self._stopping.set()

    @property
    def ready(self) -> bool:
        """Say whether a lease is held or shared out to others, and no input partition of ours is stalled."""
        lease = self._lease is not None and self._looked
        return lease and not any(lane.stalled for lane in self._ours())

    @property
    def open_letters(self) -> int:
        """Return how many dead letters of our partitions are not settled."""
        return letters_of(self.lanes.values())

    def lag(self) -> dict[Place, int]:
        """Return how many offsets each of our partitions is behind its end."""
        return {lane.place: lane.behind for lane in self.lanes.values()}

    def _ours(self) -> list[Lane]:
        return [lane for place, lane in self.lanes.items() if place in self._tasks]

    async def _surroundings(self, routes: Routes) -> Surroundings:
        connection = self.settings.connection()
        outputs = topics_of(self.settings.organisation, self._emits, self._to)
        own = [self.positions_topic, self.dead_letter_topic]
        counts = await partition_counts(connection, [*own, *outputs])
        missing = [topic for topic in (*own, *outputs) if topic not in counts]
        if missing:
            guidance = f"run `backbone subscriber topics {self.name} --transform`, and create those it writes to"
            raise FatalError(f"topics are missing: {', '.join(missing)}", code="topic.missing", guidance=guidance)
        if counts[self.positions_topic] != PARTITIONS:
            message = f"{self.positions_topic} has {counts[self.positions_topic]} partitions and must have {PARTITIONS}"
            guidance = "positions lie by their count: make the topic anew with `backbone subscriber topics`"
            raise FatalError(message, code="state.partitions-differ", guidance=guidance)
        return Surroundings(
            connection, self.positions_topic, self.dead_letter_topic,
            Translator(routes, self._origin, self._emits, self._to, self.tally),
            counts, self.settings.begin, self.settings.after_dead == "park", self.tally,
        )  # fmt: skip

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            os._exit(130)  # the second signal means now
        log.info("transform.stopping", transform=self.name)
        self.stop()

    async def _hold_lease(self) -> None:
        """Be a member of the group for ever; a membership that broke is begun anew."""
        failures = 0
        while True:
            self._lease = Lease(
                self.settings.connection(), self.name, self.positions_topic, dict.fromkeys(range(PARTITIONS), 1),
                assigned=self._assigned, revoked=self._revoked,
            )  # fmt: skip
            try:
                await self._lease.run()
            except FatalError:
                raise
            except BackboneError as error:
                log.warning("lease.lost", code=error.code, message=error.message)
                for lane in self._ours():
                    lane.stalled = error
                await self._revoked()
                await asyncio.sleep(LEASE_BACKOFF_SECS[min(failures, len(LEASE_BACKOFF_SECS) - 1)])
                failures += 1

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Start what is ours; called while heartbeats rest, so nothing is awaited."""
        self._leased = partitions
        log.info("lease.assigned", worker=f"{socket.gethostname()}-{os.getpid()}", partitions=sorted(partitions))
        self._start_lanes()

    async def _revoked(self) -> None:
        self._leased = frozenset()
        await self._stop_lanes()
        for lane in self.lanes.values():
            lane.behind = lane.open_letters = 0  # others count them now

    def _start_lanes(self) -> None:
        for place, lane in self.lanes.items():
            if lane.state_partition in self._leased and not lane.ended and place not in self._tasks:
                self._tasks[place] = asyncio.create_task(lane.run(), name=f"lane {named(place)}")

    async def _stop_lanes(self) -> None:
        """Let the transactions in hand end, for at most five seconds; then cut them off."""
        tasks, self._tasks = self._tasks, {}
        if not tasks:
            return
        for place in tasks:
            self.lanes[place].stop()
        _, late = await asyncio.wait(tasks.values(), timeout=STOP_WITHIN_SECS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=STOP_WITHIN_SECS)

    async def _look(self, around: Surroundings, pattern: str) -> None:
        """Find the partitions to read, now and whenever there are new ones."""
        while True:
            with suppress(BackboneError):
                topics = await matching_topics(around.connection, [pattern.removeprefix("^").removesuffix("$")])
                for topic, count in (await partition_counts(around.connection, topics)).items():
                    for partition in range(count):
                        self._add_lane(around, (topic, partition))
                self._looked = True
                self._start_lanes()
            await asyncio.sleep(LOOK_EVERY_SECS if self.lanes else LOOK_EVERY_SECS / 10)

    def _add_lane(self, around: Surroundings, place: Place) -> None:
        if place in self.lanes:
            return
        state_partition = partition_of(named(place).encode(), PARTITIONS)

        async def confirm() -> bool:
            return self._lease is not None and await self._lease.confirm(state_partition)

        transactional_id = transactional_id_of(self.settings.organisation, self.name, place)
        wanted = self._wanted.setdefault(place, {})
        self.lanes[place] = Lane(place, state_partition, transactional_id, around, confirm, wanted)

    def _read_letter(self, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        """Hand a dead letter that is wanted again to whoever has its partition; what is settled is not wanted."""
        found = read_letter(key, value, headers)
        if found is None:
            return
        kind, letter = found
        wanted = self._wanted.setdefault(letter.place, {})
        if kind == "retry":
            wanted[letter.id] = letter
        else:
            wanted.pop(letter.id, None)

    async def _ends(self, *, until_caught_up: bool) -> None:
        """End when every lane has failed for good, with its error, or has nothing left to do, when that is asked."""
        while True:
            await asyncio.sleep(0.05)
            ended = [lane for lane in self.lanes.values() if lane.ended]
            if ended and len(ended) == len(self.lanes) and ended[0].stalled is not None:
                raise ended[0].stalled
            if until_caught_up and self._looked and self._leased:
                ours = self._ours()
                if ended and ended[0].stalled is not None:
                    raise ended[0].stalled
                if all(lane.caught_up for lane in ours) and len(ours) == self._due():
                    return

    def _due(self) -> int:
        return sum(lane.state_partition in self._leased for lane in self.lanes.values())


def _nobody(event: Event[Any]) -> None:
    """Set a correction or an erasure aside for which there is no function: it must not be overlooked."""
    message = f"no function for {event.data.fact}"
    guidance = "register the event class with `on`, or set facts_without_hook to ignore"
    raise PermanentError(message, code="event.fact-not-handled", guidance=guidance)
