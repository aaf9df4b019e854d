"""What the engine works with: partitions that are ours, records on their way, and where dead letters go."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from backbone.subscriber.event import Event
from backbone.subscriber.progress import Progress
from backbone.subscriber.routes import Route

Place = tuple[str, int]
"""Topic and partition."""
Key = bytes | None
"""The key of a record: its case."""


class PartitionRun:
    """One partition while it is ours. Work of one that is not alive any more is dropped unfinished."""

    __slots__ = ("alive", "busy", "committed", "in_hand", "paused", "place", "progress")

    def __init__(self, place: Place) -> None:
        """Start with nothing read."""
        self.place = place
        self.alive = True
        self.paused = False
        self.progress = Progress()
        self.busy: dict[Key, deque[Work] | None] = {}
        """By case that is in hand or held back, what waits behind it; None is nothing."""
        self.in_hand = 0
        self.committed: int | None = None

    def queue(self, work: "Work") -> None:
        """Let work wait behind that of its case."""
        key = work.record.key
        waiting = self.busy[key]
        if waiting is None:
            self.busy[key] = deque((work,))
        else:
            waiting.append(work)


@dataclass(slots=True)
class Work:
    """A record on its way.

    ``at`` is the number of the handler that comes next; ``doomed`` is the code with which it is to be set aside;
    ``retry_of`` names the dead letter that is tried again.
    """

    run: PartitionRun
    record: Any
    routes: Sequence[Route]
    event: Event[Any] | None = None
    at: int = 0
    tries: int = 0
    doomed: str = ""
    retry_of: str = ""


@dataclass(slots=True)
class Tally:
    """What has happened since the start, for metrics. Never a value of an event."""

    handled: int = 0
    ignored: int = 0
    retried: int = 0
    unknown_fields: int = 0
    dead: dict[str, int] = field(default_factory=dict)
    last_timestamp_ms: int = 0


class DeadLetters(Protocol):
    """Where events go that cannot be handled."""

    @property
    def open(self) -> Mapping[str, object]:
        """Return the letters that are open; always the same mapping, so that looking whether it is empty is cheap."""
        ...

    def knows(self, place: Place, offset: int) -> bool:
        """Say whether the record at that place is a dead letter already."""
        ...

    def parks(self, place: Place, key: Key) -> bool:
        """Say whether the case has a dead letter that is not settled."""
        ...

    def blocks(self, letter: str) -> bool:
        """Say whether an earlier dead letter of the same case is still open."""
        ...

    async def put(self, work: Work, code: str) -> None:
        """Write a dead letter; raises BackboneError when it is refused."""
        ...

    async def settle(self, work: Work) -> None:
        """Note that a dead letter was handled after all; raises BackboneError when that is refused."""
        ...
