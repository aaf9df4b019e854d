"""A feed as it runs: its adapter with options, where its documents come from, and the topics it writes."""

from dataclasses import dataclass
from typing import Any, Final

from backbone.adapter import AnyAdapter
from backbone.event import Origin
from backbone.formats.reader import Layout
from backbone.seen import WINDOW_DEFAULT
from backbone.sources.source import Source

STATE_PARTITIONS: Final = 12
"""Part of every shard's place, so it never changes."""


@dataclass(frozen=True, slots=True)
class ServiceTopics:
    """The names of an organisation's own topics."""

    organisation: str

    @property
    def state(self) -> str:
        """Checkpoints, ledger, seen-windows, open rejects."""
        return f"{self.organisation}.backbone.state"

    @property
    def receipts(self) -> str:
        """What happened to every document."""
        return f"{self.organisation}.backbone.receipts"

    @property
    def rejects(self) -> str:
        """Records that were set aside, with their raw form."""
        return f"{self.organisation}.backbone.rejects"

    @property
    def control(self) -> str:
        """Commands of operators to shards."""
        return f"{self.organisation}.backbone.control"

    @property
    def status(self) -> str:
        """Heartbeats of workers."""
        return f"{self.organisation}.backbone.status"


@dataclass(frozen=True, slots=True)
class FeedSetup:
    """What of a feed's configuration decides how its records are translated."""

    name: str
    adapter: AnyAdapter
    layouts: tuple[Layout, ...]
    options: Any
    origin: Origin
    shard: str = "main"
    hold_case: bool = False
    seen_capacity: int = WINDOW_DEFAULT

    @property
    def topics(self) -> ServiceTopics:
        """Return the organisation's own topics."""
        return ServiceTopics(self.origin.organisation)

    @property
    def event_topics(self) -> tuple[str, ...]:
        """Return the family topics that the adapter may write to."""
        suffixes = dict.fromkeys(event_class.topic_suffix for event_class in self.adapter.emits)
        return tuple(f"{self.origin.organisation}.{suffix}" for suffix in suffixes)


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that a worker runs.

    ``state_partition`` isolates its shards from those of other feeds; ``process`` names the process of its own that it
    shares with the feeds that name the same.
    """

    setup: FeedSetup
    source: Source
    paused: bool = False
    state_partition: int | None = None
    reject_retention_days: int = 30
    expected_every_secs: int | None = None
    process: str = ""

    @property
    def name(self) -> str:
        """Return the feed's name."""
        return self.setup.name
