"""One slow case among a thousand: how long the events of the others take, from publishing to handled.

python -m benchmarks.slow_case                            every run, medians and spread
python -m benchmarks.slow_case SERVERS ORGANISATION SECS  one reader (used by the former)

Events of a thousand cases come at a steady rate. Three readers, each in a process and a group of its own, handle the
same events at the same time, so that all meet the same machine. One of them takes seconds over each event of one case,
and that case's events queue; the other cases lie in the same partitions. How far the two others differ is the noise.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from backbone.embedded import EmbeddedKafka
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.packed import Message
from backbone.subscriber import Event, Settings, Subscriber
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged

RUNS = 5
CASES = 1_000
SLOW_CASE = "c0"
SLOW_SECS = 4.0
USUAL_SECS = 0.001
PARTITIONS = 6
CONCURRENCY = 32
EVENTS = 8_000
EVENTS_A_TICK = 10
TICK_SECS = 0.02
WARM_UP = 1_000
"""Events at the beginning whose latency is not counted."""

AIM = 1.2
READERS = {"no slow case": USUAL_SECS, "one slow case": SLOW_SECS, "no slow case, again": USUAL_SECS}
"""How long each reader takes over an event of that one case."""
READY = "ready"


async def read(bootstrap_servers: str, organisation: str, slow_secs: float) -> None:
    """Handle every event of the other cases, then print when each of them was handled."""
    group = f"slow-{os.getpid()}"
    await create_topics(KafkaConnection(bootstrap_servers), [TopicSpec(f"{organisation}.dead.{group}", 1, 1)])
    settings = Settings(
        bootstrap_servers=bootstrap_servers, organisation=organisation, concurrency=CONCURRENCY, stop_within_secs=0.1
    )
    subscriber = Subscriber(group, settings)
    handled: dict[str, float] = {}

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if event.subject == SLOW_CASE:
            await asyncio.sleep(slow_secs)
            return
        await asyncio.sleep(USUAL_SECS)
        handled[event.id] = time.perf_counter()
        if len(handled) == EVENTS - EVENTS // CASES:
            print(json.dumps(handled), flush=True)
            subscriber.app.exit()

    task = asyncio.create_task(subscriber.run())
    while not subscriber.ready:
        await asyncio.sleep(0.01)
    print(READY, flush=True)
    await task


@dataclass(frozen=True)
class Reader:
    """A reader's process."""

    process: asyncio.subprocess.Process
    lines: asyncio.StreamReader

    @classmethod
    async def start(cls, bootstrap_servers: str, organisation: str, slow_secs: float) -> "Reader":
        """Start it and wait until it reads."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.slow_case", bootstrap_servers, organisation, str(slow_secs),
            stdout=subprocess.PIPE, limit=10_000_000,
        )  # fmt: skip
        assert process.stdout is not None
        while (line := (await process.stdout.readline()).decode()).strip() != READY:
            assert line, "a reader ended before it was ready"
        return cls(process, process.stdout)

    async def handled(self) -> dict[str, float]:
        """Return when each event was handled, once all are."""
        line = await self.lines.readline()
        await self.process.communicate()
        found: dict[str, float] = json.loads(line)
        return found


def messages(organisation: str) -> list[tuple[str, Message]]:
    """Return the id and the record of every event, the cases by turns."""
    speaker = Publisher(organisation)
    made = []
    for number in range(EVENTS):
        event = StatusChanged.model_validate({
            "case_ref": f"c{number % CASES}", "organisation": organisation, "occurred_at": "2031-06-14T08:05:00Z",
            "state": "open",
        })  # fmt: skip
        _, message = speaker.message(event)
        made.append((dict(message[2])["ce_id"].decode(), message))
    return made


async def publish(bootstrap_servers: str, topic: str, events: list[tuple[str, Message]]) -> dict[str, float]:
    """Send the events at a steady rate; return when each was sent."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    await producer.start()
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for number, (event_id, (key, value, headers)) in enumerate(events):
        if number % EVENTS_A_TICK == 0:
            due = began + number // EVENTS_A_TICK * TICK_SECS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent[event_id] = time.perf_counter()
        await producer.send(topic, value, key=key, headers=headers, partition=partition_of(key, PARTITIONS))
    await producer.stop()
    return sent


async def run(bootstrap_servers: str) -> list[list[float]]:
    """Let the readers handle the same events; return the latencies of each in milliseconds."""
    organisation = f"E{random.SystemRandom().randrange(10**8):08d}"
    topic = f"{organisation}.{StatusChanged.topic_suffix}"
    await create_topics(KafkaConnection(bootstrap_servers), [TopicSpec(topic, PARTITIONS, 1)])
    readers = [await Reader.start(bootstrap_servers, organisation, secs) for secs in READERS.values()]
    sent = await publish(bootstrap_servers, topic, await asyncio.to_thread(messages, organisation))
    return [latencies(sent, await reader.handled()) for reader in readers]


def latencies(sent: Mapping[str, float], handled: Mapping[str, float]) -> list[float]:
    """Return milliseconds from sent to handled, without those of the warm-up; a process's clock is the machine's."""
    return [(handled[each] - sent[each]) * 1_000 for each in list(sent)[WARM_UP:] if each in handled]


def p99(found: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(found, n=100)[98]


async def main() -> None:
    """Run several times, and print medians and spread."""
    print(f"{CASES:,} cases, {EVENTS_A_TICK / TICK_SECS:.0f} events a second, {CONCURRENCY} at once; milliseconds\n")
    async with EmbeddedKafka() as kafka:
        runs = [await run(kafka.bootstrap_servers) for _ in range(RUNS)]
    for kind, found in zip(READERS, zip(*runs, strict=True), strict=True):
        tails = [p99(each) for each in found]
        middle = statistics.median(statistics.median(each) for each in found)
        between = f"{min(tails):.1f} to {max(tails):.1f}, {RUNS} runs"
        print(f"{kind:24}median {middle:6.1f}   p99 {statistics.median(tails):6.1f}   ({between})")
    print(f"\np99 of the other cases (the aim is {AIM} times at most)")
    compare("with, beside without", [p99(slow) / p99(usual) for usual, slow, _ in runs])
    compare("noise: both without", [p99(again) / p99(usual) for usual, _, again in runs])


def compare(what: str, ratios: list[float]) -> None:
    """Print the median of some ratios and their spread."""
    print(f"{what:24}{statistics.median(ratios):.2f} times   ({min(ratios):.2f} to {max(ratios):.2f}, {RUNS} runs)")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        asyncio.run(read(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    else:
        asyncio.run(main())
