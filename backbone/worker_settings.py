"""What a worker needs to run, and where its shards lie."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from backbone.feed import STATE_PARTITIONS, Feed, ServiceTopics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to run.

    ``once`` ends it when every feed has caught up. ``http`` is where it serves its end points. ``fit`` is awaited
    before it begins: it raises UnreachableError while the broker is away, and another error where nothing may run.
    """

    organisation: str
    connection: KafkaConnection
    feeds: tuple[Feed, ...]
    deployment: str = "default"
    once: bool = False
    state_partitions: int = STATE_PARTITIONS
    http: str | None = None
    fit: Callable[[], Awaitable[None]] | None = None

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
