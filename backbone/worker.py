"""A worker: a member of its organisation's lease group, running the shards whose partitions it was given.

Workers keep nothing of their own, so any number may run, anywhere. See ``docs/adr/0002-exactly-once.md``.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from backbone import memory, points
from backbone.control import Command
from backbone.errors import BackboneError
from backbone.feed import STATE_PARTITIONS, Feed, ServiceTopics
from backbone.kafka.broker import KafkaBroker, PlainProducer
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.lease import Lease
from backbone.kafka.partitioning import partition_of
from backbone.shard import Barrier, Shard
from backbone.status import HEARTBEAT_SECS

STOP_DEADLINE_SECS: Final = 5.0
BACKOFF_SECS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
STALLED_LOOP_SECS: Final = 5.0
EXIT_FATAL: Final = 5
ALIVE_FILE: Final = "BACKBONE_ALIVE_FILE"
"""Names a file that is touched every second while the event loop turns: for health checks of containers."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to run. ``once`` ends it when every feed has caught up."""

    organisation: str
    connection: KafkaConnection
    feeds: tuple[Feed, ...]
    deployment: str = "default"
    once: bool = False
    state_partitions: int = STATE_PARTITIONS

    @property
    def topics(self) -> ServiceTopics:
        """Return the organisation's own topics."""
        return ServiceTopics(self.organisation)

    @property
    def lease_group(self) -> str:
        """Return the name of the group: two deployments of one organisation do not share shards."""
        middle = "" if self.deployment == "default" else f".{self.deployment}"
        return f"{self.organisation}.backbone.lease{middle}"

    def written_topics(self) -> tuple[str, ...]:
        """Return every topic that shards write to."""
        topics = self.topics
        names = [topics.state, topics.receipts, topics.rejects]
        return tuple(dict.fromkeys([*names, *(name for feed in self.feeds for name in feed.setup.event_topics)]))


def placed(feed: Feed, shard: str, partitions: int) -> int:
    """Return a shard's partition of the state topic: by murmur2 of its name unless the feed sets it."""
    if feed.state_partition is not None:
        return feed.state_partition % partitions
    return partition_of(f"{feed.name}/{shard}".encode(), partitions)


class Worker:
    """Run feeds until stopped."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepare; nothing happens before ``run``."""
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._settings = settings
        self._broker = KafkaBroker(settings.connection, settings.topics, settings.written_topics())
        self.shards: list[Shard] = []
        for feed in settings.feeds:
            for shard in feed.source.shards():
                partition = placed(feed, shard, settings.state_partitions)
                self.shards.append(self._shard(feed, shard, partition))
        self._lease: Lease | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    def _shard(self, feed: Feed, shard: str, partition: int) -> Shard:
        async def confirm() -> bool:
            return self._lease is not None and await self._lease.confirm(partition)

        return Shard(feed, shard, self._broker, state_partition=partition, confirm=confirm, worker=self.name)

    async def run(self) -> int:
        """Work until asked to stop; return the exit code: 0, or 5 when every feed has failed for good."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        watchdog = Watchdog(lambda: ", ".join(sorted(self._tasks)))
        watchdog.start()
        background: list[Coroutine[Any, Any, None]] = [
            self._heartbeats(watchdog),
            self._follow_control(),
            self._stop_when_done(),
        ]
        tasks = [asyncio.create_task(coroutine) for coroutine in background]
        lease = asyncio.create_task(self._hold_lease())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({lease, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._stop_shards()
        finally:
            for task in (*tasks, lease, stopping):
                task.cancel()
            await asyncio.wait([*tasks, lease, stopping], timeout=STOP_DEADLINE_SECS * 2)
            watchdog.stop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        if lease.done() and not lease.cancelled() and lease.exception() is not None:
            raise lease.exception()  # type: ignore[misc]  # it is not None
        failed = [shard for shard in self.shards if shard.status.ended]
        log.info("worker.stopped", worker=self.name, failed=len(failed))
        return EXIT_FATAL if failed and len(failed) == len(self.shards) else 0

    def stop(self) -> None:
        """Ask the worker to end after the transactions in hand."""
        self._stopping.set()

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            os._exit(130)  # the second signal means now
        log.info("worker.stopping", worker=self.name)
        self.stop()

    async def _hold_lease(self) -> None:
        """Be a member of the group for ever; a membership that broke is begun anew."""
        weights = weights_of(self.shards)
        failures = 0
        while True:
            self._lease = Lease(
                self._settings.connection, self._settings.lease_group, self._settings.topics.state, weights,
                assigned=self._assigned, revoked=self._stop_shards,
            )  # fmt: skip
            began = time.monotonic()
            try:
                await self._lease.run()
            except BackboneError as error:
                failures = 0 if time.monotonic() - began > STALLED_LOOP_SECS else failures + 1
                log.warning("lease.lost", code=error.code, message=error.message)
                self._all_stalled(error)
                await self._stop_shards()
                await asyncio.sleep(BACKOFF_SECS[min(failures, len(BACKOFF_SECS) - 1)])

    def _all_stalled(self, error: BackboneError) -> None:
        for shard in self.shards:
            if not shard.status.ended:
                shard.status.stalled(error.code, error.message, error.guidance, int(time.time() * 1_000))

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Start the shards of our partitions; called while heartbeats rest, so nothing is awaited."""
        log.info("lease.assigned", worker=self.name, partitions=sorted(partitions))
        barriers: dict[int, Barrier] = {}
        for shard in self.shards:
            shard.status.leased = shard.state_partition in partitions
            if not shard.status.leased or shard.status.ended:
                continue
            siblings = sum(1 for other in self.shards if other.state_partition == shard.state_partition)
            barrier = barriers.setdefault(shard.state_partition, Barrier(siblings))
            self._tasks[shard.key] = asyncio.create_task(shard.run(barrier), name=f"shard {shard.key}")

    async def _stop_shards(self) -> None:
        """Let the transactions in hand end, for at most five seconds; then cut them off."""
        tasks, self._tasks = self._tasks, {}
        if not tasks:
            return
        points.reached("lease.revoking")
        for shard in self.shards:
            if shard.key in tasks:
                shard.stop()
                shard.status.leased = False
        _, late = await asyncio.wait(tasks.values(), timeout=STOP_DEADLINE_SECS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=STOP_DEADLINE_SECS)
        for shard in self.shards:
            shard.resume()

    async def _follow_control(self) -> None:
        """Hand every command to its shards, those from before we started first."""
        while True:
            with suppress(BackboneError):
                async for record in self._broker.follow(self._settings.topics.control):
                    if record.value is not None:
                        self._dispatch(record.offset, Command.model_validate_json(record.value))
            await asyncio.sleep(BACKOFF_SECS[-1])

    def _dispatch(self, offset: int, command: Command) -> None:
        for shard in self.shards:
            if command.concerns(shard.feed.name, shard.name):
                shard.command(offset, command)

    async def _heartbeats(self, watchdog: "Watchdog") -> None:
        """Send every shard's status every two seconds; the broker being away shows in the log, not here."""
        while True:
            try:
                async with PlainProducer(self._settings.connection) as producer:
                    while True:
                        for shard in self.shards:
                            if shard.key in self._tasks or shard.status.ended:
                                shard.status.beat_ms = int(time.time() * 1_000)
                                content = orjson.dumps({"v": 1, **shard.status.as_json()})
                                await producer.send(self._settings.topics.status, (shard.key.encode(), content, []))
                        watchdog.beat()
                        await asyncio.sleep(HEARTBEAT_SECS)
            except BackboneError as error:
                log.debug("status.unsent", code=error.code)
                watchdog.beat()
                await asyncio.sleep(HEARTBEAT_SECS)

    async def _stop_when_done(self) -> None:
        """End the worker when every shard has failed for good, or, with ``once``, has handed over what was ready."""
        while True:
            await asyncio.sleep(0.05)
            failed = all(shard.status.ended for shard in self.shards)
            done = all(shard.caught_up.is_set() or shard.status.ended or shard.feed.paused for shard in self.shards)
            if failed or (self._settings.once and done):
                self.stop()
                return


class Watchdog:
    """End the process when its event loop stands still: a hung adapter must not look like a healthy worker."""

    def __init__(self, busy_with: Callable[[], str]) -> None:
        """Take a function that names what is running, for the last words."""
        self._busy_with = busy_with
        self._beat = time.monotonic()
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Watch the running loop from a thread of our own."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beat = time.monotonic()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        assert self._loop is not None
        alive = os.environ.get(ALIVE_FILE)
        while not self._ended.wait(1.0):
            self._loop.call_soon_threadsafe(self.beat)
            if alive and time.monotonic() - self._beat < STALLED_LOOP_SECS:
                Path(alive).touch()
            if time.monotonic() - self._beat > STALLED_LOOP_SECS + 1.0:
                log.critical("worker.hung", code="worker.hung", feeds=self._busy_with())
                os._exit(EXIT_FATAL)


async def run_worker(settings: WorkerSettings) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, or until it has caught up with ``once``."""
    memory.tune()
    return await Worker(settings).run()


def weights_of(shards: Sequence[Shard]) -> Mapping[int, int]:
    """Return how many shards each partition of the state topic carries."""
    weights: dict[int, int] = {}
    for shard in shards:
        weights[shard.state_partition] = weights.get(shard.state_partition, 0) + 1
    return weights
