"""Fetches decoded by our own hand: three classes that stand in for aiokafka's, over the same bytes.

aiokafka offers no way to leave headers alone (see ``backbone.kafka.fetched``), so ``install`` puts these in the place
of its own: of the same interface, held to the same results by a property test. See
``docs/adr/0003-guards-on-aiokafka.md``. The format is Kafka's record batch, magic 2; older and compressed batches are
unpacked by aiokafka's own code.
"""

from struct import Struct
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from backbone.kafka.fetched import FetchedRecord
from backbone.packed import number_at

_HEAD: Final = Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset, first and last time, producer's id and epoch,
base sequence, count."""
_LENGTH: Final = Struct(">i")
LENGTH_AT: Final = 8
MAGIC_AT: Final = 16
CHECKED_AT: Final = 21
CODEC: Final = 0x07
APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
EVERYTHING: Final = 1 << 62


class Batch:
    """One record batch; the attributes are those that aiokafka looks at."""

    def __init__(self, data: bytes) -> None:
        """Take the bytes of one batch of magic 2."""
        self._data = data
        (
            self.base_offset, _, _, _, self._crc, self._attributes, last, self._first_time, self._last_time,
            self.producer_id, _, _, self._count,
        ) = _HEAD.unpack_from(data)  # fmt: skip
        self.next_offset: int = self.base_offset + last + 1
        self.is_transactional = bool(self._attributes & TRANSACTIONAL)
        self.is_control_batch = bool(self._attributes & CONTROL)

    def validate_crc(self) -> bool:
        """Say whether the bytes are those that were written."""
        return bool(calc_crc32c(self._data[CHECKED_AT:]) == self._crc)

    def __next__(self) -> FetchedRecord:
        """Return the first record: aiokafka looks at that of a control batch."""
        return self.records("", 0)[0]

    def records(self, topic: str, partition: int) -> list[FetchedRecord]:
        """Return every record; raises CorruptRecordException for bytes that are none."""
        data, at = self._data, _HEAD.size
        if self._attributes & CODEC:
            packed = _DefaultRecordBatchPy(data)
            packed._maybe_uncompress()
            data, at = bytes(packed._buffer), packed._pos
        try:
            return self._decoded(data, at, topic, partition)
        except IndexError as error:
            message = "a record ends before its bytes do"
            raise CorruptRecordException(message) from error

    def _decoded(  # noqa: PLR0915 - one loop over local names: calls would cost more than what they did
        self, data: bytes, at: int, topic: str, partition: int
    ) -> list[FetchedRecord]:
        """Decode; numbers of one and two bytes, nearly all of them, are read in line."""
        base_offset, first_time = self.base_offset, self._first_time
        same_time = self._last_time if self._attributes & APPEND_TIME else None
        decoded: list[FetchedRecord] = []
        add = decoded.append
        for _ in range(self._count):
            byte, second = data[at], data[at + 1]
            if byte < 0x80:
                stop = at + 1 + (byte >> 1)
                at += 1
            elif second < 0x80:
                stop = at + 2 + ((byte & 0x7F | second << 7) >> 1)
                at += 2
            else:
                size, at = number_at(data, at)
                stop = at + size
            at += 1  # attributes of a record: none are defined
            byte = data[at]
            if byte == 0:
                time = first_time
                at += 1
            else:
                delta, at = number_at(data, at)
                time = first_time + delta
            byte, second = data[at], data[at + 1]
            if byte < 0x80:
                offset = base_offset + (byte >> 1)
                at += 1
            elif second < 0x80:
                offset = base_offset + ((byte & 0x7F | second << 7) >> 1)
                at += 2
            else:
                delta, at = number_at(data, at)
                offset = base_offset + delta
            byte = data[at]
            at += 1
            if byte < 0x80 and not byte & 1:
                end = at + (byte >> 1)
                key: bytes | None = data[at:end]
            elif byte == 1:
                key, end = None, at
            else:
                size, at = number_at(data, at - 1)
                end = at + size
                key = data[at:end]
            byte, second = data[end], data[end + 1]
            if byte < 0x80 and not byte & 1:
                at = end + 1
                end = at + (byte >> 1)
                value: bytes | None = data[at:end]
            elif byte >= 0x80 and second < 0x80:
                at = end + 2
                end = at + ((byte & 0x7F | second << 7) >> 1)
                value = data[at:end]
            elif byte == 1:
                value = None
                end += 1
            else:
                size, at = number_at(data, end)
                end = at + size
                value = data[at:end]
            if end >= stop:
                message = f"a record is longer than its {stop:,} bytes say"
                raise CorruptRecordException(message)
            if same_time is not None:
                time = same_time
            add(FetchedRecord(topic, partition, offset, time, key, value, data, end, stop))
            at = stop
        if at != len(data):
            message = f"{len(data) - at:,} bytes are left over behind the last record of a batch"
            raise CorruptRecordException(message)
        return decoded


class Batches:
    """What one fetch gave of one partition; stands in for aiokafka's ``MemoryRecords``."""

    def __init__(self, data: bytes) -> None:
        """Take the bytes; a batch that was cut off at the end does not count."""
        self._data = data
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return how many bytes were fetched."""
        return len(self._data)

    def has_next(self) -> bool:
        """Say whether there is another whole batch."""
        return self._end() is not None

    def _end(self) -> int | None:
        if self._at + MAGIC_AT >= len(self._data):
            return None
        end = self._at + LENGTH_AT + 4 + int(_LENGTH.unpack_from(self._data, self._at + LENGTH_AT)[0])
        return end if end <= len(self._data) else None

    def next_batch(self) -> Any:
        """Return the next batch; one of an older format as aiokafka reads it."""
        end = self._end()
        if end is None:
            return None
        data = self._data[self._at : end]
        self._at = end
        return Batch(data) if data[MAGIC_AT] == 2 else MemoryRecords(data).next_batch()


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is not typed
    """The records of one fetch of one partition, a batch at a time; aborted ones are left out as aiokafka does."""

    def __init__(self, tp: TopicPartition, *arguments: Any) -> None:
        """Take what aiokafka gives."""
        super().__init__(tp, *arguments)
        self._decoded: list[FetchedRecord] = []
        self._next = 0

    def __next__(self) -> FetchedRecord:
        """Return the next record."""
        found = self.take(1)
        if not found:
            raise StopIteration
        return found[0]

    @property
    def has_more(self) -> bool:
        """Say whether there may be more."""
        return self._next < len(self._decoded) or self._records.has_next()

    def take(self, most: int) -> list[FetchedRecord]:
        """Return at most so many of the next records; none means that there are no more."""
        while self._next >= len(self._decoded):
            if not self._records.has_next():
                return []
            self._decoded, self._next = self._batch(), 0
        found = self._decoded[self._next : self._next + most]
        self._next += len(found)
        self.next_fetch_offset = found[-1].offset + 1
        if self._next >= len(self._decoded):
            self.next_fetch_offset = max(self.next_fetch_offset, self._behind)
        return found

    def _batch(self) -> list[FetchedRecord]:
        """Return what is wanted of the next batch, and go behind it where that is nothing."""
        batch = self._records.next_batch()
        if self._check_crcs and not batch.validate_crc():
            message = f"Invalid CRC - {self._tp}"
            raise CorruptRecordException(message)
        self._behind = batch.next_offset
        if self._is_aborted(batch) or batch.is_control_batch:
            self.next_fetch_offset = batch.next_offset
            return []
        tp = self._tp
        if not isinstance(batch, Batch):
            return [self._consumer_record(tp, record) for record in batch if record.offset >= self.next_fetch_offset]
        decoded = batch.records(tp.topic, tp.partition)
        if decoded and decoded[0].offset < self.next_fetch_offset:
            decoded = [record for record in decoded if record.offset >= self.next_fetch_offset]
        if not decoded:
            self.next_fetch_offset = batch.next_offset
        return decoded

    def _is_aborted(self, batch: Any) -> bool:
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted_producers


class FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka is not typed
    """What a fetch gave, handed over in lists."""

    def getall(self, max_records: int | None = None) -> list[FetchedRecord]:
        """Return at most so many records, and move the position behind them."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records = self._partition_records
        found: list[FetchedRecord] = []
        most = EVERYTHING if max_records is None else max_records
        while len(found) < most and (more := records.take(most - len(found))):
            found = found + more if found else more
        self._update_position()
        if not records.has_more:
            self._partition_records: Any = None
        return found


def install() -> None:
    """Put the classes in the place of aiokafka's, once a process."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords = PartitionRecords
    fetcher.FetchResult = FetchResult
