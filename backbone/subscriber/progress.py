"""How far a partition has been handled: only what every earlier record is done with may be committed. Pure."""

from collections import deque
from collections.abc import Sequence


class Progress:
    """The contiguous done prefix of one partition.

    Offsets are taken in the order in which they were read; they need not be contiguous, as aborted records and
    control records are never seen. ``position`` is the offset to commit: the one behind the last record that is done
    together with all before it, or None while nothing is.
    """

    __slots__ = ("_done", "_waiting", "position")

    def __init__(self) -> None:
        """Start with nothing taken."""
        self.position: int | None = None
        self._waiting: deque[int] = deque()
        self._done: set[int] = set()

    def __len__(self) -> int:
        """Return how many records were taken and can not be committed yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        """Return the offset of the oldest record that is not done."""
        return self._waiting[0] if self._waiting else None

    def take(self, offsets: Sequence[int]) -> None:
        """Note records that were read, in their order."""
        self._waiting.extend(offsets)

    def done(self, offset: int) -> None:
        """Note that a record is done; the position moves on as far as it may."""
        waiting = self._waiting
        if waiting[0] != offset:
            self._done.add(offset)
            return
        waiting.popleft()
        done = self._done
        while waiting and waiting[0] in done:
            offset = waiting.popleft()
            done.discard(offset)
        self.position = offset + 1
