"""What every simulation stands on: time, brokers, processes that are started again, leases, and faults in their turn.

What runs in the processes, and when all is done, is said by those who build on it: feeds and transforms.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from backbone import memory, points
from backbone.testing.simulation.kafka import SimulatedKafka
from backbone.testing.simulation.loop import PROCESS, DeadlockError, Process, VirtualLoop, virtual_time
from backbone.testing.simulation.network import Action, Disturbance, Network
from tests.simulation.schedule import REQUESTS, Fault, Plan

CONFIRM_DEADLINE_SECS: Final = 5.0
ACTIVE_SECS: Final = 20.0
HEAL_WITHIN_SECS: Final = 300.0
SETTLE_SECS: Final = 120.0
"""Longer than a request may be late, and behind that the transaction time-out and the clean-up's interval."""
COUNTED: Final = frozenset(REQUESTS.values())
DISTURBED: Final[Mapping[str, Action]] = {
    "lose": "lose", "unanswered": "unanswered", "late": "late", "overtaken": "overtaken", "delay": "delay",
    "hold": "delay",
}  # fmt: skip


class Program(Protocol):
    """What runs in a process."""

    async def live(self) -> None:
        """Work until stopped."""
        ...

    def stop(self) -> None:
        """Ask it to end as SIGTERM does."""
        ...


@dataclass(slots=True)
class Decree:
    """A lease that the simulation gives out as it likes; stands in for ``backbone.kafka.lease.Lease``."""

    stage: "Stage"
    process: Process
    partitions: frozenset[int] = frozenset()
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def confirm(self, partition: int) -> bool:
        """Say whether the partition is ours now: it takes a way to the broker and back."""
        network = self.stage.network
        await asyncio.sleep(network.pause())
        if self.process in network.cut_off:
            await asyncio.sleep(CONFIRM_DEADLINE_SECS)
            return False
        ours = self.stage.owners.get(partition) is self.process
        await asyncio.sleep(network.pause())
        return ours and partition in self.partitions and not self.process.dead

    def owned(self) -> frozenset[int]:
        """Return what the simulation has given to our process."""
        return frozenset(partition for partition, owner in self.stage.owners.items() if owner is self.process)


@dataclass(slots=True)
class Slot:
    """A place for a process, which is started again whenever it ends."""

    number: int
    process: Process
    program: Any
    task: asyncio.Task[None]


@dataclass(slots=True)
class Outcome:
    """How a simulation ended, before it is judged."""

    problems: list[str]
    counts: Counter[str]
    trace: list[str]
    recovery_secs: float
    """How long it took behind the last fault until everything was done."""


class Stage(ABC):
    """Everything that a plan runs on."""

    def __init__(self, plan: Plan, topics: Mapping[str, int], leases: Sequence[int], *, traced: bool) -> None:
        """Prepare; ``leases`` are the partitions that are given out. Nothing happens before ``run``."""
        self.plan = plan
        self.loop = VirtualLoop()
        self.choose = random.Random(f"{plan.seed} as it runs")  # noqa: S311 - a schedule, not a secret
        self.kafka = SimulatedKafka(self.loop, self.choose, topics)
        self.network = Network(self.loop, self.choose, self.kafka)
        self.owners: dict[int, Process | None] = {}
        self.decrees: dict[Process, Decree] = {}
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.trace: list[str] = []
        self.slots: list[Slot] = []
        self.recovery_secs = 0.0
        self._traced = traced
        self._leases = sorted(set(leases))
        self._faults = list(plan.faults)
        self._requests = 0
        self._disturbances: list[tuple[int, Action, float, str]] = []
        self._deaths: dict[str, int] = {}
        self._background: list[asyncio.Task[None]] = []
        self._calm = self._closing = False
        self._started = 0
        if traced:
            self.kafka.trace = self.note

    @abstractmethod
    def program(self, process: Process) -> Program:
        """Return what runs in a new process."""

    @abstractmethod
    async def begin(self) -> None:
        """Let the sources fill; return when the last thing has come."""

    @abstractmethod
    def done(self) -> bool:
        """Say whether everything that was to be done has been done, and is known to be."""

    @abstractmethod
    def unfinished(self) -> str:
        """Say what has not been done, for people."""

    async def finish(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what is to be done behind the faults."""

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        if self._traced:
            self.trace.append(f"{self.loop.now:10.6f} {what}")

    # the run

    def run(self) -> Outcome:
        """Run the plan to its end."""
        self.network.disturb = self._disturb
        with self._surroundings():
            try:
                self.loop.run_until_complete(self._run())
            except DeadlockError as error:
                self.problems.append(f"stalled: {error}")
            finally:
                for slot in self.slots:
                    slot.process.kill()
                self._drain()
                self.loop.close()
        self.counts += self.kafka.counts + self.network.counts
        self.counts["transactions fenced"] += self.kafka.coordinator.fenced
        self.counts["transactions timed out"] += self.kafka.coordinator.timed_out
        self.counts["rebalances"] += self.kafka.groups.rebalances
        self.counts["sessions expired"] += self.kafka.groups.expired
        return Outcome(self.problems, self.counts, self.trace, self.recovery_secs)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        kept = random.getstate(), points.hook, memory.settle
        random.seed(self.plan.seed)
        points.hook = self._reached
        memory.settle = _nothing  # garbage is collected between simulations
        try:
            with virtual_time(self.loop), quiet(self.note if self._traced else None):
                yield
        finally:
            random.setstate(kept[0])
            points.hook, memory.settle = kept[1:]

    def _drain(self) -> None:
        """Let every task that was cancelled come to its end."""
        try:
            self.loop.run_until_complete(self.until(lambda: all(slot.process.gone for slot in self.slots), 30.0))
        except DeadlockError:
            self.problems.append("workers: a task of a killed process does not end")

    async def _run(self) -> None:
        for number in range(self.plan.workers):
            self._start(number)
        if not self.plan.group:
            for partition in self._leases:
                self._give(partition, self.slots[self.choose.randrange(len(self.slots))].process)
        await self.begin()
        await self.until(lambda: self.spent() or self.done(), ACTIVE_SECS)
        await self._heal()
        calm_at = self.loop.now
        if not await self.until(self.done, HEAL_WITHIN_SECS):
            self.problems.append(f"stalled: {self.unfinished()}")
        self.recovery_secs = self.loop.now - calm_at
        await self.finish()
        await self._stop()

    def spent(self) -> bool:
        """Say whether every fault has struck."""
        return not (self._faults or self._disturbances or self._deaths)

    async def _heal(self) -> None:
        """End every fault: what is cut off is reached again; what stands still goes on in its time."""
        self._calm = True
        self._faults.clear()
        self._disturbances.clear()
        self._deaths.clear()
        self.kafka.refusals.clear()
        self.note("calm")
        await self.until(lambda: not (self.kafka.down or self.network.cut_off), 60.0)

    async def _stop(self) -> None:
        """Stop the processes as SIGTERM does, and let everything settle."""
        self._closing = True
        for slot in self.slots:
            slot.process.thaw()
            if not slot.process.dead:
                slot.program.stop()
        if not await self.until(lambda: all(slot.task.done() for slot in self.slots), 60.0):
            self.problems.append("workers: one does not stop")
        for slot in self.slots:
            if slot.task.done() and not slot.task.cancelled() and slot.task.exception() is not None:
                self.problems.append(f"workers: {slot.process} ended with {slot.task.exception()!r}")
            slot.process.kill()
        await asyncio.sleep(SETTLE_SECS)
        if not self.kafka.settled:
            self.problems.append("open transaction: the coordinator has one that nobody ends")

    async def until(self, condition: Callable[[], bool], secs: float) -> bool:
        """Wait for a condition, looking at it every now and then; say whether it came."""
        deadline = self.loop.now + secs
        pause = 0.005
        while not condition():
            if self.loop.now > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 1.0)
        return True

    # processes

    def _start(self, number: int) -> None:
        self._started += 1
        process = Process(self.loop, f"worker-{number}.{self._started}", self.plan.skews[number])
        self.decrees[process] = Decree(self, process)
        program = self.program(process)
        slot = Slot(number, process, program, process.run(program.live()))
        if number < len(self.slots):
            self.slots[number] = slot
        else:
            self.slots.append(slot)
        self.note(f"started {process}")

    def kill(self, slot: Slot) -> None:
        """End a process at once; its requests on their way may arrive, and another one is started soon."""
        process = slot.process
        if process.dead:
            return
        self.note(f"killed {process}")
        process.kill()
        self.network.forget(process)
        self.loop.later(self.choose.uniform(0.01, 1.5), self._start_again, slot.number)
        if not self.plan.group:
            for partition, owner in list(self.owners.items()):
                if owner is process:
                    self.owners[partition] = None
                    self.loop.later(self.choose.uniform(0.0, 7.0), self._give_to_anybody, partition)

    def _start_again(self, number: int) -> None:
        if self.slots[number].process.dead and not self._closing:
            self._start(number)

    async def _terminate(self, slot: Slot) -> None:
        """Stop a process as SIGTERM does, then start another."""
        slot.program.stop()
        await self.until(slot.task.done, 40.0)
        self.kill(slot)

    def owns(self, slot: Slot, partition: int) -> bool:
        """Say whether a lease is a process's; where a real group knows, those ask who have it."""
        return self.plan.group or self.owners.get(partition) is slot.process

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
        living = [slot for slot in self.slots if not slot.process.dead]
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
        """Count a named point; end the process there where the plan says so."""
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
        self.kill(next(slot for slot in self.slots if slot.process is process))
        raise asyncio.CancelledError

    def _strike(self, fault: Fault) -> None:
        if self._calm:
            return
        self.note(f"fault: {fault}")
        slot = self.slots[fault.target % len(self.slots)]
        self.counts[fault.kind] += 1
        match fault.kind:
            case "process.kill":
                self.kill(slot)
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
                topics = sorted(self.kafka.topics)
                self.kafka.refusals[topics[fault.target % len(topics)]] = int(fault.measure)
            case _:
                self.strike_source(fault)

    def strike_source(self, fault: Fault) -> None:  # noqa: B027 - most have no source that changes
        """Let a fault strike that is about what is read."""

    def _freeze(self, slot: Slot, fault: Fault) -> None:
        """Let a process stand still, and its lease go elsewhere where it stands still for too long."""
        process = slot.process
        if process.dead or process.frozen:
            return
        process.freeze()
        self.loop.later(fault.measure, process.thaw)
        if not self.plan.group and fault.measure > 6.0:
            for partition, owner in list(self.owners.items()):
                if owner is process:
                    self.loop.later(self.choose.uniform(5.0, 7.0), self._take_from, partition, process)

    def _take_from(self, partition: int, process: Process) -> None:
        others = [slot.process for slot in self.slots if slot.process is not process and not slot.process.dead]
        if others and self.owners.get(partition) is process:
            self._give(partition, others[0], self.choose.uniform(0.0, 2.0))

    def _move(self, fault: Fault) -> None:
        """Move a lease; a stolen one without a word to who had it, for a while."""
        if self.plan.group:
            return
        partition = self._leases[fault.target % len(self._leases)]
        others = [slot.process for slot in self.slots if not slot.process.dead]
        if others:
            told_secs = fault.measure if fault.kind == "lease.steal" else 0.0
            self._give(partition, others[fault.target // 2 % len(others)], told_secs)


def _nothing() -> None:
    """Do nothing."""


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
