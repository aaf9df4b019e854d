"""What tests of faults look at: conditions, receipts, rejects, and what the kernel says of a process."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
from aiokafka import TopicPartition

from backbone.config import Deployment
from backbone.kafka.readers import consumer, partition_counts, read_topics
from backbone.worker import Worker

ROOT: Final = Path(__file__).parents[2]


async def until(condition: Callable[[], bool], *, secs: float = 30) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.01)


def shown(worker: Worker) -> tuple[str, str]:
    """Return state and code of a worker's first feed, as it tells them to the outside."""
    verdict = worker.reporter.look()[0].verdict
    return verdict.state, verdict.code


async def unsettled(deployment: Deployment, topic: str) -> int:
    """Return how many offsets of a topic readers do not get to see yet."""
    places = [
        TopicPartition(topic, number)
        for number in range((await partition_counts(deployment.connection, [topic]))[topic])
    ]
    async with (
        consumer(deployment.connection) as committed,
        consumer(deployment.connection, committed=False) as uncommitted,
    ):
        ends, stable = await uncommitted.end_offsets(places), await committed.end_offsets(places)
    return sum(ends[place] - stable[place] for place in places)


async def settled(deployment: Deployment) -> None:
    """Wait until every transaction has ended for readers, too.

    A broker of one node that is killed before that, and whose topics are seconds old, may leave one hanging for ever.
    """
    async with asyncio.timeout(30):
        for topic in deployment.worker_settings().written_topics():
            while await unsettled(deployment, topic):
                await asyncio.sleep(0.05)


class Processes:
    """Worker processes over one deployment; what is left of them is killed at the end."""

    def __init__(self, deployment: Deployment) -> None:
        """Start none yet."""
        self._path = deployment.path
        self._logs = deployment.path.parent / "logs"
        self._logs.mkdir(exist_ok=True)
        self.all: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill those that run."""
        for process in self.all:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def start(self, *options: str, limit: str = "") -> asyncio.subprocess.Process:
        """Start one more; its log, JSON lines, is ``log``. ``limit`` are ulimit's options to begin with."""
        command = [sys.executable, "-m", "tests.faults.worker", str(self._path), *options]
        if limit:
            command = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *command]
        with (self._logs / str(len(self.all))).open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
        self.all.append(process)
        return process

    def log(self, number: int = 0) -> list[dict[str, Any]]:
        """Return what the process of that number has logged so far."""
        lines = (self._logs / str(number)).read_text().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith("{")]

    async def logged(self, event: str, number: int = 0, *, secs: float = 40, **fields: Any) -> dict[str, Any]:
        """Wait until a process has logged an event with these fields."""
        async with asyncio.timeout(secs):
            while True:
                for line in self.log(number):
                    if line["event"] == event and fields.items() <= line.items():
                        return line
                await asyncio.sleep(0.02)


async def frozen(process: asyncio.subprocess.Process, *, secs: float = 40) -> None:
    """Wait until a process stands still after SIGSTOP."""
    stat = Path(f"/proc/{process.pid}/stat")
    await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", secs=secs)


async def stalled(deployment: Deployment, code: str, *, secs: float = 60) -> None:
    """Wait until a heartbeat says that a feed is stalled with a code."""
    async with asyncio.timeout(secs):
        async for record in read_topics(deployment.connection, [deployment.topics.status], follow=True):
            if orjson.loads(record.value or b"{}").get("stalled_code") == code:
                return
