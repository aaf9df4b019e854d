"""A council with many feeds and workers: real processes over real files, and the receipts as they come."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from backbone.config import Deployment, load
from backbone.provisioning import apply
from backbone.testing.rows import Row, rows, write

ROOT: Final = Path(__file__).parents[2]
LOW: Final = {"OMP_NUM_THREADS": "1"}


@dataclass(slots=True)
class Arrivals:
    """When documents were written and when their receipts came, on this process's monotonic clock."""

    written: dict[tuple[str, str], float] = field(default_factory=dict)
    arrived: dict[tuple[str, str], float] = field(default_factory=dict)
    again: list[tuple[str, str]] = field(default_factory=list)

    def gaps(self, feeds: Sequence[str], since: float) -> dict[str, float]:
        """Return the longest time without a receipt of each feed from a moment until now."""
        moments: dict[str, list[float]] = {feed: [since] for feed in feeds}
        for (feed, _), at in sorted(self.arrived.items(), key=lambda entry: entry[1]):
            if at >= since:
                moments[feed].append(at)
        now = time.monotonic()
        return {feed: max(later - earlier for earlier, later in pairwise([*at, now])) for feed, at in moments.items()}

    def latencies(self, feeds: Sequence[str], since: float, until: float) -> list[float]:
        """Return the seconds from written to receipt of the documents that feeds got within a time."""
        return [
            self.arrived[place] - at
            for place, at in self.written.items()
            if place[0] in feeds and since <= at < until and place in self.arrived
        ]

    @property
    def outstanding(self) -> int:
        """Return how many documents have no receipt."""
        return len(self.written.keys() - self.arrived.keys())


class Fleet:
    """A deployment of many feeds of small files.

    ``feeds`` maps names to YAML that is added to each feed; an empty text adds nothing.
    """

    def __init__(self, folder: Path, bootstrap_servers: str, organisation: str, feeds: dict[str, str]) -> None:
        """Write the deployment file."""
        self.folder = folder
        self.feeds = list(feeds)
        self.arrivals = Arrivals()
        self.wanted: list[Row] = []
        self.workers: list[asyncio.subprocess.Process] = []
        self._numbers: dict[str, int] = dict.fromkeys(feeds, 0)
        self._logs: dict[asyncio.subprocess.Process, Path] = {}
        for name in feeds:
            (folder / name).mkdir(parents=True)
        listed = "".join(
            f"\n  - {{name: {name}, {more if 'adapter:' in more else f'adapter: symology, {more}'}"
            f" source: {{type: files, url: {name}, pattern: '*.csv', ready_after_secs: 0, poll_interval_secs: 0.1,"
            " after: move}}"
            for name, more in feeds.items()
        )
        path = folder / "backbone.yaml"
        path.write_text(
            f"organisation: {{id: {organisation}}}\n"
            f'kafka: {{bootstrap_servers: "{bootstrap_servers}", replication_factor: 1, min_insync_replicas: 1}}\n'
            f"feeds:{listed}\n"
        )
        self.deployment: Deployment = load(path)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a worker as an operator does."""
        log = self.folder / f"worker-{len(self._logs)}.log"
        with log.open("wb") as file:
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "backbone", "run", "--config", str(self.deployment.path), *arguments,
                cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=file, env={**os.environ, **LOW},
            )  # fmt: skip
        self.workers.append(worker)
        self._logs[worker] = log
        return worker

    async def stop(self, worker: asyncio.subprocess.Process) -> int:
        """Ask a worker to stop; return its exit code."""
        self.workers.remove(worker)
        worker.send_signal(signal.SIGTERM)
        return await worker.wait()

    async def kill(self, worker: asyncio.subprocess.Process) -> None:
        """End a worker at once."""
        self.workers.remove(worker)
        worker.kill()
        await worker.wait()

    def log(self, worker: asyncio.subprocess.Process) -> str:
        """Return what a worker has said."""
        return self._logs[worker].read_text()

    def write(self, feed: str, lines: int = 5) -> None:
        """Write a small document of a feed: an event for each of some cases that no other feed has, at one minute."""
        number = self._numbers[feed]
        self._numbers[feed] = number + 1
        (minute,) = rows(1, first=number)  # ten thousand documents stay within winter, when UK time is UTC
        first = 1_000_000 * (self.feeds.index(feed) + 1)
        content = [
            Row(minute.text.replace(minute.case, case), case, minute.time)
            for case in map(str, range(first, first + lines))
        ]
        self.wanted += content
        name = f"{20_310_000 + number}.csv"
        self.arrivals.written[feed, name] = time.monotonic()
        write(self.folder / feed / name, content)

    async def trickle(self, every_secs: float, feeds: Sequence[str] = ()) -> None:
        """Write a document of each feed again and again, for ever."""
        while True:
            for feed in feeds or self.feeds:
                self.write(feed)
            await asyncio.sleep(every_secs)

    async def watch(self) -> None:
        """Note receipts as they come, for ever; one that comes again is noted too."""
        client = Consumer({
            "bootstrap.servers": self.deployment.connection.bootstrap_servers, "group.id": "fleet", "log_level": 0,
            "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20,
        })  # fmt: skip
        client.assign([TopicPartition(self.deployment.topics.receipts, 0, 0)])
        try:
            while True:
                for message in await asyncio.to_thread(client.consume, 500, 0.02):
                    if message.error() is None:
                        self._note(json.loads(message.value() or b""))
        finally:
            client.close()

    def _note(self, receipt: dict[str, str]) -> None:
        place = (receipt["feed"], receipt["document"])
        if place in self.arrivals.arrived:
            self.arrivals.again.append(place)
        self.arrivals.arrived[place] = time.monotonic()

    async def caught_up(self, within_secs: float = 60.0) -> None:
        """Wait until every document has its receipt."""
        async with asyncio.timeout(within_secs):
            while self.arrivals.outstanding:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def fleet(folder: Path, bootstrap_servers: str, organisation: str, feeds: dict[str, str]) -> AsyncIterator[Fleet]:
    """Give a fleet whose topics are there and whose receipts are watched; its workers are ended with it."""
    made = Fleet(folder, bootstrap_servers, organisation, feeds)
    await apply(made.deployment)
    watching = asyncio.create_task(made.watch())
    try:
        yield made
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for worker in made.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
