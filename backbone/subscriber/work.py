"""What the engine works with: partitions that are ours, records on their way, and where dead letters go."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
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

    __slots__ = (
        "_arrivals", "_unfinished_bytes", "alive", "busy", "committed", "in_hand", "paused", "place", "prepared",
        "progress",
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        """Start with nothing read."""
        self.place = place
        self.alive = True
        self.paused = False
        self.prepared = False
        """Whether every dead letter of earlier owners is known."""
        self.progress = Progress()
        self.busy: dict[Key, deque[Work] | None] = {}
        """By case that is in hand or held back, what waits behind it; None is nothing."""
        self.in_hand = 0
        self.committed: int | None = None
        self._arrivals: deque[tuple[int, int, int]] = deque()
        """Of records that came together: the last offset, how many bytes they have, and the first one's time."""
        self._unfinished_bytes = 0

    def take(self, records: Sequence[Any]) -> None:
        """Note records that were read, in their order."""
        self.progress.take([record.offset for record in records])
        try:
            size = sum([len(record.value) for record in records])
        except TypeError:  # some have no value
            size = sum([len(record.value or b"") for record in records])
        self._arrivals.append((records[-1].offset, size, records[0].timestamp))
        self._unfinished_bytes += size

    def _forget(self) -> None:
        position = self.progress.position or 0
        while self._arrivals and self._arrivals[0][0] < position:
            self._unfinished_bytes -= self._arrivals.popleft()[1]

    @property
    def unfinished_bytes(self) -> int:
        """Return the size of what came and may not be done yet, whole arrivals at a time."""
        self._forget()
        return self._unfinished_bytes

    @property
    def oldest_timestamp_ms(self) -> int:
        """Return the time of the oldest record that may not be done yet, or 0."""
        self._forget()
        return self._arrivals[0][2] if self._arrivals else 0

    def queue(self, work: "Work") -> None:
        """Let work wait behind that of its case."""
        key = work.record.key
        waiting = self.busy[key]
        if waiting is None:
            self.busy[key] = deque((work,))
        else:
            waiting.append(work)


class Stretch:
    """Records of a partition one behind the other, all for the same handlers: most of what there is to do.

    Workers take one record after the other from ``records``, which goes through what was ``gathered``.
    """

    __slots__ = ("gathered", "handler", "is_plain", "records", "routes", "run", "validate")

    def __init__(self, run: PartitionRun, routes: Sequence[Route]) -> None:
        """Start with nothing gathered; what has a single handler is plain."""
        self.run = run
        self.routes = routes
        self.gathered: list[Any] = []
        self.records: Iterator[Any] = iter(self.gathered)
        self.is_plain = len(routes) == 1
        self.validate = routes[0].validate
        self.handler = routes[0].handler


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


class DeadLetters(Protocol):
    """Where events go that cannot be handled."""

    @property
    def open(self) -> Mapping[str, object]:
        """Return the letters that are open; always the same mapping, so that looking whether it is empty is cheap."""
        ...

    def knows(self, place: Place, offset: int) -> bool:
        """Say whether the record at that place is a dead letter already."""
        ...

    def parks(self, place: Place, key: Key, offset: int) -> bool:
        """Say whether the case has a dead letter before an offset that is not settled."""
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
