"""Feeds under a schedule: the product's own worker, but for its signals, its watchdog's thread and its heartbeats."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from backbone import Context, FeedOptions, Skip, document_run, redrive
from backbone.control import Command
from backbone.event import Origin
from backbone.feed import Feed, FeedSetup
from backbone.kafka.socketless import SocketlessConnection
from backbone.moments import rfc3339
from backbone.shard import Shard
from backbone.testing.simulation.loop import START_SECS, Process
from backbone.worker import Worker, WorkerSettings
from schemas.shared import Event
from tests.chaos import casebook
from tests.simulation.folder import Folder, FolderSource
from tests.simulation.schedule import Fault, Line, Schedule
from tests.simulation.stage import HEAL_WITHIN_SECS, Outcome, Slot, Stage
from tests.simulation.verdict import committed

ORGANISATION: Final = "E09000099"
SYSTEM: Final = "casebook"
STATE_PARTITIONS: Final = 2
TOPICS: Final = {
    f"{ORGANISATION}.backbone.state": STATE_PARTITIONS,
    f"{ORGANISATION}.backbone.receipts": 1,
    f"{ORGANISATION}.backbone.rejects": 1,
    f"{ORGANISATION}.servicerequests.v1": 2,
    f"{ORGANISATION}.planningenforcement.v1": 2,
}
RECEIPTS: Final = (f"{ORGANISATION}.backbone.receipts", 0)


class SimulatedWorker(Worker):
    """The product's worker, with the process's clock, and with a lease by decree where the schedule wants one."""

    def __init__(self, world: "World", process: Process, feeds: tuple[Feed, ...]) -> None:
        """Prepare within a process."""
        self.world = world
        self.process = process
        self.decree = world.decrees[process]
        connection = SocketlessConnection("simulated:9092", wire=world.network.wire)
        super().__init__(WorkerSettings(ORGANISATION, connection, feeds, state_partitions=STATE_PARTITIONS))
        self.name = process.name

    def _shard(self, feed: Feed, shard: str, partition: int) -> Shard:
        async def confirm() -> bool:
            lease = self._lease if self.world.plan.group else self.decree
            return lease is not None and await lease.confirm(partition)

        return Shard(
            feed, shard, self._broker, state_partition=partition, confirm=confirm, worker=self.process.name,
            now=lambda: datetime.fromtimestamp(START_SECS + self.world.loop.now + self.process.skew_secs, UTC),
        )  # fmt: skip

    async def live(self) -> None:
        """Do what ``run`` does, without signals, threads and heartbeats."""
        lease = asyncio.create_task(self._hold_lease() if self.world.plan.group else self._follow_decree())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({lease, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await self._stop_shards()
        for task in (lease, stopping):
            task.cancel()
        await asyncio.wait([lease, stopping], timeout=10)
        if lease.done() and not lease.cancelled() and lease.exception() is not None:
            raise lease.exception()  # type: ignore[misc]  # it is not None

    async def _follow_decree(self) -> None:
        """Do what the group's listener does, in its order: give everything back, take what is new."""
        while True:
            await self.decree.news.wait()
            self.decree.news.clear()
            self.decree.partitions = frozenset()
            await self._stop_shards()
            self.decree.partitions = self.decree.owned()
            await self._assigned(self.decree.partitions)

    def command(self, offset: int, command: Command) -> None:
        """Take a command from the control topic."""
        self._dispatch(offset, command)


class World(Stage):
    """Feeds of folders, and what becomes of their documents."""

    def __init__(self, schedule: Schedule, *, traced: bool = False) -> None:
        """Prepare; nothing happens before ``run``."""
        super().__init__(schedule, TOPICS, range(STATE_PARTITIONS), traced=traced)
        self.schedule = schedule
        self.folders = {feed: Folder(schedule.moves) for feed in schedule.feeds}
        self.mended = False
        self._commands: list[Command] = []
        self._told_at = 0.0
        self._looked_at = -1
        self._received: set[tuple[str, str]] = set()
        self._adapter = replace(casebook.adapter, translate=self._translate)

    def run(self) -> Outcome:
        """Run the schedule to its end."""
        with small(self.schedule.batch_records):
            return super().run()

    async def begin(self) -> None:
        """Let documents arrive, and perhaps an adapter be mended."""
        for feed, documents in self.schedule.documents.items():
            for number, (at, lines) in enumerate(documents):
                self.loop.later(at, self.folders[feed].write, f"{number:04}.csv", lines)
        last = max(at for documents in self.schedule.documents.values() for at, _ in documents)
        if self.schedule.redrives:
            mended, commanded = self.choose.uniform(0.01, 0.2), self.choose.uniform(0.05, 0.3)
            self.loop.later(mended, self._mend)
            self.loop.later(commanded, self._command)
            last = max(last, commanded)
        await asyncio.sleep(last + 1e-3)

    async def finish(self) -> None:
        """Feed through what is still set aside."""
        if self.schedule.redrives:
            self.mended = True
            self._command()
            if not await self.until(self._all_obeyed, HEAL_WITHIN_SECS):
                self.problems.append("stalled: a re-drive was never carried out")

    # how far it is

    def _shards(self) -> Iterator[tuple[Slot, Shard]]:
        for slot in self.slots:
            for shard in slot.program.shards:
                yield slot, shard

    def done(self) -> bool:
        """Say whether every file has its committed receipt and its owner has nothing left to do."""
        self._look_after_ended_feeds()
        if self._commands and not self._all_obeyed():
            return False
        receipts = self.kafka.logs[RECEIPTS]
        if receipts.last_stable != self._looked_at:
            self._looked_at = receipts.last_stable
            found = [orjson.loads(value or b"{}") for _, value, _ in committed(receipts)]
            self._received = {(one["feed"], one["sha256"]) for one in found if one["outcome"] == "complete"}
        due = {(feed, sha256) for feed, folder in self.folders.items() for sha256 in folder.final.values()}
        if not due <= self._received:
            return False
        caught = {
            shard.feed.name
            for slot, shard in self._shards()
            if not slot.process.dead and not slot.process.frozen
            if shard.key in slot.program._tasks and shard.caught_up.is_set() and self.owns(slot, shard.state_partition)
        }
        return caught == set(self.schedule.feeds)

    def unfinished(self) -> str:
        """Say how each shard is."""
        return ", ".join(
            f"{slot.process}/{shard.key} caught up {shard.caught_up.is_set()} {shard.status.stalled_code}"
            for slot, shard in self._shards()
            if shard.key in slot.program._tasks
        )

    def _all_obeyed(self) -> bool:
        """Say whether the owner of each feed has carried out its last command."""
        self._look_after_ended_feeds()
        last = {command.feed: offset for offset, command in enumerate(self._commands)}
        obeyed = {
            shard.feed.name
            for slot, shard in self._shards()
            if not slot.process.dead and self.owns(slot, shard.state_partition)
            if shard.status.control > last[shard.feed.name]
        }
        return obeyed == set(self.schedule.feeds)

    def _look_after_ended_feeds(self) -> None:
        """Do what an operator does with a feed that ended: where ids were fenced too often, start the worker again."""
        for slot, shard in list(self._shards()):
            if not shard.status.ended:
                continue
            if shard.status.stalled_code != "feed.ids-in-use":
                self.problems.append(f"workers: {shard.key} ended with {shard.status.stalled_code}")
            if not slot.process.dead:
                self.counts["restarted by an operator"] += 1
                self.kill(slot)

    # what runs

    def program(self, process: Process) -> SimulatedWorker:
        """Return a worker that knows every command so far."""
        setup = FeedSetup("", self._adapter, self._adapter.layouts, FeedOptions(), Origin(ORGANISATION, SYSTEM))
        feeds = tuple(
            Feed(replace(setup, name=name), FolderSource(self.folders[name], process), state_partition=partition)
            for name, partition in self.schedule.feeds.items()
        )
        worker = SimulatedWorker(self, process, feeds)
        for offset, command in enumerate(self._commands):
            worker.command(offset, command)
        return worker

    def _translate(self, line: casebook.Line, context: Context[FeedOptions]) -> list[Event] | Skip:
        """Do what the casebook does; bad lines are good once the adapter is mended."""
        mended: Any = {**line, "kind": "ok"} if self.mended and line["kind"] == "bad" else line
        return casebook.translate(mended, context)

    # what is read

    def strike_source(self, fault: Fault) -> None:
        """Let a file grow by a line, of a case of its own."""
        feed = sorted(self.folders)[fault.target % len(self.folders)]
        folder = self.folders[feed]
        if folder.files:
            digit = list(self.schedule.feeds).index(feed) + 1
            at = rfc3339(datetime.fromtimestamp(START_SECS + 86_400 + folder.versions, UTC))[:19] + "Z"
            folder.extend(min(folder.files), Line(f"{digit}00099", at, 1, "ok"))

    # re-drives

    def _mend(self) -> None:
        self.mended = True

    def _command(self) -> None:
        """Write commands that feed every open reject through again; workers hear of them in their time."""
        for feed in self.schedule.feeds:
            offset = len(self._commands)
            command = Command(kind="redrive", feed=feed, at=f"2031-01-06T09:00:{offset:02}Z")
            self._commands.append(command)
            self._told_at = max(self._told_at, self.loop.now + self.choose.uniform(0.0, 0.2))
            for slot in self.slots:
                self.loop.later(self._told_at - self.loop.now, self._tell, slot, offset, command)

    def _tell(self, slot: Slot, offset: int, command: Command) -> None:
        if not slot.process.dead:
            slot.program.command(offset, command)


@contextmanager
def small(records: int) -> Iterator[None]:
    """Let a transaction hold so few records that a document takes several."""
    kept = document_run.BATCH_RECORDS, document_run.SLICE_RECORDS, redrive.BATCH_RECORDS  # type: ignore[attr-defined]

    def put(batch: int, slice_: int, redriven: int) -> None:
        document_run.BATCH_RECORDS, document_run.SLICE_RECORDS = batch, slice_  # type: ignore[attr-defined]
        redrive.BATCH_RECORDS = redriven  # type: ignore[attr-defined]  # as it is bound there

    put(records, records, records)
    try:
        yield
    finally:
        put(*kept)
