"""Reading topics: a shard's state to its true end, and topics as people and commands see them. Read-committed."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from backbone.errors import TransientError, UnreachableError
from backbone.kafka import fetching, guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.producer import UNREACHABLE
from backbone.waiting import Reason, Wait, waiting

STATE_READ_DEADLINE_SECS: Final = 45.0
"""Longer than the transaction time-out and the broker's clean-up interval together."""

POLL_MS: Final = 200
CONNECTING: Final = Reason("broker.unreachable", "the broker to answer", UNREACHABLE)
LOADING: Final = Reason("broker.unreachable", "the broker to hand the state over", UNREACHABLE)
ABORT_IT: Final = "find and abort the hanging transaction with kafka-transactions.sh: see the runbook"

From = Literal["earliest", "latest"] | int
"""Where to begin: at the start, at the end, or at a time in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record as a subscriber sees it. ``timestamp_ms`` is milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@asynccontextmanager
async def consumer(connection: KafkaConnection, *, committed: bool = True) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer without a group; errors become ours."""
    fetching.install()
    client = connection.attached(
        AIOKafkaConsumer(
            **connection.options(),
            isolation_level="read_committed" if committed else "read_uncommitted",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=15_000,
        )
    )
    try:
        with waiting(CONNECTING):
            await client.start()
        yield client
    except (KafkaError, AssertionError, asyncio.CancelledError) as error:
        problem = await explained(error, connection)
        if problem is error:
            raise
        raise problem from error
    finally:
        await asyncio.shield(guards.discard_consumer(client))


async def read_state(
    connection: KafkaConnection,
    topic: str,
    partition: int,
    apply: Callable[[bytes, bytes | None], None],
    deadline_secs: float = STATE_READ_DEADLINE_SECS,
) -> int:
    """Give every committed record of a partition to ``apply``, up to its high watermark; return how many.

    MUST be called after the transactional ids of all shards of the partition were initialised. Reading to the last
    stable offset is not enough: a sibling's open transaction would hide a newer checkpoint of ours. Raises
    TransientError ``state.offset-stuck`` when a hanging transaction holds readers back; what was read is then void.
    """
    place = TopicPartition(topic, partition)
    async with consumer(connection, committed=False) as uncommitted:
        with waiting(LOADING):
            high_watermark: int = (await uncommitted.end_offsets([place]))[place]
    count = 0
    async with consumer(connection) as client:
        client.assign([place])
        try:
            with waiting(LOADING) as wait:
                async with asyncio.timeout(deadline_secs):
                    await client.seek_to_beginning(place)
                    while (position := await client.position(place)) < high_watermark:
                        fetched = (await client.getmany(place, timeout_ms=POLL_MS)).get(place, ())
                        for record in fetched:
                            if record.offset < high_watermark:
                                count += 1
                                apply(record.key or b"", record.value)
                        _say_what_holds_us(wait, client, place, len(fetched), position, high_watermark)
        except TimeoutError:
            reason = wait.reason
            if reason.code == "broker.unreachable":
                message = f"the state was not read within {deadline_secs:.0f} s"
                raise UnreachableError(message, guidance=UNREACHABLE) from None
            raise TransientError(reason.waits_for, code=reason.code, guidance=reason.to_do) from None
    return count


def _say_what_holds_us(
    wait: Wait, client: AIOKafkaConsumer, place: TopicPartition, fetched: int, position: int, high_watermark: int
) -> None:
    """Tell a broker that does not answer from a hanging transaction, behind which there is nothing to read for us."""
    stable = client.last_stable_offset(place)
    if fetched:
        wait.moved()
        wait.reason = LOADING
    elif stable is not None and stable <= position:
        wait.reason = _held_at(place, stable, high_watermark)


def _held_at(place: TopicPartition, stable: int, high_watermark: int) -> Reason:
    text = f"a transaction to end that holds {place.topic}/{place.partition} at {stable}, below {high_watermark}"
    return Reason("state.offset-stuck", text, ABORT_IT)


async def _high_watermarks(connection: KafkaConnection, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    async with consumer(connection, committed=False) as uncommitted:
        found: dict[TopicPartition, int] = await uncommitted.end_offsets(places)
    return found


async def first_record(connection: KafkaConnection, topic: str, partition: int) -> TopicRecord | None:
    """Return the first committed record of a partition, or None while it is empty."""
    place = TopicPartition(topic, partition)
    async with consumer(connection) as client:
        client.assign([place])
        await client.seek_to_beginning(place)
        end = (await client.end_offsets([place]))[place]
        while await client.position(place) < end:
            for record in (await client.getmany(place, timeout_ms=POLL_MS, max_records=1)).get(place, ()):
                return _as_record(record)
    return None


async def partition_counts(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of every topic that exists among those asked for."""
    async with consumer(connection) as client:
        await client._client.set_topics(list(topics))
        found = {topic: client.partitions_for_topic(topic) for topic in topics}
    return {topic: len(partitions) for topic, partitions in found.items() if partitions}


async def ensure_not_denied(connection: KafkaConnection, topics: Sequence[str]) -> None:
    """Raise FatalError for topics that we may not even know of; without a word they would look as if not there.

    Asks only where somebody signs in: a broker that denies nothing might create what is asked for.
    """
    if not connection.principal:
        return
    async with consumer(connection) as client:
        await client._client.set_topics(list(topics))
        denied = client._client.cluster.unauthorized_topics & set(topics)
        if denied:
            raise TopicAuthorizationFailedError(denied)


async def matching_topics(connection: KafkaConnection, patterns: Sequence[str]) -> list[str]:
    """Return the names of the topics that one of the regular expressions matches in full."""
    async with consumer(connection) as client:
        names = await client.topics()
    compiled = [re.compile(pattern) for pattern in patterns]
    return sorted(name for name in names if any(pattern.fullmatch(name) for pattern in compiled))


async def read_topics(
    connection: KafkaConnection,
    topics: Sequence[str],
    *,
    begin: From = "earliest",
    last: int | None = None,
    follow: bool = False,
    whole: bool = False,
    attached: Callable[[], None] = lambda: None,
) -> AsyncIterator[TopicRecord]:
    """Yield the committed records of topics, in order within a partition; of each only about the ``last`` so many.

    Ends where the topics end now, or goes on for ever with ``follow``. Topics that do not exist are passed over;
    ``attached`` is called when some do, before their first record. What was committed a moment ago may still lie behind
    the last stable offset, as may all that comes behind somebody's open transaction: ``whole`` waits for it, and raises
    TransientError ``state.offset-stuck`` when it takes too long.
    """
    async with consumer(connection) as client:
        await client._client.set_topics(list(topics))
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in sorted(client.partitions_for_topic(topic) or ())
        ]
        if not places:
            return
        client.assign(places)
        await _seek(client, places, begin)
        attached()
        ends: Mapping[Any, int] = {}
        if not follow:
            ends = await _high_watermarks(connection, places) if whole else await client.end_offsets(places)
        if last is not None:
            begins = await client.beginning_offsets(places)
            for place, end in ends.items():
                client.seek(place, max(begins[place], end - last))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STATE_READ_DEADLINE_SECS
        while follow or places:
            if not follow:
                places = [place for place in places if await client.position(place) < ends[place]]
                if not places:
                    return
                if whole and loop.time() > deadline:
                    held = _held_at(places[0], await client.position(places[0]), ends[places[0]])
                    raise TransientError(held.waits_for, code=held.code, guidance=held.to_do)
            for records in (await client.getmany(*places, timeout_ms=POLL_MS)).values():
                for record in records:
                    if follow or record.offset < ends[TopicPartition(record.topic, record.partition)]:
                        yield _as_record(record)


def _as_record(record: Any) -> TopicRecord:
    return TopicRecord(
        record.topic, record.partition, record.offset, record.timestamp,
        record.key, record.value, tuple(record.headers),
    )  # fmt: skip


async def _seek(client: AIOKafkaConsumer, places: Sequence[TopicPartition], begin: From) -> None:
    if begin == "earliest":
        await client.seek_to_beginning(*places)
    elif begin == "latest":
        await client.seek_to_end(*places)
    else:
        found = await client.offsets_for_times(dict.fromkeys(places, begin))
        ends = await client.end_offsets(places)
        for place in places:
            at = found[place]
            client.seek(place, ends[place] if at is None else at.offset)
