"""Watching the last stable offset: behind a transaction that hangs, every reader waits, and nobody is told."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog
from aiokafka import TopicPartition

from backbone.errors import BackboneError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import CONNECTING, consumer, partition_counts

LOOK_EVERY_SECS: Final = 10.0
STUCK_AFTER_SECS: Final = 45.0
"""Longer than a transaction's time-out and the broker's clean-up interval together: by then it hangs for good."""

Place = tuple[str, int]
log = structlog.get_logger(__name__)


async def watch_stable_offsets(
    connection: KafkaConnection,
    topics: Callable[[], Collection[str]],
    stuck: Callable[[Mapping[Place, int]], None],
    stuck_after_secs: float = STUCK_AFTER_SECS,
) -> None:
    """Give ``stuck`` the partitions, with their last stable offset, where it has stood still below the end too long.

    For ever; ``topics`` are asked for each time. That the offsets cannot be looked at is logged once a cause.
    """
    since: dict[Place, tuple[int, float]] = {}
    said = ""
    while True:
        try:
            gaps = await _gaps(connection, topics())
            said = ""
        except BackboneError as error:
            if error.code not in {said, CONNECTING.code}:  # of the broker, every feed tells
                log.warning("offsets.unseen", code=error.code, message=error.message)
            gaps, said = {}, error.code
        now = time.monotonic()
        since = {place: since[place] if since.get(place, (-1, 0.0))[0] == stable else (stable, now)
                 for place, stable in gaps.items()}  # fmt: skip
        stuck({place: stable for place, (stable, at) in since.items() if now - at >= stuck_after_secs})
        await asyncio.sleep(min(LOOK_EVERY_SECS, stuck_after_secs))


async def _gaps(connection: KafkaConnection, topics: Collection[str]) -> dict[Place, int]:
    """Return the last stable offset of every partition where it is below the end."""
    counts = await partition_counts(connection, sorted(topics))
    places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    if not places:
        return {}
    async with consumer(connection) as committed, consumer(connection, committed=False) as uncommitted:
        ends = await uncommitted.end_offsets(places)
        stable = await committed.end_offsets(places)
    return {(place.topic, place.partition): stable[place] for place in places if stable[place] < ends[place]}
