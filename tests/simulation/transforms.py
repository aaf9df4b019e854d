"""Transforms under faults: the product's own, from Kafka to Kafka, and what each input must come to."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from backbone.errors import BackboneError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.kafka.record_batch import RecordBatch
from backbone.kafka.socketless import SocketlessConnection
from backbone.packed import pack
from backbone.subscriber import Event, Output, PermanentError, Settings, Transform, lane
from backbone.subscriber.crew import Crew
from backbone.subscriber.lane import Lane
from backbone.subscriber.positions import PARTITIONS, named, positions_topic
from backbone.subscriber.work import Place
from backbone.testing.events import Publisher
from backbone.testing.simulation.loop import Process
from schemas.servicerequests.v1 import StatusChanged
from tests.simulation.schedule import Fault, faults_of
from tests.simulation.stage import Outcome, Stage
from tests.simulation.verdict import committed

ORGANISATION: Final = "E09000074"
"""A code with which the positions of the first two input partitions lie in one partition, and so do siblings."""
INPUTS: Final = 3
NAME: Final = "t"
INPUT: Final = f"{ORGANISATION}.servicerequests.v1"
OUTPUT: Final = f"{ORGANISATION}.out"
DEAD: Final = f"{ORGANISATION}.dead.{NAME}"
POSITIONS: Final = positions_topic(ORGANISATION, NAME)
TOPICS: Final = {INPUT: INPUTS, OUTPUT: 2, DEAD: 1, POSITIONS: PARTITIONS}
LEASED: Final = tuple(partition_of(named((INPUT, partition)).encode(), PARTITIONS) for partition in range(INPUTS))
RETRY_SECS: Final = 1.0
FOREIGN: Final = 100
"""Where the numbers of the producers of inputs begin."""


@dataclass(frozen=True, slots=True)
class Given:
    """A transaction of inputs: when it is written, to which partition, and whether it commits.

    Each record is a case, a number, and what becomes of it: how many outputs, or -1 for a dead letter.
    """

    at: float
    partition: int
    commit: bool
    records: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class TransformPlan:
    """A plan for a transform."""

    seed: int
    group: bool
    workers: int
    transaction_records: int
    skews: tuple[float, ...]
    inputs: tuple[Given, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        lease = "a consumer group" if self.group else "decree"
        lines = [f"seed {self.seed}: a transform in {self.workers} workers, lease by {lease}"]
        lines += [f"  {len(given.records)} records for partition {given.partition}" for given in self.inputs]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


def draw(seed: int, only: tuple[str, ...] = ()) -> TransformPlan:
    """Return the plan of a seed."""
    choose = random.Random(f"transform {seed}")  # noqa: S311 - a plan, not a secret
    inputs, number, at = [], 0, 0.0
    for _ in range(choose.randint(2, 5)):
        records = []
        partition = choose.choice((0, 0, 1, 1, 2))
        for _ in range(choose.randint(1, 3)):
            number += 1
            case = f"{partition}{choose.randrange(2):05}"
            records.append((case, number, choose.choices((1, 2, 0, -1), (6, 3, 1, 1))[0]))
        inputs.append(Given(at, partition, choose.random() < 0.8, tuple(records)))
        at += choose.choice((0.0, choose.uniform(0.0, 0.5)))
    return TransformPlan(
        seed=seed,
        group=choose.random() < 0.2,
        workers=choose.choice((1, 2, 2)),
        transaction_records=choose.choice((1, 2, 3)),
        skews=(0.0, 0.0),
        inputs=tuple(inputs),
        faults=faults_of(choose, 4 * number, only, points=POINTS),
    )


POINTS: Final = {
    "state.loading": 1, "state.loaded": 1, "transaction.before-begin": 1, "transaction.begun": 1,
    "transaction.batch-sent": 2, "transaction.all-sent": 1, "commit.before": 1, "commit.sent": 1,
    "commit.answered": 1, "transform.committed": 1,
}  # fmt: skip


class SimulatedTransform(Transform):
    """The product's transform, but for its signals, and with a lease by decree where the plan wants one."""

    def __init__(self, stage: "Transforms", process: Process) -> None:
        """Prepare within a process."""
        connection = SocketlessConnection("simulated:9092", wire=stage.network.wire)

        class Simulated(Settings):
            def connection(self) -> KafkaConnection:
                return connection

        super().__init__(NAME, Simulated(organisation=ORGANISATION, after_dead="continue"), to=[OUTPUT])
        self.stage = stage
        self.decree = stage.decrees[process]
        self.on(StatusChanged)(outputs_of)

    async def live(self) -> None:
        """Do what ``run`` does, without signals and dead letters that are tried again."""
        around = None
        while around is None and not self._stopping.is_set():
            with suppress(BackboneError):
                around = await self._surroundings(self.routes)
            if around is None:
                await asyncio.sleep(RETRY_SECS)
        if around is None:
            return
        crew = self._crew = Crew(NAME, ORGANISATION, around, self.routes.topic_pattern(), lambda: None)
        background = [
            asyncio.create_task(crew._hold_lease() if self.stage.plan.group else self._follow_decree(crew)),
            asyncio.create_task(crew._look()),
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
        await crew._stop_lanes()
        for task in (*background, stopping):
            task.cancel()
        await asyncio.wait([*background, stopping], timeout=10)
        for task in background:
            if task.done() and not task.cancelled():
                task.result()

    @property
    def lanes(self) -> dict[Place, Lane]:
        """Return the lanes by input partition."""
        return {} if self._crew is None else self._crew.lanes

    async def _follow_decree(self, crew: Crew) -> None:
        """Do what the group's listener does, in its order: give everything back, take what is new."""
        lease: Any = self.decree
        crew._lease = lease
        while True:
            await self.decree.news.wait()
            self.decree.news.clear()
            self.decree.partitions = frozenset()
            await crew._revoked()
            self.decree.partitions = self.decree.owned()
            await crew._assigned(self.decree.partitions)


def outputs_of(event: Event[StatusChanged]) -> list[Output] | None:
    """Return as many outputs as the input's code says, behind its number."""
    number, _, count = (event.data.service_code or "").partition(" ")
    if count == "-1":
        message = "this one is bad on purpose"
        raise PermanentError(message, code="event.bad-on-purpose")
    return [Output(f"{number}/{place}".encode()) for place in range(int(count))] or None


class Transforms(Stage):
    """One transform in its workers."""

    def __init__(self, plan: TransformPlan, *, traced: bool = False) -> None:
        """Prepare; nothing happens before ``run``."""
        super().__init__(plan, TOPICS, LEASED, traced=traced)
        self.inputs = plan.inputs
        self._records = plan.transaction_records
        self._publisher = Publisher(ORGANISATION)

    def run(self) -> Outcome:
        """Run the plan to its end."""
        with few(self._records):
            return super().run()

    def program(self, process: Process) -> SimulatedTransform:
        """Return a transform."""
        return SimulatedTransform(self, process)

    async def begin(self) -> None:
        """Let inputs be written, by producers of others: some of them abort."""
        for number, given in enumerate(self.inputs):
            self.loop.later(given.at, self._write, FOREIGN + number, given)
        await asyncio.sleep(self.inputs[-1].at + 1e-3)

    def _write(self, producer: int, given: Given) -> None:
        messages = []
        for case, number, count in given.records:
            content = {
                "case_ref": case, "organisation": ORGANISATION, "occurred_at": "2031-06-14T08:05:00Z", "state": "open",
                "service_code": f"{number} {count}",
            }  # fmt: skip
            _, (key, value, headers) = self._publisher.message(StatusChanged.model_validate(content))
            messages.append(pack((key, value, headers[:-1])))
        batch = RecordBatch(messages, b"\x1ece_recordedtime\x02x", 1_000)
        batch._set_producer_state(producer, 0, 0)
        log = self.kafka.logs[INPUT, given.partition]
        code, _ = log.append(batch._build())
        assert code == 0
        log.mark(producer, 0, commit=given.commit, time_ms=1_000)
        self.kafka.wake((INPUT, given.partition))

    def done(self) -> bool:
        """Say whether every input has been passed, in committed positions."""
        positions = dict.fromkeys(range(INPUTS), 0)
        for partition in set(LEASED):
            for key, value, _ in committed(self.kafka.logs[POSITIONS, partition]):
                if key.startswith(b"at/"):
                    positions[int(key.rpartition(b"/")[2])] = orjson.loads(value or b"{}")["offset"]
        last = {partition: self._last(partition) for partition in range(INPUTS)}
        return all(positions[partition] > offset for partition, offset in last.items() if offset is not None)

    def _last(self, partition: int) -> int | None:
        """Return the offset of the last input that was committed."""
        batches = self.kafka.logs[INPUT, partition].batches
        gone = {FOREIGN + number for number, given in enumerate(self.inputs) if not given.commit}
        kept = [batch.next - 1 for batch in batches if not batch.control and batch.producer not in gone]
        return kept[-1] if kept else None

    def unfinished(self) -> str:
        """Say how each lane is."""
        return ", ".join(
            f"{slot.process}/{named(place)} behind {one.behind} {one.stalled}"
            for slot in self.slots
            for place, one in slot.program.lanes.items()
        )

    def judge(self) -> list[str]:
        """Return everything that is wrong with what was written."""
        return list(_judge(self.inputs, {place: list(committed(log)) for place, log in self.kafka.logs.items()}))


def _judge(inputs: Sequence[Given], found: Any) -> Iterator[str]:
    records = [(*record, given.partition) for given in inputs if given.commit for record in given.records]
    outputs = Counter(value for partition in range(2) for _, value, _ in found[OUTPUT, partition])
    due = Counter(
        f"{number}/{place}".encode() for _, number, count, _ in records for place in range(max(count, 0))
    )  # fmt: skip
    yield from (f"missing: output {value!r}" for value in due - outputs)
    yield from (f"duplicate: output {value!r}" for value in outputs - due)
    letters = sum(headers.get("dead_kind", b"dead") == b"dead" for _, _, headers in found[DEAD, 0])
    dead = sum(count < 0 for _, _, count, _ in records)
    if letters != dead:
        yield f"dead letters: {letters}, due are {dead}"
    for partition in range(2):
        latest: dict[bytes, int] = {}
        for key, value, _ in found[OUTPUT, partition]:
            number = int(value.partition(b"/")[0])
            if number < latest.get(key, 0):
                yield f"out of order: {key!r} at {number}"
            latest[key] = number
    last: dict[bytes, tuple[int, int]] = {}
    for partition in sorted(set(LEASED)):
        for key, value, _ in found[POSITIONS, partition]:
            if key.startswith(b"at/"):
                content = orjson.loads(value or b"{}")
                now, before = (content["generation"], content["offset"]), last.get(key, (0, 0))
                if now[0] != before[0] + 1 or now[1] < before[1]:
                    yield f"positions: {key.decode()} went from {before} to {now}"
                last[key] = now


@contextmanager
def few(records: int) -> Iterator[None]:
    """Let a lane take so few records a transaction."""
    kept = lane.TRANSACTION_RECORDS
    lane.TRANSACTION_RECORDS = records  # type: ignore[misc]  # as it is bound there
    try:
        yield
    finally:
        lane.TRANSACTION_RECORDS = kept  # type: ignore[misc]
