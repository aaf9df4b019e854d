"""The simulated Kafka is strict: what Kafka refuses it refuses, what Kafka leaves open it leaves open."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from backbone.errors import TransientError
from backbone.kafka import guards
from backbone.kafka.readers import read_state
from backbone.kafka.record_batch import RecordBatch
from backbone.kafka.socketless import SocketlessConnection
from backbone.packed import pack
from backbone.testing.simulation.groups import (
    ILLEGAL_GENERATION,
    MEMBER_ID_REQUIRED,
    REBALANCE_IN_PROGRESS,
    UNKNOWN_MEMBER_ID,
    Groups,
    Joined,
)
from backbone.testing.simulation.kafka import SimulatedKafka
from backbone.testing.simulation.log import (
    INVALID_PRODUCER_EPOCH,
    INVALID_RECORD,
    INVALID_TXN_STATE,
    MESSAGE_TOO_LARGE,
    NONE,
    OUT_OF_ORDER_SEQUENCE,
    PartitionLog,
)
from backbone.testing.simulation.loop import PROCESS, DeadlockError, Process, VirtualLoop, virtual_time
from backbone.testing.simulation.network import Network
from backbone.testing.simulation.transactions import (
    CONCURRENT_TRANSACTIONS,
    INVALID_PRODUCER_ID_MAPPING,
    INVALID_TRANSACTION_TIMEOUT,
    Coordinator,
    Transaction,
)

PLACE = ("t", 0)


def batch(sequence: int, count: int = 1, *, producer: int = 7, epoch: int = 0, size: int = 10) -> bytes:
    """Return a batch as the product builds it."""
    made = RecordBatch([pack((b"k", b"x" * size, []))] * count, b"", 1_000)
    made._set_producer_state(producer, epoch, sequence)
    return made._build()


def log(*contents: bytes) -> PartitionLog:
    """Return a partition with batches in it, each taken."""
    made = PartitionLog("t/0", max_bytes=1_000)
    for content in contents:
        assert made.append(content)[0] == NONE
    return made


class Decided:
    """A coordinator whose markers wait until they are asked for."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Transaction, bool]] = []
        self.coordinator = Coordinator(lambda *decided: self.waiting.append(decided), lambda place: place[0] == "t")
        self.producer, self.epoch = self.init()[1:]

    def init(self) -> tuple[int, int, int]:
        """Ask for a producer."""
        return self.coordinator.init("id", 30_000)

    def add(self, epoch: int | None = None) -> int:
        """Add the partition to the transaction."""
        return self.coordinator.add_partitions(
            "id", self.producer, self.epoch if epoch is None else epoch, [PLACE], 0.0
        )[PLACE]

    def end(self, *, commit: bool = True) -> int:
        """Ask for the end of the transaction."""
        return self.coordinator.end("id", self.producer, self.epoch, commit=commit)

    def mark(self) -> None:
        """Write every marker that waits."""
        for transaction, _ in self.waiting:
            self.coordinator.marked(transaction, PLACE)
        self.waiting.clear()


def test_a_log_refuses_stale_epochs_gaps_and_what_is_too_large() -> None:
    """Only the next sequence of the newest epoch is taken, and a batch that was taken is taken once."""
    assert log().append(batch(1))[0] == OUT_OF_ORDER_SEQUENCE
    partition = log(batch(0, 2), batch(2))
    assert partition.append(batch(2)) == (NONE, 2), "a repeated batch is answered as the first time"
    assert partition.high_watermark == 3
    assert partition.append(batch(5))[0] == OUT_OF_ORDER_SEQUENCE
    assert partition.append(batch(3, size=2_000))[0] == MESSAGE_TOO_LARGE
    assert partition.append(batch(1, epoch=1))[0] == OUT_OF_ORDER_SEQUENCE
    assert partition.append(batch(0, epoch=1)) == (NONE, 3)
    assert partition.append(batch(3))[0] == INVALID_PRODUCER_EPOCH
    assert partition.append(batch(1, epoch=1)[:-1])[0] == INVALID_RECORD


def test_a_log_holds_committed_readers_back_and_names_what_was_aborted() -> None:
    """The last stable offset is where the first open transaction begins; an aborted one is in the index."""
    partition = log(batch(0), batch(0, producer=8), batch(1))
    assert (partition.high_watermark, partition.last_stable) == (3, 0)
    assert partition.mark(7, 1, commit=False, time_ms=0) == NONE
    assert partition.last_stable == 1
    content, aborted = partition.read(0, committed=True)
    assert (content[:8], aborted) == (bytes(8), [(7, 0)])
    assert partition.mark(8, 0, commit=True, time_ms=0) == NONE
    assert partition.last_stable == partition.high_watermark == 5
    assert partition.mark(7, 0, commit=True, time_ms=0) == INVALID_PRODUCER_EPOCH
    assert partition.append(batch(2))[0] == INVALID_PRODUCER_EPOCH, "the abort of its fencing has the newer epoch"


def test_a_coordinator_fences_and_answers_only_when_markers_are_written() -> None:
    """An open transaction is aborted first; until its markers are written, nobody gets an answer but to come again."""
    decided = Decided()
    assert decided.add() == NONE
    assert decided.init()[0] == CONCURRENT_TRANSACTIONS
    assert decided.init()[0] == CONCURRENT_TRANSACTIONS
    assert decided.end() == INVALID_PRODUCER_EPOCH, "the epoch was raised before the abort"
    assert decided.add() == INVALID_PRODUCER_EPOCH
    ((_, commit),) = decided.waiting
    assert not commit
    decided.mark()
    assert decided.init() == (NONE, decided.producer, 2)
    assert decided.coordinator.init("id", 10_000_000)[0] == INVALID_TRANSACTION_TIMEOUT
    assert decided.coordinator.end("id", 5, 2, commit=True) == INVALID_PRODUCER_ID_MAPPING


def test_a_commit_that_comes_late_hits_the_next_transaction_of_its_epoch() -> None:
    """The protocol that aiokafka speaks allows it: that is what its guard is for."""
    decided = Decided()
    assert decided.end() == INVALID_TXN_STATE, "there is nothing to end"
    decided.add()
    assert decided.end() == NONE
    assert decided.end() == CONCURRENT_TRANSACTIONS
    assert decided.end(commit=False) == INVALID_TXN_STATE
    assert decided.add() == CONCURRENT_TRANSACTIONS
    decided.mark()
    assert decided.end() == NONE, "a repeated commit is answered as the first time"
    decided.add()
    assert decided.end() == NONE, "and here it has ended another transaction"
    assert decided.coordinator.verify("id", decided.producer, decided.epoch, PLACE) == CONCURRENT_TRANSACTIONS
    decided.mark()
    assert decided.coordinator.verify("id", decided.producer, decided.epoch, PLACE) == INVALID_TXN_STATE


def test_an_open_transaction_times_out_and_its_producer_is_fenced() -> None:
    """What is open for longer than its time-out is aborted, with a newer epoch."""
    decided = Decided()
    decided.add()
    decided.coordinator.expire(29.0)
    assert not decided.waiting
    decided.coordinator.expire(31.0)
    assert len(decided.waiting) == 1
    assert decided.end() == INVALID_PRODUCER_EPOCH


def test_a_group_takes_commits_of_its_generation_only() -> None:
    """A member that fell silent is out: its commits are refused, and the others are told to join again."""
    loop = VirtualLoop()
    groups = Groups(loop)
    answers: list[Joined] = []

    def join(member: str) -> Joined:
        groups.join("g", member, (6.0, 10.0), ("p", b"m"), answers.append)
        return answers[-1]

    assert join("").code == MEMBER_ID_REQUIRED
    first = join(answers[-1].member)
    assert (first.code, first.generation, first.leader) == (NONE, 1, first.member)
    assert groups.commit("g", 1, first.member, {}) == REBALANCE_IN_PROGRESS
    groups.sync("g", 1, first.member, [(first.member, b"all")], lambda *_: None)
    assert groups.commit("g", 1, first.member, {PLACE: 0}) == NONE
    join("")
    second = answers[-1].member
    groups.join("g", second, (6.0, 10.0), ("p", b"m"), answers.append)
    assert groups.heartbeat("g", 1, first.member) == REBALANCE_IN_PROGRESS
    loop.run_until_complete(asyncio.sleep(11.0))  # the first one neither joins nor beats
    assert groups.groups["g"].generation == 2
    assert groups.commit("g", 1, first.member, {}) == UNKNOWN_MEMBER_ID
    assert groups.commit("g", 1, second, {}) == ILLEGAL_GENERATION
    loop.close()


def simulated(play: Callable[[SimulatedKafka, Network, SocketlessConnection], Awaitable[Any]]) -> Any:
    """Run something on one broker, with time that jumps."""
    loop = VirtualLoop()
    choose = random.Random(1)  # noqa: S311 - not a secret
    kafka = SimulatedKafka(loop, choose, {"t": 1}, nodes=1)
    network = Network(loop, choose, kafka)
    with virtual_time(loop):
        try:
            return loop.run_until_complete(
                play(kafka, network, SocketlessConnection("simulated:9092", wire=network.wire))
            )
        finally:
            loop.close()


def test_a_read_during_which_the_broker_goes_away_ends_with_an_error_of_ours() -> None:
    """A consumer that is stopped while its fetcher waits to try again looked cancelled to its reader."""

    async def play(kafka: SimulatedKafka, network: Network, connection: SocketlessConnection) -> str:
        producer = connection.attached(AIOKafkaProducer(bootstrap_servers="x:1", transactional_id="open", acks="all"))
        await producer.start()
        await producer.begin_transaction()
        await (await producer.send("t", b"x", partition=0))
        network.loop.later(0.5, network.break_node, 0, 60.0)
        try:
            await read_state(connection, "t", 0, lambda _key, _value: None, deadline_secs=5.0)
        except TransientError as error:
            return error.code
        finally:
            producer._closed = True
            producer._sender.sender_task.cancel()
        return "nothing"

    assert simulated(play) in {"state.offset-stuck", "broker.unreachable"}


def test_a_consumer_that_is_stopped_at_once_looks_cancelled_to_nobody() -> None:
    """The client lets the cancellation of a task of its own out; the guard keeps it in, and closes what is open."""

    async def play(kafka: SimulatedKafka, network: Network, connection: SocketlessConnection) -> None:
        for stop in (AIOKafkaConsumer.stop, lambda consumer: guards.discard_consumer(consumer, 1.0)):
            consumer = connection.attached(AIOKafkaConsumer(bootstrap_servers="x:1"))
            await consumer.start()
            guarded = stop is not AIOKafkaConsumer.stop
            with nullcontext() if guarded else pytest.raises(asyncio.CancelledError):
                await stop(consumer)
            assert consumer._client._wire.closed == guarded

    simulated(play)


def test_the_private_names_that_simulations_use_are_there() -> None:
    """A new aiokafka that renames them must fail here and not in a strange way elsewhere."""

    async def play(kafka: SimulatedKafka, network: Network, connection: SocketlessConnection) -> None:
        producer = AIOKafkaProducer(bootstrap_servers="x:1", transactional_id="names", acks="all")
        consumer = AIOKafkaConsumer(bootstrap_servers="x:1")
        for owner, names in (
            (producer, ("client", "_metadata", "_sender", "_message_accumulator")),
            (producer._sender, ("client",)),
            (producer._message_accumulator, ("_cluster",)),
            (consumer, ("_client", "_fetcher")),
        ):
            for name in names:
                assert hasattr(owner, name), f"{owner} has no {name}"
        connection.attached(consumer)
        await consumer.start()
        assert consumer._fetcher._pending_tasks == set()
        await guards.discard_consumer(consumer, 1.0)
        producer._closed = True

    simulated(play)


def test_a_frozen_process_does_nothing_and_a_dead_one_sends_nothing() -> None:
    """What is due while a process stands still comes behind it; a killed process ends, and its clean-up is mute."""
    loop = VirtualLoop()
    choose = random.Random(1)  # noqa: S311 - not a secret
    network = Network(loop, choose, SimulatedKafka(loop, choose, {"t": 1}))
    process = Process(loop, "p")
    seen: list[tuple[str, float]] = []

    async def work() -> None:
        try:
            for _ in range(3):
                await asyncio.sleep(1.0)
                seen.append(("worked", loop.now))
            await asyncio.sleep(100.0)
        finally:
            assert PROCESS.get() is process
            await network.wire().ready(0)
            seen.append(("cleaned up", loop.now))

    async def run() -> None:
        process.run(work())
        await asyncio.sleep(1.5)
        process.freeze()
        await asyncio.sleep(5.0)
        process.thaw()
        await asyncio.sleep(2.0)
        process.kill()
        await asyncio.sleep(1.0)
        assert process.gone

    loop.run_until_complete(run())
    loop.close()
    assert seen == [("worked", 1.0), ("worked", 6.5), ("worked", 7.5)]


def test_a_deadlock_is_reported() -> None:
    """A loop in which nothing can ever happen says so instead of standing still."""
    loop = VirtualLoop()
    with pytest.raises(DeadlockError):
        loop.run_until_complete(loop.create_future())
    loop.close()
