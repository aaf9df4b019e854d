"""What works for a transform: a lease that says which input partitions are ours, and a lane for each of them."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import structlog

from backbone.errors import BackboneError, FatalError
from backbone.kafka.dead_letters import DeadLetterTopic
from backbone.kafka.lease import Lease
from backbone.kafka.partitioning import partition_of
from backbone.kafka.readers import matching_topics, partition_counts
from backbone.subscriber.dead import Letter, read_letter
from backbone.subscriber.lane import Lane, Surroundings
from backbone.subscriber.positions import PARTITIONS, lease_group_of, named, transactional_id_of
from backbone.subscriber.work import Place

LOOK_EVERY_SECS: Final = 5.0
"""How soon a new organisation's topic is noticed."""
STOP_WITHIN_SECS: Final = 5.0
LEASE_BACKOFF_SECS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)

log = structlog.get_logger(__name__)


class Crew:
    """The lanes of one transform, from start to stop or to an error that ends all of them."""

    def __init__(
        self, name: str, organisation: str, around: Surroundings, pattern: str, joined: Callable[[], None]
    ) -> None:
        """Prepare; nothing is connected. ``joined`` is called whenever the group has let us in."""
        self.lanes: dict[Place, Lane] = {}
        self._name = name
        self._organisation = organisation
        self._around = around
        self._pattern = pattern.removeprefix("^").removesuffix("$")
        self._joined = joined
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._leased: frozenset[int] = frozenset()
        self._lease: Lease | None = None
        self._looked = False
        self._wanted: dict[Place, dict[str, Letter]] = {}

    @property
    def trouble(self) -> str:
        """Return the code of why they cannot do their work, or nothing when they can."""
        if self._lease is None or not self._looked:
            return "subscriber.starting"
        if not self._lease.connected:
            return "broker.unreachable"
        if not self.lanes:
            return "subscriber.no-topics"
        return next((lane.trouble for lane in self.ours() if lane.trouble), "")

    def ours(self) -> list[Lane]:
        """Return the lanes that run here."""
        return [lane for place, lane in self.lanes.items() if place in self._tasks]

    async def run(self, stopping: asyncio.Event, *, until_caught_up: bool) -> None:
        """Work until told to stop, or until an error ends all of it."""
        letters = DeadLetterTopic(self._around.connection, self._around.dead_letter_topic, self._read_letter)
        background: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._hold_lease()),
            asyncio.create_task(self._look()),
            asyncio.create_task(letters.follow()),
            asyncio.create_task(self._ends(until_caught_up=until_caught_up)),
        }
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({told, *background}, return_when=asyncio.FIRST_COMPLETED)
            await self._stop_lanes()
        finally:
            for task in (*background, told):
                task.cancel()
            await asyncio.wait([*background, told], timeout=2 * STOP_WITHIN_SECS)
            await letters.close()
        for task in background:
            if task.done() and not task.cancelled():
                task.result()

    async def _hold_lease(self) -> None:
        """Be a member of the group for ever; a membership that broke is begun anew."""
        failures = 0
        while True:
            self._lease = Lease(
                self._around.connection, lease_group_of(self._organisation, self._name), self._around.positions_topic,
                dict.fromkeys(range(PARTITIONS), 1), assigned=self._assigned, revoked=self._revoked,
            )  # fmt: skip
            try:
                await self._lease.run()
            except FatalError:
                raise
            except BackboneError as error:
                log.warning("lease.lost", code=error.code, message=error.message)
                for lane in self.ours():
                    lane.stalled = error
                await self._revoked()
                await asyncio.sleep(LEASE_BACKOFF_SECS[min(failures, len(LEASE_BACKOFF_SECS) - 1)])
                failures += 1

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Start what is ours; called while heartbeats rest, so nothing is awaited."""
        self._leased = partitions
        self._joined()
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

    async def _look(self) -> None:
        """Find the partitions to read, now and whenever there are new ones."""
        connection = self._around.connection
        while True:
            with suppress(BackboneError):
                topics = await matching_topics(connection, [self._pattern])
                for topic, count in (await partition_counts(connection, topics)).items():
                    for partition in range(count):
                        self._add_lane((topic, partition))
                self._looked = True
                self._start_lanes()
            await asyncio.sleep(LOOK_EVERY_SECS if self.lanes else LOOK_EVERY_SECS / 10)

    def _add_lane(self, place: Place) -> None:
        if place in self.lanes:
            return
        state_partition = partition_of(named(place).encode(), PARTITIONS)

        async def confirm() -> bool:
            return self._lease is not None and await self._lease.confirm(state_partition)

        transactional_id = transactional_id_of(self._organisation, self._name, place)
        wanted = self._wanted.setdefault(place, {})
        self.lanes[place] = Lane(place, state_partition, transactional_id, self._around, confirm, wanted)

    def _read_letter(self, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        """Hand a letter that somebody wants again, or discards, to whoever has its partition; others are not wanted."""
        found = read_letter(key, value, headers)
        if found is None:
            return
        kind, letter = found
        wanted = self._wanted.setdefault(letter.place, {})
        if kind in {"retry", "discarded"}:
            wanted[letter.id] = replace(letter, discarded=kind == "discarded")
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
                ours = self.ours()
                if ended and ended[0].stalled is not None:
                    raise ended[0].stalled
                if all(lane.caught_up for lane in ours) and len(ours) == self._due():
                    return

    def _due(self) -> int:
        return sum(lane.state_partition in self._leased for lane in self.lanes.values())
