"""One simulation: workers, brokers, a source and a network in one process, with faults where the schedule says.

The worker is the product's own, but for its signals, its watchdog's thread and its heartbeats.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog

from backbone import Context, FeedOptions, Skip, document_run, points, redrive
from backbone.control import Command
from backbone.event import Origin
from backbone.feed import Feed, FeedSetup
from backbone.kafka.socketless import SocketlessConnection
from backbone.moments import rfc3339
from backbone.shard import Shard
from backbone.testing.simulation.kafka import INIT_PRODUCER_ID, SimulatedKafka
from backbone.testing.simulation.loop import PROCESS, START_SECS, DeadlockError, Process, VirtualLoop, virtual_time
from backbone.testing.simulation.network import Action, Disturbance, Network
from backbone.worker import Worker, WorkerSettings
from schemas.shared import Event
from tests.chaos import casebook
from tests.simulation.folder import Folder, FolderSource
from tests.simulation.schedule import REQUESTS, Fault, Line, Schedule
from tests.simulation.verdict import committed

ORGANISATION: Final = "E09000099"
SYSTEM: Final = "casebook"
STATE_PARTITIONS: Final = 2
TOPICS: Final[Mapping[str, int]] = {
    f"{ORGANISATION}.backbone.state": STATE_PARTITIONS,
    f"{ORGANISATION}.backbone.receipts": 1,
    f"{ORGANISATION}.backbone.rejects": 1,
    f"{ORGANISATION}.servicerequests.v1": 2,
    f"{ORGANISATION}.planningenforcement.v1": 2,
}
RECEIPTS: Final = (f"{ORGANISATION}.backbone.receipts", 0)
EVENT_TOPICS: Final = tuple(topic for topic in TOPICS if topic.endswith(".v1"))
CONFIRM_DEADLINE_SECS: Final = 5.0
HEAL_WITHIN_SECS: Final = 300.0
SETTLE_SECS: Final = 120.0
"""Longer than a request may be late, and behind that the transaction time-out and the clean-up's interval."""
COUNTED: Final = frozenset({INIT_PRODUCER_ID, *REQUESTS.values()})
DISTURBED: Final[Mapping[str, Action]] = {
    "lose": "lose", "unanswered": "unanswered", "late": "late", "overtaken": "overtaken", "delay": "delay",
    "hold": "delay",
}  # fmt: skip


@dataclass(slots=True)
class Decree:
    """A lease that the simulation gives out as it likes; stands in for ``backbone.kafka.lease.Lease``."""

    world: "World"
    process: Process
    partitions: frozenset[int] = frozenset()
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def confirm(self, partition: int) -> bool:
        """Say whether the partition is ours now: it takes a way to the broker and back."""
        network = self.world.network
        await asyncio.sleep(network.pause())
        if self.process in network.cut_off:
            await asyncio.sleep(CONFIRM_DEADLINE_SECS)
            return False
        ours = self.world.owners.get(partition) is self.process
        await asyncio.sleep(network.pause())
        return ours and partition in self.partitions and not self.process.dead


class SimulatedWorker(Worker):
    """The product's worker, with the process's clock, and with a lease by decree where the schedule wants one."""

    def __init__(self, world: "World", process: Process, feeds: tuple[Feed, ...]) -> None:
        """Prepare within a process."""
        self.world = world
        self.process = process
        connection = SocketlessConnection("simulated:9092", wire=world.network.wire)
        super().__init__(WorkerSettings(ORGANISATION, connection, feeds, state_partitions=STATE_PARTITIONS))

    def _shard(self, feed: Feed, shard: str, partition: int) -> Shard:
        async def confirm() -> bool:
            lease = self.decree if not self.world.schedule.group else self._lease
            return lease is not None and await lease.confirm(partition)

        return Shard(
            feed, shard, self._broker, state_partition=partition, confirm=confirm, worker=self.process.name,
            now=lambda: datetime.fromtimestamp(START_SECS + self.world.loop.now + self.process.skew_secs, UTC),
        )  # fmt: skip

    @property
    def decree(self) -> Decree:
        """Return the lease by decree of our process."""
        return self.world.decrees[self.process]

    async def main(self) -> None:
        """Do what ``run`` does, without signals, threads and heartbeats."""
        holding = self._hold_lease() if self.world.schedule.group else self._follow_decree()
        lease = asyncio.create_task(holding)
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
            ours = frozenset(place for place, owner in self.world.owners.items() if owner is self.process)
            self.decree.partitions = ours
            await self._assigned(ours)

    def command(self, offset: int, command: Command) -> None:
        """Take a command from the control topic."""
        self._dispatch(offset, command)


@dataclass(slots=True)
class Slot:
    """A place for a worker process, which is started again whenever it ends."""

    number: int
    process: Process
    worker: SimulatedWorker
    task: asyncio.Task[None]


@dataclass(slots=True)
class Outcome:
    """How a simulation ended, before it is judged."""

    problems: list[str]
    counts: Counter[str]
    trace: list[str]
    recovery_secs: float
    """How long it took behind the last fault until everything was done."""


class World:
    """Everything that a schedule runs on."""

    def __init__(self, schedule: Schedule, *, traced: bool = False) -> None:
        """Prepare; nothing happens before ``run``."""
        self.schedule = schedule
        self.loop = VirtualLoop()
        self.choose = random.Random(f"{schedule.seed} as it runs")  # noqa: S311 - a schedule, not a secret
        self.kafka = SimulatedKafka(self.loop, self.choose, TOPICS)
        self.network = Network(self.loop, self.choose, self.kafka)
        self.folders = {feed: Folder(schedule.moves) for feed in schedule.feeds}
        self.owners: dict[int, Process | None] = {}
        self.decrees: dict[Process, Decree] = {}
        self.mended = False
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.trace: list[str] = []
        self._traced = traced
        self._slots: list[Slot] = []
        self._faults = list(schedule.faults)
        self._requests = 0
        self._disturbances: list[tuple[int, Action, float, str]] = []
        self._deaths: dict[str, int] = {}
        self._commands: list[Command] = []
        self._background: list[asyncio.Task[None]] = []
        self._calm = self._closing = False
        self._started = 0
        self._told_at = self._recovery_secs = 0.0
        self._looked_at = -1
        self._received: set[tuple[str, str]] = set()
        self._adapter = replace(casebook.adapter, translate=self._translate)
        if traced:
            self.kafka.trace = self.note

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        if self._traced:
            self.trace.append(f"{self.loop.now:10.6f} {what}")

    # the run

    def run(self) -> Outcome:
        """Run the schedule to its end."""
        self.network.disturb = self._disturb
        with self._surroundings():
            try:
                self.loop.run_until_complete(self._run())
            except DeadlockError as error:
                self.problems.append(f"stalled: {error}")
            finally:
                for slot in self._slots:
                    slot.process.kill()
                self._drain()
                self.loop.close()
        self.counts += self.kafka.counts + self.network.counts
        self.counts["transactions fenced"] += self.kafka.coordinator.fenced
        self.counts["transactions timed out"] += self.kafka.coordinator.timed_out
        self.counts["rebalances"] += self.kafka.groups.rebalances
        self.counts["sessions expired"] += self.kafka.groups.expired
        return Outcome(self.problems, self.counts, self.trace, self._recovery_secs)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        kept = random.getstate(), points.hook
        random.seed(self.schedule.seed)
        points.hook = self._reached
        try:
            with virtual_time(self.loop), quiet(self.note if self._traced else None), small(self.schedule.batch_records):
                yield
        finally:
            random.setstate(kept[0])
            points.hook = kept[1]

    def _drain(self) -> None:
        """Let every task that was cancelled come to its end."""
        try:
            self.loop.run_until_complete(self._until(lambda: all(slot.process.gone for slot in self._slots), 30.0))
        except DeadlockError:
            self.problems.append("a task of a killed process does not end")

    async def _run(self) -> None:
        for number in range(self.schedule.workers):
            self._start(number)
        if not self.schedule.group:
            for partition in range(STATE_PARTITIONS):
                self._give(partition, self._slots[self.choose.randrange(len(self._slots))].process)
        for feed, documents in self.schedule.documents.items():
            for number, (at, lines) in enumerate(documents):
                self.loop.later(at, self.folders[feed].write, f"{number:04}.csv", lines)
        if self.schedule.redrives:
            self.loop.later(self.choose.uniform(0.01, 1.0), self._mend)
            self.loop.later(self.choose.uniform(0.02, 2.0), self._command)
        last = max(at for documents in self.schedule.documents.values() for at, _ in documents)
        await asyncio.sleep(last + 1e-3)
        await self._until(lambda: not self._faults or self._done(), 20.0)
        await self._heal()
        calm_at = self.loop.now
        if not await self._until(self._done, HEAL_WITHIN_SECS):
            self.problems.append(f"stalled: {self._unfinished()}")
        self._recovery_secs = self.loop.now - calm_at
        if self.schedule.redrives:
            self.mended = True
            self._command()
            if not await self._until(self._all_obeyed, HEAL_WITHIN_SECS):
                self.problems.append("stalled: a re-drive was never carried out")
        await self._stop()

    async def _heal(self) -> None:
        """End every fault: what stands still goes on, what is cut off is reached again."""
        self._calm = True
        self._faults.clear()
        self._disturbances.clear()
        self._deaths.clear()
        self.kafka.refusals.clear()
        self.note("calm")
        await self._until(lambda: not (self.kafka.down or self.network.cut_off), 60.0)

    async def _stop(self) -> None:
        """Stop the workers as SIGTERM does, and let everything settle."""
        self._closing = True
        for slot in self._slots:
            slot.process.thaw()
            if not slot.process.dead:
                slot.worker.stop()
        if not await self._until(lambda: all(slot.task.done() for slot in self._slots), 60.0):
            self.problems.append("workers: one does not stop")
        for slot in self._slots:
            if slot.task.done() and not slot.task.cancelled() and slot.task.exception() is not None:
                self.problems.append(f"workers: {slot.process} ended with {slot.task.exception()!r}")
            slot.process.kill()
        await asyncio.sleep(SETTLE_SECS)
        if not self.kafka.settled:
            self.problems.append("open transaction: the coordinator has one that nobody ends")

    async def _until(self, condition: Callable[[], bool], secs: float) -> bool:
        """Wait for a condition, looking at it every now and then; say whether it came."""
        deadline = self.loop.now + secs
        pause = 0.005
        while not condition():
            if self.loop.now > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 1.0)
        return True

    # how far it is

    def _ended(self) -> Iterator[tuple[str, Any]]:
        for slot in self._slots:
            for shard in slot.worker.shards:
                if shard.status.ended:
                    yield shard.key, slot

    def _done(self) -> bool:
        """Say whether every file has its committed receipt and its owner has nothing left to do."""
        self._look_after_ended_feeds()
        receipts = self.kafka.logs[RECEIPTS]
        if receipts.last_stable != self._looked_at:
            self._looked_at = receipts.last_stable
            self._received = {
                (receipt["feed"], receipt["sha256"])
                for receipt in map(orjson.loads, (value for _, value, _ in committed(receipts)))
                if receipt["outcome"] == "complete"
            }
        due = {(feed, sha256) for feed, folder in self.folders.items() for sha256 in folder.final.values()}
        if not due <= self._received:
            return False
        caught = {
            shard.feed.name
            for slot in self._slots
            if not slot.process.dead and not slot.process.frozen
            for shard in slot.worker.shards
            if shard.key in slot.worker._tasks and shard.caught_up.is_set() and self._owns(slot, shard)
        }
        return caught == set(self.schedule.feeds)

    def _owns(self, slot: Slot, shard: Shard) -> bool:
        if self.schedule.group:
            return True
        return self.owners.get(shard.state_partition) is slot.process

    def _unfinished(self) -> str:
        return ", ".join(
            f"{slot.process}/{shard.key} caught up {shard.caught_up.is_set()} {shard.status.stalled_code}"
            for slot in self._slots
            for shard in slot.worker.shards
            if shard.key in slot.worker._tasks
        )

    def _all_obeyed(self) -> bool:
        """Say whether the owner of each feed has carried out its last command."""
        self._look_after_ended_feeds()
        last = {command.feed: offset for offset, command in enumerate(self._commands)}
        obeyed = {
            shard.feed.name
            for slot in self._slots
            for shard in slot.worker.shards
            if not slot.process.dead and self._owns(slot, shard) and shard.status.control > last[shard.feed.name]
        }
        return obeyed == set(self.schedule.feeds)

    def _look_after_ended_feeds(self) -> None:
        """Do what an operator does with a feed that ended: where ids were fenced too often, start the worker again."""
        for key, slot in list(self._ended()):
            codes = {shard.status.stalled_code for shard in slot.worker.shards if shard.status.ended}
            if codes != {"feed.ids-in-use"}:
                self.problems.append(f"workers: {key} ended with {codes}")
            if not slot.process.dead:
                self.counts["restarted by an operator"] += 1
                self._kill(slot)

    # workers

    def _start(self, number: int) -> None:
        self._started += 1
        process = Process(self.loop, f"worker-{number}.{self._started}", self.schedule.skews[number])
        self.decrees[process] = Decree(self, process)
        worker = self._worker(process)
        slot = Slot(number, process, worker, process.run(worker.main()))
        if number < len(self._slots):
            self._slots[number] = slot
        else:
            self._slots.append(slot)
        self.note(f"started {process}")
        for offset, command in enumerate(self._commands):
            worker.command(offset, command)

    def _worker(self, process: Process) -> SimulatedWorker:
        setup = FeedSetup("", self._adapter, self._adapter.layouts, FeedOptions(), Origin(ORGANISATION, SYSTEM))
        feeds = tuple(
            Feed(replace(setup, name=name), FolderSource(self.folders[name], process), state_partition=partition)
            for name, partition in self.schedule.feeds.items()
        )
        return SimulatedWorker(self, process, feeds)

    def _translate(self, line: casebook.Line, context: Context[FeedOptions]) -> list[Event] | Skip:
        """Do what the casebook does; bad lines are good once the adapter is mended."""
        return casebook.translate({**line, "kind": "ok"} if self.mended and line["kind"] == "bad" else line, context)

    def _kill(self, slot: Slot) -> None:
        """End a process at once; its requests on their way may arrive, and another one is started soon."""
        process = slot.process
        if process.dead:
            return
        self.note(f"killed {process}")
        process.kill()
        self.network.forget(process)
        self.loop.later(self.choose.uniform(0.01, 1.5), self._start_again, slot.number)
        if not self.schedule.group:
            for partition, owner in list(self.owners.items()):
                if owner is process:
                    self.owners[partition] = None
                    self.loop.later(self.choose.uniform(0.0, 7.0), self._give_to_anybody, partition)

    def _start_again(self, number: int) -> None:
        if self._slots[number].process.dead and not self._closing:
            self._start(number)

    async def _terminate(self, slot: Slot) -> None:
        """Stop a worker as SIGTERM does, then start another."""
        slot.worker.stop()
        await self._until(slot.task.done, 40.0)
        self._kill(slot)

    # leases by decree

    def _give(self, partition: int, process: Process, told_secs: float = 0.0) -> None:
        """Give a partition to a process; its owner so far learns of it later."""
        before = self.owners.get(partition)
        self.owners[partition] = process
        self.note(f"lease of {partition} to {process}")
        self.decrees[process].news.set()
        if before is not None and before is not process:
            self.loop.later(told_secs, self.decrees[before].news.set)

    def _give_to_anybody(self, partition: int) -> None:
        living = [slot for slot in self._slots if not slot.process.dead]
        if self.owners.get(partition) is not None:
            return
        if not living:
            self.loop.later(0.5, self._give_to_anybody, partition)
            return
        self._give(partition, living[self.choose.randrange(len(living))].process)

    # faults

    def _disturb(self, process: Process | None, request: Any) -> Disturbance | None:
        """Count a request, let the faults strike that are due behind it, and say what befalls it."""
        kind = request.API_KEY
        if kind not in COUNTED:
            return None
        self._requests += 1
        while self._faults and self._faults[0].behind <= self._requests:
            fault = self._faults.pop(0)
            if fault.kind.startswith("request."):
                _, action, api = fault.kind.split(".")
                self._disturbances.append((REQUESTS[api], DISTURBED[action], fault.measure, fault.kind))
            elif fault.kind == "process.die-at-point":
                self._deaths[fault.point] = int(fault.measure)
            else:
                self.loop.later(self.choose.uniform(0.0, 0.004), self._strike, fault)
        for place, (wanted, action, secs, name) in enumerate(self._disturbances):
            if wanted == kind:
                del self._disturbances[place]
                self.counts[name] += 1
                return Disturbance(action, secs)
        return None

    def _reached(self, point: str) -> None:
        """Count a named point; end the process there where the schedule says so."""
        process = PROCESS.get()
        if process is None or process.dead:
            return
        self.counts[f"at {point}"] += 1
        left = self._deaths.get(point)
        if left is None:
            return
        if left > 1:
            self._deaths[point] = left - 1
            return
        del self._deaths[point]
        self.counts[f"died at {point}"] += 1
        self._kill(next(slot for slot in self._slots if slot.process is process))
        raise asyncio.CancelledError

    def _strike(self, fault: Fault) -> None:
        if self._calm:
            return
        self.note(f"fault: {fault}")
        slot = self._slots[fault.target % len(self._slots)]
        self.counts[fault.kind] += 1
        match fault.kind:
            case "process.kill":
                self._kill(slot)
            case "process.term":
                if not slot.process.dead:
                    self._background.append(self.loop.create_task(self._terminate(slot)))
            case "process.freeze" | "process.zombie" | "process.long-zombie":
                self._freeze(slot, fault)
            case "lease.move" | "lease.steal":
                self._move(fault)
            case "node.down":
                self.network.break_node(fault.target % 2, fault.measure)
            case "network.partition":
                self.network.partition(slot.process, fault.measure)
            case "topic.refuses":
                topics = sorted(TOPICS)
                self.kafka.refusals[topics[fault.target % len(topics)]] = int(fault.measure)
            case "document.changed":
                self._change_a_document(fault)

    def _freeze(self, slot: Slot, fault: Fault) -> None:
        """Let a process stand still, and its lease go elsewhere where it stands still for too long."""
        process = slot.process
        if process.dead or process.frozen:
            return
        process.freeze()
        self.loop.later(fault.measure, process.thaw)
        if not self.schedule.group and fault.measure > 6.0:
            for partition, owner in list(self.owners.items()):
                if owner is process:
                    self.loop.later(self.choose.uniform(5.0, 7.0), self._take_from, partition, process)

    def _take_from(self, partition: int, process: Process) -> None:
        others = [slot.process for slot in self._slots if slot.process is not process and not slot.process.dead]
        if others and self.owners.get(partition) is process:
            self._give(partition, others[0], self.choose.uniform(0.0, 2.0))

    def _move(self, fault: Fault) -> None:
        """Move a lease; a stolen one without a word to who had it, for a while."""
        if self.schedule.group:
            return
        partition = fault.target % STATE_PARTITIONS
        others = [slot.process for slot in self._slots if not slot.process.dead]
        if others:
            told_secs = fault.measure if fault.kind == "lease.steal" else 0.0
            self._give(partition, others[fault.target // 2 % len(others)], told_secs)

    def _change_a_document(self, fault: Fault) -> None:
        feed = sorted(self.folders)[fault.target % len(self.folders)]
        folder = self.folders[feed]
        if folder.files:
            name = sorted(folder.files)[0]
            digit = list(self.schedule.feeds).index(feed) + 1
            at = rfc3339(datetime.fromtimestamp(START_SECS + 86_400 + folder.versions, UTC))[:19] + "Z"
            folder.extend(name, Line(f"{digit}00099", at, 1, "ok"))

    # re-drives

    def _mend(self) -> None:
        self.mended = True

    def _command(self) -> None:
        """Write a command that feeds every open reject through again; workers hear of it in their time."""
        for feed in self.schedule.feeds:
            offset = len(self._commands)
            command = Command(kind="redrive", feed=feed, at=f"2031-01-06T09:00:{offset:02}Z")
            self._commands.append(command)
            self._told_at = max(self._told_at, self.loop.now + self.choose.uniform(0.0, 0.2))
            for slot in self._slots:
                self.loop.later(self._told_at - self.loop.now, self._tell, slot, offset, command)

    def _tell(self, slot: Slot, offset: int, command: Command) -> None:
        if not slot.process.dead:
            slot.worker.command(offset, command)


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


@contextmanager
def quiet(trace: Callable[[str], None] | None) -> Iterator[None]:
    """Let the product's log be silent, or part of the trace."""
    kept = structlog.get_config()

    def write(_logger: object, _name: str, content: Mapping[str, Any]) -> str:
        assert trace is not None
        process = PROCESS.get()
        rest = " ".join(f"{name}={value}" for name, value in content.items() if name not in {"event", "trace"})
        trace(f"{process}: {content['event']} {rest}")
        raise structlog.DropEvent

    level = 50 if trace is None else 0
    structlog.configure(
        processors=[write], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**kept)
