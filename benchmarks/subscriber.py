"""Reading: our subscriber beside a warm Java consumer, FastStream and plain aiokafka; records a CPU-second.

All of them read the same topic in turn. The Java consumer (kafka-clients, Jackson into a record) reads it four times in
one JVM, each time as another group: the later the pass, the more of it is compiled.

python -m benchmarks.subscriber            everything, in turn, medians and spread
python -m benchmarks.subscriber NAME ...   one reader in this process (used by the former)
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faststream import FastStream
from faststream.kafka import KafkaBroker

from backbone import memory
from backbone.embedded import EmbeddedKafka
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.subscriber import Event, Settings, Subscriber
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.other_languages.java import compile_java, java_command

RECORDS = 300_000
RUNS = 3
PARTITIONS = 6
ORGANISATION = "E09000099"
TOPIC = f"{ORGANISATION}.servicerequests.v1"
PASSES = ("Java, cold", "Java, after one pass", "Java, after two", "Java, after three")
WARM = (PASSES[1], PASSES[-1])
OURS = ("ours", "ours, 32 cases at once", "ours, batches")
AIM = 0.65
"""What ours does at least, as a share of what the warm Java consumer does."""


async def fill(bootstrap_servers: str) -> None:
    """Write the records: full envelopes, about 700 bytes each, three events a case."""
    await create_topics(
        KafkaConnection(bootstrap_servers),
        [TopicSpec(TOPIC, PARTITIONS, 1), TopicSpec(f"{ORGANISATION}.dead.ours", 1, 1)],
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=20, max_batch_size=400_000)
    await producer.start()
    speaker = Publisher(ORGANISATION)
    event = StatusChanged.model_validate({
        "case_ref": "1", "organisation": ORGANISATION, "occurred_at": "2031-06-14T08:05:00Z", "state": "open",
    })  # fmt: skip
    for number in range(RECORDS):
        case = event.model_copy(update={"case_ref": f"7{number // 3:06d}"})
        topic, (key, value, headers) = speaker.message(case)
        await producer.send(topic, value, key=key, headers=headers, partition=partition_of(key, PARTITIONS))
    await producer.stop()


async def ours(bootstrap_servers: str, concurrency: int = 1, batch: int = 0) -> int:
    """Read with the subscriber; return how many events its handler saw."""
    settings = Settings(
        bootstrap_servers=bootstrap_servers,
        organisation=ORGANISATION,
        concurrency=concurrency,
        facts_without_hook="ignore",
    )
    subscriber = Subscriber(f"ours-{uuid.uuid4().hex[:8]}", settings)
    seen = 0

    async def one(event: Event[StatusChanged]) -> None:
        nonlocal seen
        seen += event.data.state == "open"
        if seen == RECORDS:
            subscriber.app.exit()

    async def many(events: list[Event[StatusChanged]]) -> None:
        nonlocal seen
        seen += sum(event.data.state == "open" for event in events)
        if seen == RECORDS:
            subscriber.app.exit()

    subscriber.on(StatusChanged, batch=batch)(many if batch else one)
    await subscriber.run()
    return seen


async def plain(bootstrap_servers: str) -> int:
    """Read with ``getmany`` and validate every value."""
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap_servers, group_id=uuid.uuid4().hex, isolation_level="read_committed",
        auto_offset_reset="earliest", enable_auto_commit=False, max_partition_fetch_bytes=2_097_152,
    )  # fmt: skip
    await consumer.start()
    seen = 0
    while seen < RECORDS:
        for records in (await consumer.getmany(timeout_ms=200, max_records=2_000)).values():
            for record in records:
                seen += StatusChanged.model_validate_json(record.value).state == "open"
        await consumer.commit()
    await consumer.stop()
    return seen


async def faststream(bootstrap_servers: str, *, batch: bool) -> int:
    """Read with FastStream, per message or in batches, the model as its annotation."""
    broker = KafkaBroker(bootstrap_servers, logger=None)
    app = FastStream(broker, logger=None)
    seen = 0

    async def one(body: StatusChanged) -> None:
        nonlocal seen
        seen += body.state == "open"
        if seen == RECORDS:
            app.exit()

    async def many(body: list[StatusChanged]) -> None:
        nonlocal seen
        seen += sum(event.state == "open" for event in body)
        if seen == RECORDS:
            app.exit()

    group = uuid.uuid4().hex
    if batch:
        broker.subscriber(TOPIC, group_id=group, auto_offset_reset="earliest", batch=True, max_records=2_000)(many)
    else:
        broker.subscriber(TOPIC, group_id=group, auto_offset_reset="earliest")(one)
    await app.run()
    return seen


READERS: dict[str, Callable[[str], Coroutine[Any, Any, int]]] = {
    "ours": ours,
    "ours, 32 cases at once": lambda servers: ours(servers, concurrency=32),
    "ours, batches": lambda servers: ours(servers, batch=500),
    "FastStream": lambda servers: faststream(servers, batch=False),
    "FastStream, batches": lambda servers: faststream(servers, batch=True),
    "aiokafka getmany and pydantic": plain,
}


async def measured(name: str, bootstrap_servers: str) -> float:
    """Run one reader in a process of its own; return records a CPU-second."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.subscriber", name, bootstrap_servers,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    printed, _ = await process.communicate()
    return float(json.loads(printed.decode().splitlines()[-1]))


async def java(classes: Path, bootstrap_servers: str) -> list[float]:
    """Read with Java in one JVM; return records a CPU-second of each pass."""
    command = java_command("WarmConsumer", classes, options=("-Xmx512m",))
    process = await asyncio.create_subprocess_exec(
        *command, bootstrap_servers, TOPIC, str(RECORDS), str(len(PASSES)), stdout=subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return [float(line) for line in printed.split()]


async def main() -> None:
    """Measure every reader in turn and print ratios."""
    async with EmbeddedKafka() as kafka:
        await fill(kafka.bootstrap_servers)
        print(f"{RECORDS:,} events, validated and handled; records a client CPU-second\n")
        figures: dict[str, list[float]] = {name: [] for name in READERS}
        passes: list[list[float]] = []
        with tempfile.TemporaryDirectory(prefix="backbone-bench-") as folder:
            await asyncio.to_thread(compile_java, Path(__file__).with_name("WarmConsumer.java"), Path(folder))
            for _ in range(RUNS):
                for name, found in figures.items():
                    found.append(await measured(name, kafka.bootstrap_servers))
                passes.append(await java(Path(folder), kafka.bootstrap_servers))
    show(figures, {name: list(found) for name, found in zip(PASSES, zip(*passes, strict=True), strict=True)})


def show(figures: dict[str, list[float]], passes: dict[str, list[float]]) -> None:
    """Print medians, spread, and how ours compares to each other reader and to the warm Java consumer."""
    middles = {name: statistics.median(found) for name, found in {**figures, **passes}.items()}
    for name, found in {**figures, **passes}.items():
        between = f"{min(found):,.0f} to {max(found):,.0f}"
        ratio = f"ours is {middles['ours'] / middles[name]:.2f} times"
        print(f"{name:32}{middles[name]:>10,.0f}   ({between}, {RUNS} runs)   {ratio}")
    for kind in WARM:
        print(f"\nbeside {kind} (the aim is {AIM} at least)")
        for name in OURS:
            ratios = [mine / theirs for mine, theirs in zip(figures[name], passes[kind], strict=True)]
            between = f"{min(ratios):.2f} to {max(ratios):.2f}, {RUNS} runs"
            print(f"{name:32}{statistics.median(ratios):>10.2f}   ({between})")


def alone(name: str, bootstrap_servers: str) -> None:
    """Read everything with one reader and print what it did a CPU-second."""
    memory.tune()
    began = time.process_time()
    seen = asyncio.run(READERS[name](bootstrap_servers))
    assert seen == RECORDS, seen
    print(json.dumps(RECORDS / (time.process_time() - began)))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        alone(sys.argv[1], sys.argv[2])
    else:
        asyncio.run(main())
