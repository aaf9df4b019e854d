"""What a worker tells of its feeds: it looks at all of them, logs what changed, sends heartbeats and hears others'.

Whoever asks, `/readyz`, metrics or a heartbeat, gets what ``look`` sees, so that they cannot disagree.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from backbone.board import Board, heartbeat_of
from backbone.errors import BackboneError, UnreachableError
from backbone.following import follow
from backbone.kafka.broker import KafkaBroker, PlainProducer
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import UNREACHABLE
from backbone.kafka.readers import ABORT_IT, TopicRecord
from backbone.kafka.stable_offsets import Place
from backbone.shard import Shard
from backbone.status import ALARMS, HEARTBEAT_SECS, SILENT_AFTER_SECS, ShardStatus, Verdict
from backbone.waiting import Reason, Wait, Waits

LOOK_SECS: Final = 0.25
PULSE_PATIENCE_SECS: Final = 1.5
"""A heartbeat every two seconds, and this much patience: a broker that is away shows within four."""
RECONNECT_SECS: Final = 0.5
RECENT_MS: Final = 30_000
FAREWELL_SECS: Final = 1.0
PULSE: Final = Reason("broker.unreachable", "the broker to take a heartbeat", UNREACHABLE)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """A shard as this worker sees it; ``ours`` where it runs here, ``told`` where nobody else tells of it."""

    status: ShardStatus
    verdict: Verdict
    ours: bool
    told: bool


class Reporter:
    """Tell of a worker's feeds, and of those that nobody runs."""

    def __init__(
        self, connection: KafkaConnection, broker: KafkaBroker, topic: str, shards: Sequence[Shard],
        runs: Callable[[Shard], bool], kept: Callable[[Shard], tuple[Reason, float] | None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Take every configured shard; ``runs`` says whether one runs here now.

        ``kept`` says why one does not run that a process of ours should run, and for how many seconds.
        """
        self.waits = Waits()
        """What the worker as a whole waits for, and every shard with it."""
        self.lease_waits = Waits()
        """What keeps it out of its group, which concerns the shards that nobody else runs."""
        self._connection = connection
        self._broker = broker
        self._topic = topic
        self._shards = shards
        self._runs = runs
        self._kept = kept
        self._board = Board()
        self._started_ms = _now_ms()
        self._ran_since: dict[str, float] = {}
        self._seen: dict[str, tuple[str, str]] = {}
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()
        self._pulse: Wait | None = None
        self._unsent = ""
        self._stuck: dict[str, tuple[Reason, float]] = {}

    def look(self) -> list[Sight]:
        """Return every configured shard with the verdict on it, as of now."""
        now_ms, common = _now_ms(), self._explained(self.waits.overdue())
        return [self._sight(shard, now_ms, common) for shard in self._shards]

    def _sight(self, shard: Shard, now_ms: int, common: tuple[Reason, float] | None) -> Sight:
        status = shard.status
        if self._runs(shard) or status.ended:
            status.beat_ms = now_ms
            status.blocked(common or self._explained(shard.waits.overdue()) or self._held_back(shard), now_ms)
            began = self._ran_since.setdefault(shard.key, time.monotonic())
            status.rivalled(self._board.rival(status.deployment, status.feed, status.shard, began), now_ms)
            return Sight(status, status.verdict(now_ms), ours=True, told=True)
        self._ran_since.pop(shard.key, None)
        if (kept := self._kept(shard)) is not None:
            status.beat_ms = now_ms
            status.blocked(kept, now_ms)
            return Sight(status, status.verdict(now_ms), ours=True, told=True)
        known = self._board.newest(status.deployment, status.feed, status.shard)
        if known is None:
            seen = replace(status, beat_ms=self._started_ms, since_ms=self._started_ms)
        else:
            seen = replace(known[0], beat_ms=now_ms - int(known[1] * 1_000))
        verdict = seen.verdict(now_ms)
        is_orphan = known is None or known[1] > SILENT_AFTER_SECS
        overdue = common or (self.lease_waits.overdue() if is_orphan else None)
        if overdue is not None:
            # what we hear of others, and whether somebody runs it, is as good as our own connection
            seen = replace(seen, beat_ms=now_ms, ended=False, rival="")
            seen.blocked(overdue, now_ms)
            return Sight(seen, seen.verdict(now_ms), ours=False, told=True)
        return Sight(seen, verdict, ours=False, told=is_orphan or seen.worker == status.worker)

    def _explained(self, overdue: tuple[Reason, float] | None) -> tuple[Reason, float] | None:
        """Name our certificate where it is why no broker answers: their side of it is a closed connection."""
        if overdue is None or overdue[0].code != PULSE.code:
            return overdue
        try:
            self._connection.ensure_certificate()
        except UnreachableError as error:
            return Reason(error.code, f"{overdue[0].waits_for}: {error.message}", error.guidance), overdue[1]
        return overdue

    def written_topics(self) -> set[str]:
        """Return what the shards write that run here, for others to read."""
        return {topic for shard in self._shards if self._runs(shard) for topic in _read_by_others(shard)}

    def readers_wait(self, stuck: Mapping[Place, int]) -> None:
        """Take the partitions whose readers a hanging transaction holds back, each with the offset where they wait."""
        now, before = time.monotonic(), self._stuck
        self._stuck = {}
        for (topic, partition), offset in stuck.items():
            text = f"a transaction to end that holds readers of {topic}/{partition} back at {offset}"
            began = before[topic][1] if topic in before else now
            self._stuck[topic] = (Reason("topic.offset-stuck", text, ABORT_IT), began)

    def _held_back(self, shard: Shard) -> tuple[Reason, float] | None:
        for topic in _read_by_others(shard) if self._stuck else ():
            if topic in self._stuck:
                reason, began = self._stuck[topic]
                return reason, time.monotonic() - began
        return None

    async def watch(self) -> None:
        """Look again and again: log what changed, once, and let a heartbeat tell of it at once."""
        while True:
            for sight in self.look():
                self._note(sight)
            await asyncio.sleep(LOOK_SECS)

    def _note(self, sight: Sight) -> None:
        verdict, key = sight.verdict, f"{sight.status.feed}/{sight.status.shard}"
        before, now = self._seen.get(key, ("", "")), (verdict.state, verdict.code)
        if before == now or not sight.told:
            if not sight.told:
                self._seen.pop(key, None)
            return
        self._seen[key] = now
        if sight.ours:
            self._changed.set()
            shard = next(shard for shard in self._shards if shard.key == key)
            if verdict.code not in {"", "feed.starting", "feed.paused", sight.status.stalled_code}:
                shard.tally.stalled(verdict.code)
        bound = log.bind(feed=sight.status.feed, shard=sight.status.shard)
        if before[1] in ALARMS and before[1] != now[1]:
            bound.info("alarm.ended", code=before[1])
        if verdict.code == "feed.starting" or (verdict.is_well and before[1] in {"", "feed.starting"}):
            return
        if verdict.code in ALARMS:
            bound.critical("alarm.raised", code=verdict.code, waits_for=verdict.waits_for, to_do=verdict.to_do)
        elif verdict.is_well:
            bound.info("feed.recovered", state=verdict.state, before=before[1])
        elif not sight.ours or verdict.code != sight.status.stalled_code:  # the shard has logged its own errors
            bound.warning("feed.needs-somebody", state=verdict.state, code=verdict.code, waits_for=verdict.waits_for,
                          to_do=verdict.to_do)  # fmt: skip

    async def send(self) -> None:
        """Send every shard's status every two seconds, and at once when it changed."""
        while True:
            self._pulse = self._pulse or self.waits.begin(PULSE, PULSE_PATIENCE_SECS)
            try:
                async with PlainProducer(self._connection) as producer:
                    while True:
                        await self._send_all(producer)
                        self._changed.clear()
                        try:
                            await asyncio.wait_for(self._changed.wait(), HEARTBEAT_SECS)
                        except TimeoutError:
                            continue
            except BackboneError as error:
                if error.code not in {self._unsent, PULSE.code}:  # of the broker, every feed tells
                    log.warning("status.unsent", code=error.code, message=error.message)
                self._unsent = error.code
                if self._pulse is not None:
                    reason = Reason(error.code, f"heartbeats to be taken: {error.message}", error.guidance)
                    self._pulse.reason = PULSE if error.code == PULSE.code else reason
                await asyncio.sleep(RECONNECT_SECS)

    async def _send_all(self, producer: PlainProducer) -> None:
        self._pulse = self._pulse or self.waits.begin(PULSE, PULSE_PATIENCE_SECS)
        self._pulse.why = lambda: _why(producer)
        beats = [heartbeat_of(sight.status) for sight in self.look() if sight.ours]
        if beats:
            await asyncio.gather(*(producer.send(self._topic, beat) for beat in beats))
        else:
            await producer.ping(self._topic)
        self.waits.end(self._pulse)
        self._pulse, self._unsent = None, ""
        self._sent.set()

    async def farewell(self) -> None:
        """Let the last word of feeds that ended reach the status topic, if the broker takes it within a second."""
        self._sent.clear()
        self._changed.set()
        try:
            await asyncio.wait_for(self._sent.wait(), FAREWELL_SECS)
        except TimeoutError:
            log.warning("status.unsent", code="broker.unreachable", message="the last heartbeat was not taken")

    async def hear(self) -> None:
        """Follow everybody's heartbeats."""
        await follow(self._broker, self._topic, self._take, self.waits, lambda: _now_ms() - RECENT_MS)

    def _take(self, record: TopicRecord) -> None:
        if record.value is not None:
            self._board.take(record.value)


def _read_by_others(shard: Shard) -> tuple[str, ...]:
    setup = shard.feed.setup
    return (*setup.event_topics, setup.topics.receipts, setup.topics.rejects)


def _why(producer: PlainProducer) -> Reason | None:
    refusal = producer.refusal()
    return None if refusal is None else Reason(refusal.code, f"heartbeats to be taken: {refusal.message}",
                                               refusal.guidance)  # fmt: skip


def _now_ms() -> int:
    return int(time.time() * 1_000)
