"""The seen-window: which record identities of a shard were published or skipped lately. Pure.

A window of 64-bit hashes, written to the state topic in segments that each transaction appends to. Segments have
fixed keys in a ring, so that compaction bounds what a start has to read. With 250,000 hashes, two different records
collide with a chance of about one in 10^9 a document of 50,000.
"""

import base64
import struct
from collections import deque
from collections.abc import Iterable, Sequence

SEGMENT_HASHES = 1_024
WINDOW_DEFAULT = 100_000
WINDOW_MAX = 250_000


class SeenWindow:
    """Remember at least the last ``capacity`` hashes; membership costs one set look-up."""

    __slots__ = ("_hashes", "_order", "_ordered", "capacity", "hashes")

    def __init__(self, capacity: int = WINDOW_DEFAULT) -> None:
        """Start empty; a capacity of 0 remembers nothing."""
        self.capacity = capacity
        self.hashes: set[int] = set()
        self._order: deque[Sequence[int]] = deque()
        self._ordered = 0

    def __contains__(self, value: int) -> bool:
        """Say whether the hash is in the window."""
        return value in self.hashes

    def __len__(self) -> int:
        """Return how many hashes are remembered."""
        return len(self.hashes)

    def extend(self, values: Sequence[int]) -> None:
        """Remember hashes in their order; the oldest give way, as many at once as came at once.

        The pipeline adds to ``hashes`` as it goes, and hands the same hashes over here when it cuts a batch: the
        window is then up to a batch larger, and a record costs two calls less.
        """
        if not values:
            return
        self.hashes.update(values)
        self._order.append(values)
        self._ordered += len(values)
        while self._ordered - len(self._order[0]) >= self.capacity:
            oldest = self._order.popleft()
            self._ordered -= len(oldest)
            self.hashes.difference_update(oldest)


class SegmentLog:
    """Turn hashes into segments to store, and stored segments back into a window.

    The open segment is written again, longer, until it is full; so a transaction with few records writes little, and
    the number of keys stays at ``ring``.
    """

    __slots__ = ("_open", "number", "ring")

    def __init__(self, capacity: int) -> None:
        """Size the ring so that the full segments in it always hold at least ``capacity`` hashes."""
        self.ring = capacity // SEGMENT_HASHES + 2
        self.number = 0
        self._open: list[int] = []

    def append(self, hashes: Sequence[int]) -> list[tuple[int, int, str]]:
        """Add hashes; return the segments to write as (slot, segment number, base64 of little-endian 64-bit)."""
        written: list[tuple[int, int, str]] = []
        rest = list(hashes)
        while rest:
            room = SEGMENT_HASHES - len(self._open)
            self._open.extend(rest[:room])
            rest = rest[room:]
            written.append((self.number % self.ring, self.number, encode_hashes(self._open)))
            if len(self._open) == SEGMENT_HASHES:
                self.number += 1
                self._open = []
        return written

    def restore(self, segments: Iterable[tuple[int, str]], window: SeenWindow) -> None:
        """Refill an empty window from stored (segment number, base64) pairs, oldest first, and go on behind them."""
        for number, content in sorted(segments):
            hashes = decode_hashes(content)
            window.extend([value for value in hashes if value not in window])
            if len(hashes) < SEGMENT_HASHES:
                self.number, self._open = number, hashes
            else:
                self.number, self._open = number + 1, []


def encode_hashes(hashes: Sequence[int]) -> str:
    """Return unsigned 64-bit integers as base64 text, little-endian on every machine."""
    return base64.b64encode(struct.pack(f"<{len(hashes)}Q", *hashes)).decode()


def decode_hashes(content: str) -> list[int]:
    """Return what ``encode_hashes`` was given."""
    packed = base64.b64decode(content)
    return list(struct.unpack(f"<{len(packed) // 8}Q", packed))
