"""A worker: a member of its organisation's lease group, running the shards whose partitions it was given.

Workers keep nothing of their own, so any number may run, anywhere. See ``docs/adr/0002-exactly-once.md``.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from backbone import memory, points
from backbone.control import Command
from backbone.errors import DENIED, EXIT_DENIED, EXIT_FATAL, BackboneError, UnreachableError
from backbone.feed import Feed
from backbone.following import follow
from backbone.kafka.broker import KafkaBroker
from backbone.kafka.lease import Lease
from backbone.kafka.producer import UNREACHABLE
from backbone.kafka.readers import TopicRecord
from backbone.kafka.stable_offsets import watch_stable_offsets
from backbone.processes import Processes, parent_is_gone, tell
from backbone.reporting import Reporter
from backbone.shard import Barrier, Shard
from backbone.stopping import WITHIN_SECS, Stopping
from backbone.waiting import Reason, Wait
from backbone.watchdog import Watchdog
from backbone.worker_settings import WorkerSettings, placed

REVOKE_DEADLINE_SECS: Final = 5.0
"""For the transactions in hand when partitions go back: less than the group's rebalance time-out."""
STOP_DEADLINE_SECS: Final = 4.0
CUT_DEADLINE_SECS: Final = 2.0
LEAVE_DEADLINE_SECS: Final = 4.0
BACKOFF_SECS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
WATCHER_WITHIN_SECS: Final = 9.5
"""For a worker that waits for processes of its own, each of which has its bound."""
LASTING_SECS: Final = 5.0
"""A membership that lasted so long had been well."""
JOIN_PATIENCE_SECS: Final = 4.0
"""A group that is made anew waits three seconds for more members, on brokers with default settings."""
FITTING: Final = Reason("broker.unreachable", "the broker to describe the topics", UNREACHABLE)
JOINING: Final = Reason(
    "worker.not-joined", "its group to share the shards out", "look for a worker that does not answer its group"
)

__all__ = ["Worker", "WorkerSettings", "run_worker"]

log = structlog.get_logger(__name__)


class Worker:
    """Run feeds until stopped."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepare; nothing happens before ``run``."""
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._settings = settings
        self._broker = KafkaBroker(settings.connection, settings.topics, settings.written_topics())
        self.shards = self._shards_of(settings.own_feeds)
        self._processes = settings.processes
        self.reporter = Reporter(
            settings.connection, self._broker, settings.topics.status,
            [*self.shards, *self._shards_of(settings.other_feeds)],
            lambda shard: shard.key in self._tasks, self._kept,
        )  # fmt: skip
        self.lease_changes = 0
        self.http_port = 0
        self._lease: Lease | None = None
        self._leased: frozenset[int] = frozenset()
        self._joining: Wait | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    def _shards_of(self, feeds: Sequence[Feed]) -> list[Shard]:
        return [
            self._shard(feed, shard, placed(feed, shard, self._settings.state_partitions))
            for feed in feeds
            for shard in feed.source.shards()
        ]

    def _kept(self, shard: Shard) -> tuple[Reason, float] | None:
        return None if self._processes is None else self._processes.trouble(shard.feed.process)

    def _shard(self, feed: Feed, shard: str, partition: int) -> Shard:
        async def confirm() -> bool:
            return self._lease is not None and await self._lease.confirm(partition)

        made = Shard(
            feed, shard, self._broker, state_partition=partition, confirm=confirm, worker=self.name,
            deployment=self._settings.deployment,
        )  # fmt: skip
        before = None if self._settings.supervised is None else self._settings.supervised.reason
        if before is not None:  # what ended the process before this one stays its trouble until something goes well
            made.status.stalled(before.code, before.waits_for, before.to_do, int(time.time() * 1_000))
        return made

    async def run(self) -> int:
        """Work until asked to stop; return the exit code: 0, or 4 or 5 when every feed has failed for good."""
        watchdog = Watchdog(lambda: ", ".join(sorted(self._tasks)))
        watchdog.start()
        end_points = None
        try:
            with Stopping(self._asked_to_stop, WITHIN_SECS if self._processes is None else WATCHER_WITHIN_SECS):
                if self._settings.http is not None:
                    end_points = await self._serve(self._settings.http)
                await self._run()
        finally:
            if end_points is not None:
                await end_points.stop()
            watchdog.stop()
        failed = [shard for shard in self.shards if shard.status.ended]
        log.info("worker.stopped", worker=self.name, failed=len(failed))
        ended = set() if self._processes is None else {child.ended or 0 for child in self._processes.children.values()}
        if len(failed) < len(self.shards) or 0 in ended or not (failed or ended):
            return 0
        denied = all(shard.status.stalled_code in DENIED for shard in failed) and ended <= {EXIT_DENIED}
        return EXIT_DENIED if denied else EXIT_FATAL

    async def _serve(self, address: str) -> Any:
        from backbone.end_points import EndPoints  # noqa: PLC0415 - a web server only for who wants one
        from backbone.operate import application  # noqa: PLC0415

        others = (lambda: ()) if self._processes is None else self._processes.metrics
        serving = application(
            self._settings.organisation, self.reporter, self.shards, lambda: self.lease_changes, others
        )
        end_points = EndPoints(address, serving)
        await end_points.start()
        self.http_port = end_points.port
        log.info("worker.serving", address=end_points.address)
        return end_points

    async def _run(self) -> None:
        topics = self._settings.topics
        background = [
            asyncio.create_task(work)
            for work in (
                self._live(), self.reporter.watch(), self.reporter.send(), self.reporter.hear(),
                follow(self._broker, topics.control, self._obey, self.reporter.waits, lambda: "earliest"),
                watch_stable_offsets(
                    self._settings.connection, self.reporter.written_topics, self.reporter.readers_wait
                ),
                self._stop_when_done(), self._stopping.wait(), memory.give_back(), *self._with_others(),
            )
        ]  # fmt: skip
        try:
            await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            stopping = [self._stop_shards(STOP_DEADLINE_SECS)]
            if self._processes is not None:
                stopping.append(self._processes.stop())
            await asyncio.gather(*stopping)
            if any(shard.status.ended for shard in self.shards):
                await self.reporter.farewell()
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background, timeout=LEAVE_DEADLINE_SECS)
        for task in background:
            if task.done() and not task.cancelled():
                task.result()  # what ended it is what ends us: nothing of a worker may be missing in silence

    def _with_others(self) -> Iterator[Coroutine[Any, Any, object]]:
        """Yield the work that processes of ours, or one that watches us, make."""
        if self._processes is not None:
            yield self._watch_processes(self._processes)
        supervised = self._settings.supervised
        if supervised is None:
            return
        yield parent_is_gone()
        if supervised.figures:
            from backbone.operate import figures  # noqa: PLC0415 - the client of Prometheus only for who wants figures

            yield tell(figures(self._settings.organisation, self.reporter, self.shards, lambda: self.lease_changes))

    async def _watch_processes(self, processes: Processes) -> None:
        await processes.run()
        await self._stopping.wait()  # what they ended with is looked at where the other feeds are

    def stop(self) -> None:
        """Ask the worker to end after the transactions in hand."""
        self._stopping.set()

    def _asked_to_stop(self) -> None:
        log.info("worker.stopping", worker=self.name)
        self.stop()

    async def _live(self) -> None:
        if self._settings.fit is not None:
            await self._until_fit(self._settings.fit)
        if self.shards:
            await self._hold_lease()
        await self._stopping.wait()

    async def _until_fit(self, fit: Callable[[], Awaitable[None]]) -> None:
        """Wait for the broker with back-off; one-shot runs give up at once."""
        failures, said = 0, ""
        with self.reporter.waits.on(FITTING, 2.0) as wait:
            while True:
                try:
                    await fit()
                except UnreachableError as error:
                    if self._settings.once:
                        raise
                    if error.message != said:
                        log.warning("worker.waiting", code=error.code, message=error.message, to_do=error.guidance)
                    said = error.message
                    wait.reason = Reason(error.code, FITTING.waits_for, error.guidance)
                else:
                    return
                await asyncio.sleep(BACKOFF_SECS[min(failures, len(BACKOFF_SECS) - 1)])
                failures += 1

    async def _hold_lease(self) -> None:
        """Be a member of the group for ever; a membership that broke is begun anew."""
        weights = weights_of(self.shards)
        with suppress(BackboneError):  # which topics there are is noted early, so that one made anew is noticed
            await self._broker.topic_ids(self._settings.written_topics())
        failures, said = 0, ""
        while True:
            self._lease = Lease(
                self._settings.connection, self._settings.lease_group, self._settings.topics.state, weights,
                assigned=self._assigned, revoked=self._revoked,
            )  # fmt: skip
            began = time.monotonic()
            self._join()
            try:
                await self._lease.run()
            except BackboneError as error:
                lasted = time.monotonic() - began > LASTING_SECS
                failures, said = (0, "") if lasted else (failures + 1, said)
                if error.code != said:
                    log.warning("lease.lost", code=error.code, message=error.message)
                said = error.code
                self._join().reason = Reason(error.code, f"its lease: {error.message}", error.guidance)
                await self._stop_shards()
                await asyncio.sleep(BACKOFF_SECS[min(failures, len(BACKOFF_SECS) - 1)])

    def _join(self) -> Wait:
        """Note that we wait for our share of the shards, since now if we did not before."""
        self._joining = self._joining or self.reporter.lease_waits.begin(JOINING, JOIN_PATIENCE_SECS)
        return self._joining

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Start the shards of our partitions; called while heartbeats rest, so nothing is awaited."""
        log.info("lease.assigned", worker=self.name, partitions=sorted(partitions))
        self.lease_changes += partitions != self._leased
        self._leased = partitions
        if self._joining is not None:
            self.reporter.lease_waits.end(self._joining)
            self._joining = None
        barriers: dict[int, Barrier] = {}
        for shard in self.shards:
            if shard.state_partition not in partitions or shard.status.ended:
                continue
            siblings = sum(1 for other in self.shards if other.state_partition == shard.state_partition)
            barrier = barriers.setdefault(shard.state_partition, Barrier(siblings))
            self._tasks[shard.key] = asyncio.create_task(shard.run(barrier), name=f"shard {shard.key}")

    async def _revoked(self) -> None:
        self._join()
        await self._stop_shards()

    async def _stop_shards(self, deadline_secs: float = REVOKE_DEADLINE_SECS) -> None:
        """Let the transactions in hand end within a bound; then cut them off."""
        tasks, self._tasks = self._tasks, {}
        if not tasks:
            return
        points.reached("lease.revoking")
        stopped = [shard for shard in self.shards if shard.key in tasks]
        for shard in stopped:
            shard.stop()
        _, late = await asyncio.wait(tasks.values(), timeout=deadline_secs)
        for task in late:
            task.cancel()
        if late:
            log.warning("lease.work-cut-off", shards=sorted(task.get_name() for task in late))
            await asyncio.wait(late, timeout=CUT_DEADLINE_SECS)
        for shard in stopped:
            shard.resume()
            shard.status.released()

    def _obey(self, record: TopicRecord) -> None:
        if record.value is not None:
            self._dispatch(record.offset, Command.model_validate_json(record.value))

    def _dispatch(self, offset: int, command: Command) -> None:
        """Hand a command to its shards."""
        for shard in self.shards:
            if command.concerns(shard.feed.name, shard.name):
                shard.command(offset, command)

    async def _stop_when_done(self) -> None:
        """End the worker when every shard has failed for good, or, with ``once``, has handed over what was ready."""
        while True:
            await asyncio.sleep(0.05)
            if self._processes is not None and not self._processes.done:
                continue
            failed = all(shard.status.ended for shard in self.shards)
            done = all(shard.caught_up.is_set() or shard.status.ended or shard.feed.paused for shard in self.shards)
            if failed or (self._settings.once and done):
                self.stop()
                return


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
