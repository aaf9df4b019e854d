"""Carrying faults out on real processes, brokers, requests and topics. Each returns whether it met its target."""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from backbone.embedded import EmbeddedKafka
from backbone.testing.kafka_proxy import END_TXN, Disturbance, KafkaProxy
from tests.chaos.cell import STOP_SECS, Cell, Slot
from tests.chaos.schedule import ACTIONS, REQUESTS, Fault

FREE_SLOT_SECS: Final = 20.0
MET_SECS: Final = 15.0
DEATH_SECS: Final = 30.0
LIFTED_SECS: Final = 120.0
ELECTED_SECS: Final = 10.0
FULL_DISK_BYTES: Final = 16_384
REFUSED_ABOVE_BYTES: Final = "300"


@dataclass(slots=True)
class Field:
    """Everything that a fault can strike."""

    cells: Sequence[Cell]
    brokers: Sequence[EmbeddedKafka]
    proxies: Sequence[KafkaProxy]
    admin: AdminClient
    broker_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    broker_kills: int = 0
    problems: list[str] = field(default_factory=list)


async def strike(place: Field, fault: Fault) -> bool:
    """Carry a fault out, to its end; say whether anything was hit."""
    match fault.kind.split("."):
        case ["worker", kind]:
            return await _worker(place, fault, kind)
        case ["request", action, request]:
            return await _request(place, fault, action, request)
        case ["siblings", _]:
            return await _sibling_reloads(place, fault)
        case ["network", _]:
            await asyncio.gather(*(proxy.partition(fault.measure) for proxy in place.proxies))
            return True
        case ["topic", _]:
            return await _topic_refuses(place, fault)
        case ["cluster", "move-leaders"]:
            return await asyncio.to_thread(_move_leaders, place)
        case _:
            async with place.broker_lock:
                return await _broker(place, fault)


async def _free_slot(place: Field, fault: Fault) -> Slot | None:
    """Return a running worker that no other fault is at work on: the fault's own one if it can be."""
    cell = place.cells[fault.cell]
    async with asyncio.timeout(FREE_SLOT_SECS):
        while True:
            for turn in range(len(cell.slots)):
                slot = cell.slots[(fault.target + turn) % len(cell.slots)]
                if slot.running and not slot.busy:
                    slot.busy = True
                    return slot
            await asyncio.sleep(0.05)


async def _worker(place: Field, fault: Fault, kind: str) -> bool:
    try:
        slot = await _free_slot(place, fault)
    except TimeoutError:
        return False
    assert slot is not None
    try:
        return await _on_slot(place, fault, kind, slot)
    finally:
        slot.busy = False


async def _on_slot(place: Field, fault: Fault, kind: str, slot: Slot) -> bool:
    assert slot.process is not None
    match kind:
        case "kill":
            slot.signal(signal.SIGKILL)
            await slot.process.wait()
        case "term":
            slot.signal(signal.SIGTERM)
            try:
                code = await asyncio.wait_for(slot.process.wait(), STOP_SECS)
            except TimeoutError:
                place.problems.append(f"{slot.name} did not stop within {STOP_SECS:.0f} s (fault {fault.number})")
                slot.signal(signal.SIGKILL)
            else:
                if code not in {0, -signal.SIGTERM}:  # it may not have come as far as to handle signals
                    place.problems.append(f"{slot.name} stopped with exit code {code} (fault {fault.number})")
        case "freeze" | "zombie" | "long-zombie":
            slot.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.measure)
            slot.signal(signal.SIGCONT)
        case "disk-full":
            slot.limit_files(0)
            await asyncio.sleep(fault.measure)
            slot.limit_files(resource.RLIM_INFINITY)
        case "die-at-point" | "skewed-clock":
            return await _replaced(place.cells[fault.cell], fault, slot)
    return True


async def _replaced(cell: Cell, fault: Fault, slot: Slot) -> bool:
    """Kill a worker and start one in its place that dies at a point, or whose clock is wrong."""
    assert slot.process is not None
    slot.signal(signal.SIGKILL)
    await slot.process.wait()
    if fault.kind == "worker.skewed-clock":
        await cell.start(slot, "--skew", str(fault.measure))
        return True
    points = cell.workload.points
    point = fault.point if fault.point in points else points[fault.target % len(points)]
    process = await cell.start(slot, "--die-at", f"{point}:{times(fault, point)}")
    try:
        return await asyncio.wait_for(process.wait(), DEATH_SECS) == -signal.SIGKILL
    except TimeoutError:
        return False


def times(fault: Fault, point: str) -> int:
    """Return at which time of reaching a point a worker dies: rare points are not passed often."""
    often = point.startswith(("transaction", "commit"))
    return max(1, int(fault.measure) if often else int(fault.measure) // 6)


async def _request(place: Field, fault: Fault, action: str, request: str) -> bool:
    """Let the first request of the kind meet it."""
    return await _met(
        place, lambda: Disturbance(REQUESTS[request], ACTIONS[action], fault.measure, after=fault.target % 4), MET_SECS
    )


async def _met(place: Field, disturbance: Callable[[], Disturbance], within_secs: float) -> bool:
    """Arm every proxy, as any broker may get the request; say whether one came in time."""
    armed = [(proxy, disturbance()) for proxy in place.proxies]
    waiting = []
    for proxy, one in armed:
        proxy.arm(one)
        waiting.append(asyncio.create_task(one.met.wait()))
    done, late = await asyncio.wait(waiting, timeout=within_secs, return_when=asyncio.FIRST_COMPLETED)
    for proxy, one in armed:
        proxy.disarm(one)
    for task in late:
        task.cancel()
    return bool(done)


async def _sibling_reloads(place: Field, fault: Fault) -> bool:
    """Keep a shard's transaction open while its sibling on the state partition commits some and then reads its state.

    The sibling's newest checkpoint lies behind the open transaction: who reads to the last stable offset misses it.
    """
    slow, sudden = place.cells[fault.cell].workload.siblings
    if fault.target % 2:
        slow, sudden = sudden, slow
    return await _met(
        place, lambda: Disturbance(END_TXN, "delay", fault.measure, transactional_id=slow), MET_SECS
    ) and await _met(place, lambda: Disturbance(END_TXN, "unanswered", after=2, transactional_id=sudden), fault.measure)


async def _broker(place: Field, fault: Fault) -> bool:
    broker = place.brokers[fault.target % len(place.brokers)]
    match fault.kind:
        case "broker.kill":
            place.broker_kills += 1
            await broker.kill()
            await asyncio.sleep(fault.measure)
            await broker.start()
        case "broker.freeze":
            broker.pause()
            await asyncio.sleep(fault.measure)
            broker.resume()
        case "broker.restart":
            await broker.stop()
            await broker.start()
        case "broker.disk-full":
            resource.prlimit(broker.process_id, resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, resource.RLIM_INFINITY))
            await asyncio.sleep(fault.measure)
            place.broker_kills += 1
            await broker.kill()
            await broker.start()
        case "cluster.two-down":
            others = [other for other in place.brokers if other is not broker]
            place.broker_kills += len(others)
            await asyncio.gather(*(other.kill() for other in others))
            await asyncio.sleep(fault.measure)
            await asyncio.gather(*(other.start() for other in others))
    return True


async def _topic_refuses(place: Field, fault: Fault) -> bool:
    """Let the event topics of a cell refuse what is larger than a few bytes, for a while."""
    names = place.cells[fault.cell].workload.refusing()
    for operation in (AlterConfigOpType.SET, AlterConfigOpType.DELETE):
        await asyncio.to_thread(_limit_topics, place.admin, names, operation)
        if operation is AlterConfigOpType.SET:
            await asyncio.sleep(fault.measure)
    return True


def _limit_topics(admin: AdminClient, names: Sequence[str], operation: AlterConfigOpType) -> None:
    entry = ConfigEntry("max.message.bytes", REFUSED_ABOVE_BYTES, incremental_operation=operation)
    wanted = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry]) for name in names]
    deadline = time.monotonic() + LIFTED_SECS
    while True:  # it must be lifted again, whatever else is going on
        try:
            for future in admin.incremental_alter_configs(wanted, request_timeout=10).values():
                future.result()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _move_leaders(place: Field) -> bool:
    """Ask for the preferred leaders: they lead again after their brokers were away."""
    with contextlib.suppress(KafkaException, TimeoutError):
        place.admin.elect_leaders(ElectionType.PREFERRED, None).result(ELECTED_SECS)  # takes no time-out of its own
        return True
    return False
