"""One partition as its leader keeps it: batches, who wrote them, what is open, and what was aborted. Pure.

The rules are those of Apache Kafka 4's ``UnifiedLog`` and ``ProducerStateManager``; error codes are the protocol's.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from backbone.packed import varint

NONE: Final = 0
MESSAGE_TOO_LARGE: Final = 10
NOT_ENOUGH_REPLICAS: Final = 19
OUT_OF_ORDER_SEQUENCE: Final = 45
INVALID_PRODUCER_EPOCH: Final = 47
INVALID_TXN_STATE: Final = 48
INVALID_RECORD: Final = 87

TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
HEAD: Final = Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset, first and last time, producer, its epoch,
base sequence, count."""
_OFFSET: Final = Struct(">q")
_CHECKED_FROM: Final = 21
KEPT_BATCHES: Final = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of the log. ``content`` are its bytes with the right base offset."""

    base: int
    next: int
    producer: int
    epoch: int
    attributes: int
    time_ms: int
    content: bytes

    @property
    def control(self) -> bool:
        """Say whether it is a marker."""
        return bool(self.attributes & CONTROL)


@dataclass(slots=True)
class Writer:
    """What the log remembers of a producer."""

    epoch: int
    last_sequence: int = -1
    recent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=KEPT_BATCHES))
    """First and last sequence and base offset of its last batches."""
    opened_at: int | None = None


@dataclass(frozen=True, slots=True)
class Aborted:
    """An aborted transaction: its producer, its first offset, and its marker's."""

    producer: int
    first: int
    last: int


@dataclass(slots=True)
class PartitionLog:
    """A partition. ``max_bytes`` is the topic's ``max.message.bytes``."""

    name: str
    max_bytes: int = 1_048_588
    batches: list[Batch] = field(default_factory=list)
    aborted: list[Aborted] = field(default_factory=list)
    writers: dict[int, Writer] = field(default_factory=dict)
    high_watermark: int = 0

    @property
    def last_stable(self) -> int:
        """Return the offset up to which no transaction is open."""
        return min(
            (writer.opened_at for writer in self.writers.values() if writer.opened_at is not None),
            default=self.high_watermark,
        )

    def has_open(self, producer: int, epoch: int) -> bool:
        """Say whether the producer's transaction is open here: then no coordinator has to be asked."""
        writer = self.writers.get(producer)
        return writer is not None and writer.opened_at is not None and writer.epoch == epoch

    def append(self, content: bytes) -> tuple[int, int]:
        """Append a producer's batch; return an error code and its base offset, -1 where it was refused."""
        length, epoch, sequence, producer, count, attributes, last_ms = _facts(content)
        if length != len(content) - 12 or count < 1 or producer < 0 or not attributes & TRANSACTIONAL:
            return INVALID_RECORD, -1
        if len(content) > self.max_bytes:
            return MESSAGE_TOO_LARGE, -1
        writer = self.writers.get(producer)
        last = sequence + count - 1
        if writer is None:
            if sequence != 0:
                return OUT_OF_ORDER_SEQUENCE, -1
            writer = Writer(epoch)
        elif epoch < writer.epoch:
            return INVALID_PRODUCER_EPOCH, -1
        elif epoch > writer.epoch:
            if sequence != 0:
                return OUT_OF_ORDER_SEQUENCE, -1
            writer = Writer(epoch, opened_at=writer.opened_at)
        else:
            for first, end, base in writer.recent:
                if (first, end) == (sequence, last):
                    return NONE, base
            if sequence != writer.last_sequence + 1:
                return OUT_OF_ORDER_SEQUENCE, -1
        base = self.high_watermark
        self.writers[producer] = writer
        writer.last_sequence = last
        writer.recent.append((sequence, last, base))
        if writer.opened_at is None:
            writer.opened_at = base
        self._add(count, producer, epoch, attributes, last_ms, content)
        return NONE, base

    def mark(self, producer: int, epoch: int, *, commit: bool, time_ms: int) -> int:
        """Append the marker that ends a producer's transaction here; return an error code."""
        writer = self.writers.get(producer)
        if writer is None:
            writer = self.writers[producer] = Writer(epoch)
        elif epoch < writer.epoch:
            return INVALID_PRODUCER_EPOCH
        elif epoch > writer.epoch:
            writer = self.writers[producer] = Writer(epoch, opened_at=writer.opened_at)
        base = self.high_watermark
        if writer.opened_at is not None and not commit:
            self.aborted.append(Aborted(producer, writer.opened_at, base))
        writer.opened_at = None
        content = _marker(producer, epoch, time_ms, commit=commit)
        self._add(1, producer, epoch, TRANSACTIONAL | CONTROL, time_ms, content)
        return NONE

    def _add(self, count: int, producer: int, epoch: int, attributes: int, time_ms: int, content: bytes) -> None:
        base = self.high_watermark
        self.high_watermark = base + count
        kept = _OFFSET.pack(base) + content[8:]
        self.batches.append(Batch(base, base + count, producer, epoch, attributes, time_ms, kept))

    def read(self, offset: int, *, committed: bool) -> tuple[bytes, list[tuple[int, int]]]:
        """Return batches from an offset on, and the aborted transactions (producer, first offset) among them."""
        end = self.last_stable if committed else self.high_watermark
        if offset >= end:
            return b"", []
        first = max(0, bisect_right(self.batches, offset, key=lambda batch: batch.base) - 1)
        content = b"".join(batch.content for batch in self.batches[first:] if batch.base < end)
        aborted = [(gone.producer, gone.first) for gone in self.aborted if gone.last >= offset and gone.first < end]
        return content, aborted if committed else []

    def offset_at(self, time_ms: int) -> int:
        """Return the first offset of a batch with records at that time or later, or -1."""
        return next((batch.base for batch in self.batches if batch.time_ms >= time_ms), -1)


def _facts(content: bytes) -> tuple[int, int, int, int, int, int, int]:
    """Return length, epoch, base sequence, producer, count, attributes and last time of a batch."""
    _, length, _, _, _, attributes, _, _, last_ms, producer, epoch, sequence, count = HEAD.unpack_from(content)
    return length, epoch, sequence, producer, count, attributes, last_ms


def _marker(producer: int, epoch: int, time_ms: int, *, commit: bool) -> bytes:
    """Return a control batch with one record: its key says commit or abort, its value is the coordinator's epoch."""
    key = b"\0\0" + (b"\0\1" if commit else b"\0\0")
    body = b"\0\0\0" + varint(len(key)) + key + varint(6) + b"\0" * 6 + b"\0"
    records = varint(len(body)) + body
    attributes = TRANSACTIONAL | CONTROL
    size = HEAD.size + len(records)
    head = HEAD.pack(0, size - 12, 0, 2, 0, attributes, 0, time_ms, time_ms, producer, epoch, -1, 1)
    crc = crc32c((head + records)[_CHECKED_FROM:])
    return head[:17] + crc.to_bytes(4, "big") + head[_CHECKED_FROM:] + records


def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return Castagnoli's checksum; only markers are short enough for this one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
