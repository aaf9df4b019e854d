"""Packed messages as one record batch, in the way in which aiokafka wants a batch to be built.

aiokafka's builder encodes key, value and each header of every record again; ours joins what is packed already, which
takes a sixth of the time. A test holds both to the same bytes. The format is Kafka's record batch, magic 2.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from aiokafka.record.util import calc_crc32c

from backbone.packed import TABLE_SIZE, VARINTS, varint

TRANSACTIONAL: Final = 0x10
MAGIC: Final = 2
NO_LEADER_EPOCH: Final = -1
_HEAD: Final = Struct(">qiibI")
"""Base offset, length behind it, leader epoch, magic, CRC-32C of everything behind it."""
_CHECKED: Final = Struct(">hiqqqhii")
"""Attributes, last offset, first and last time, producer's id and epoch, base sequence, count."""


def _start(place: int) -> bytes:
    """Return a record's first bytes behind its length: attributes and time as the batch's, and its place."""
    return b"\0\0" + varint(place)


_STARTS: Final = tuple(map(_start, range(TABLE_SIZE)))
RECORD_FRAME_BYTES: Final = 12
"""What a record takes at most beside its packed message: its length, attributes, time and place."""


class RecordBatch:
    """One batch for one partition; it stands in for aiokafka's ``BatchBuilder`` in ``send_batch``."""

    def __init__(self, messages: Sequence[bytes], last_header: bytes, timestamp_ms: int) -> None:
        """Take packed messages; ``last_header`` (packed) ends each of them."""
        self._count = len(messages)
        self._timestamp_ms = timestamp_ms
        self._producer = (-1, -1, -1)
        self._buffer: bytes | None = None
        self._records = _records(messages, last_header)

    def record_count(self) -> int:
        """Return the number of records."""
        return self._count

    def size(self) -> int:
        """Return the bytes of the whole batch."""
        return _HEAD.size + _CHECKED.size + len(self._records)

    def closed(self) -> bool:
        """Say that nothing can be added."""
        return True

    def close(self) -> None:
        """Do nothing: nothing can be added anyway."""

    def _set_producer_state(self, producer_id: int, epoch: int, base_sequence: int) -> None:
        """Take whose batch it is and its place in the partition's sequence; called before ``_build``."""
        self._producer = (producer_id, epoch, base_sequence)

    def _build(self) -> bytes:
        """Return the bytes to send, the same at every retry."""
        if self._buffer is None:
            time = self._timestamp_ms
            checked = _CHECKED.pack(TRANSACTIONAL, self._count - 1, time, time, *self._producer, self._count)
            checked += self._records
            self._records = b""
            length = len(checked) + _HEAD.size - 12
            self._buffer = _HEAD.pack(0, length, NO_LEADER_EPOCH, MAGIC, calc_crc32c(checked)) + checked
        return self._buffer


def _records(messages: Sequence[bytes], last_header: bytes) -> bytes:
    """Return records one behind the other: length, attributes 0, time as the batch's, place, message, last header."""
    parts: list[bytes] = []
    add = parts.append
    last = len(last_header)
    for place, message in enumerate(messages):
        start = _STARTS[place] if place < TABLE_SIZE else _start(place)
        length = len(start) + len(message) + last
        add(VARINTS[length] if length < TABLE_SIZE else varint(length))
        add(start)
        add(message)
        add(last_header)
    return b"".join(parts)
