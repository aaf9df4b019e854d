"""What tests of subscribers share: topics and events of their own, subscribers in this process and in others."""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics
from backbone.packed import Message
from backbone.subscriber import Settings, Subscriber
from schemas.servicerequests.v1 import StatusChanged

CHILD = """
import asyncio, os, sys
from backbone import points
from backbone.subscriber import Subscriber, Settings
from backbone.testing.crash import strike_at
from schemas.servicerequests.v1 import StatusChanged
notes, secs, die_at = sys.argv[1:4]
point, _, times = die_at.partition(":")
strike_at(point, int(times or 1))
subscriber = Subscriber("s", Settings())
out = open(notes, "a")
@subscriber.on(StatusChanged, organisations=[subscriber.settings.organisation])
async def handle(event):
    await asyncio.sleep(float(secs))
    out.write(f"{os.getpid()} {event.partition} {event.subject} {event.data.service_code}\\n")
    out.flush()
    points.reached("test.handled")
subscriber.main()
"""


def changed(case: str, number: int = 0, **more: Any) -> StatusChanged:
    """Return an event of a case; its number lies in the service code."""
    content = {
        "case_ref": case, "organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z", "state": "open",
        "service_code": str(number),
    }  # fmt: skip
    return StatusChanged.model_validate({**content, **more})


def number_of(event: Any) -> int:
    """Return the number of an event that ``changed`` made."""
    return int(event.data.service_code or 0)


async def make_topics(broker: str, organisation: str, *, partitions: int = 4, dead: bool = True) -> str:
    """Create an organisation's topic of service requests, and a dead-letter topic for ``s``; return the first."""
    name = f"{organisation}.servicerequests.v1"
    wanted = [TopicSpec(name, partitions, 1), *([TopicSpec(f"{organisation}.dead.s", 1, 1)] if dead else [])]
    await create_topics(KafkaConnection(broker), wanted)
    return name


async def publish(broker: str, messages: Iterable[tuple[str, Message]]) -> None:
    """Publish messages, each when the broker gets to it."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, linger_ms=5, max_request_size=8_000_000)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, key=key, headers=headers) for topic, (key, value, headers) in messages
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def dead_letters(broker: str, organisation: str) -> list[tuple[str, str, str]]:
    """Return kind, case and code of every record of the dead-letter topic."""
    found = []
    async for record in read_topics(KafkaConnection(broker), [f"{organisation}.dead.s"]):
        headers = dict(record.headers)
        found.append((headers["dead_kind"].decode(), (record.key or b"").decode(), headers["dead_code"].decode()))
    return found


def quick(broker: str, organisation: str, **more: Any) -> Settings:
    """Return settings that try again at once."""
    waits = {"first_wait_secs": 0.01, "longest_wait_secs": 0.02}
    return Settings(bootstrap_servers=broker, organisation=organisation, **{**waits, **more})


@asynccontextmanager
async def running(subscriber: Subscriber) -> AsyncIterator[asyncio.Task[None]]:
    """Run a subscriber until the block ends; an error of it is raised there."""
    task = asyncio.create_task(subscriber.run())
    try:
        await until(lambda: task.done() or subscriber.ready)
        yield task
    finally:
        subscriber.app.exit()
        await asyncio.wait_for(task, 40)


async def until(condition: Callable[[], Any], secs: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.02)


class Children:
    """Subscriber processes that note what they handle in one file."""

    def __init__(
        self, folder: Path, broker: str, organisation: str, *, concurrency: int = 4, secs: float = 0.002
    ) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self._secs = str(secs)
        self._environment = {
            **os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": organisation,
            "BACKBONE_CONCURRENCY": str(concurrency),
        }  # fmt: skip
        self.all: list[asyncio.subprocess.Process] = []

    async def start(self, die_at: str = "", **environment: str) -> asyncio.subprocess.Process:
        """Start one more; it kills itself at a named point, ``name:n`` when it comes there for the n-th time."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(self.notes), self._secs, die_at,
            env={**self._environment, **environment}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.all.append(process)
        return process

    def handled(self) -> list[tuple[int, str, int]]:
        """Return process, case and number of everything that was handled, in the order of each process."""
        rows = [line.split() for line in self.notes.read_text().splitlines()]
        return [(int(pid), case, int(number)) for pid, _, case, number in rows]

    def numbers(self) -> set[int]:
        """Return the numbers of the events that were handled."""
        return {number for _, _, number in self.handled()}

    async def stop(self) -> None:
        """End all of them."""
        for process in self.all:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.communicate()


def check(handled: list[tuple[int, str, int]], wanted: int) -> None:
    """Every event was handled; within a process and a case, none before an earlier one."""
    assert {number for _, _, number in handled} == set(range(wanted))
    order: dict[tuple[int, str], list[int]] = defaultdict(list)
    for pid, case, number in handled:
        order[pid, case].append(number)
    for numbers in order.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts)
