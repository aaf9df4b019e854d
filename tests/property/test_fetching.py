"""Fetches decoded by our own classes: what aiokafka's own give, record for record and position for position."""

import struct
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import example, given
from hypothesis import strategies as st

from backbone.kafka import fetching
from backbone.kafka.fetched import FetchedRecord
from backbone.kafka.fetching import Batches, FetchResult, PartitionRecords
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged

PLACE = TopicPartition("E09000099.servicerequests.v1", 3)
TIME = 1_925_000_000_000
STOCK_RESULT, STOCK_RECORDS = fetcher.FetchResult, fetcher.PartitionRecords
assert STOCK_RECORDS is not PartitionRecords, "the stock classes were replaced before they could be looked at"

NAMES = st.sampled_from(["ce_type", "content-type", "ce_id", "ce_traceparent", "x", ""]) | st.text(max_size=90)
RECORDS = st.tuples(
    st.integers(-200_000, 200_000),
    st.none() | st.binary(max_size=80),
    st.none() | st.binary(max_size=300) | st.just(b"v" * 9_000),
    st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=90)), max_size=6),
)
BATCHES = st.tuples(
    st.lists(RECORDS, min_size=1, max_size=6),
    st.sampled_from(["plain", "transactional", "gzip", "commit", "abort", "append time"]),
    st.integers(0, 2),  # producer
    st.integers(0, 3),  # offsets that are not there before it
    st.integers(0, 2),  # and at its end, as compaction leaves them
)


def batch(records: list[Any], kind: str, producer: int, base: int, gone: int = 0) -> bytes:
    """Return a batch as a broker keeps it."""
    control = kind in {"commit", "abort"}
    builder = DefaultRecordBatchBuilder(
        2, int(kind == "gzip"), int(control or kind == "transactional"), -1, -1, 0, 2**30
    )
    if control:
        records = [(0, struct.pack(">hh", 0, int(kind == "commit")), b"\0\0\0\0\0\0", [])]
    for number, (delta, key, value, headers) in enumerate(records):
        assert builder.append(number, TIME + delta, key, value, headers) is not None
    builder.set_producer_state(producer, 0, 0)
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, base)
    struct.pack_into(">i", made, 23, len(records) - 1 + gone)
    attributes = struct.unpack_from(">h", made, 21)[0]
    attributes |= 0x20 if control else 0x08 if kind == "append time" else 0
    struct.pack_into(">h", made, 21, attributes)
    struct.pack_into(">I", made, 17, calc_crc32c(bytes(made[21:])))
    return bytes(made)


@dataclass
class Partition:
    """What a fetch result asks of a partition's assignment."""

    position: int
    paused: bool = False
    active: bool = True

    def state_value(self, _: TopicPartition) -> "Partition":
        """Return the partition's state: it is one itself."""
        return self

    def consumed_to(self, position: int) -> None:
        """Move on."""
        self.position = position


def seen(record: Any) -> tuple[Any, ...]:
    return (record.topic, record.partition, record.offset, record.timestamp, record.key, record.value,
            tuple(record.headers))  # fmt: skip


@given(
    st.lists(BATCHES, min_size=1, max_size=6),
    st.integers(0, 12),
    st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
    st.integers(1, 9),
    st.data(),
)
def test_every_fetch_gives_what_aiokafka_gives(
    batches: list[Any], begin: int, level: int, most: int, data: st.DataObject
) -> None:
    """Records, positions, aborted transactions, control batches, gaps, compression, times: equal at every step."""
    content, base = b"", 0
    for records, kind, producer, gap, gone in batches:
        base += gap
        content += batch(records, kind, producer, base, gone)
        base += gone + (1 if kind in {"commit", "abort"} else len(records))
    cut = data.draw(st.integers(0, 40))
    content = content[: len(content) - cut] if cut < 40 else content  # a fetch ends where its bytes do
    aborted = [(producer, first) for producer in range(3) for first in data.draw(st.lists(st.integers(0, base)))]
    theirs = taken(STOCK_RESULT, STOCK_RECORDS, MemoryRecords, content, list(aborted), begin, level, most)
    ours = taken(FetchResult, PartitionRecords, Batches, content, list(aborted), begin, level, most)
    assert [records for records, _ in ours] == [records for records, _ in theirs]
    assert [position for _, position in ours][-1:] == [position for _, position in theirs][-1:]
    following = [records[0][2] for records, _ in theirs[1:] if records]
    for (_, our), (_, their), first in zip(ours, theirs, following, strict=False):
        assert their <= our <= first, "a position may pass what is not handed over, and nothing else"


def taken(
    result: Any, partition_records: Any, memory: Any, content: bytes, aborted: list[Any], begin: int, level: int,
    most: int,
) -> list[tuple[list[Any], int]]:  # fmt: skip
    """Return what each call for at most so many records gives, and the position behind it."""
    parsed = memory(content)
    assert parsed.size_in_bytes() == len(content)
    if not parsed.has_next():
        return []
    partition = Partition(begin)
    records = partition_records(PLACE, parsed, aborted, begin, None, None, True, level)
    fetch = result(PLACE, assignment=partition, partition_records=records, backoff=0)
    steps = []
    while fetch.has_more():
        found = [seen(record) for record in fetch.getall(most)]
        steps.append((found, partition.position))
    if steps and not steps[-1][0]:  # whether the end is noticed with the last records or at one call more
        steps[-2:] = [(steps[-2][0] if len(steps) > 1 else [], steps[-1][1])]
    return steps


@given(st.lists(st.tuples(NAMES, st.binary(max_size=90)), max_size=8), st.lists(NAMES, max_size=3))
def test_headers_are_those_that_were_written_whatever_came_before(
    headers: list[tuple[str, bytes]], others: list[str]
) -> None:
    """What records share is known by its bytes, so one that begins like another is never taken for it."""
    for written in ([*headers, *((name, b"x") for name in others)], headers, headers[:-1]):
        record = Batches(batch([(0, b"k", b"v", written)], "plain", 1, 0)).next_batch().records("t", 0)[0]
        head = record.head
        assert head.event_type == dict(reversed(written)).get("ce_type")
        assert head.content_type == dict(reversed(written)).get("content-type")
        assert list(record.headers) == written


def test_events_of_one_kind_share_their_head() -> None:
    """Of an event's headers, those that all events of its type and source have are parsed once."""
    speaker = Publisher("E09000099")
    content = {"organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z", "state": "open"}
    written = [
        speaker.message(StatusChanged.model_validate({"case_ref": str(number), **content}))[1] for number in range(3)
    ]
    fetched: list[FetchedRecord] = Batches(
        batch([(0, key, value, headers) for key, value, headers in written], "plain", 1, 0)
    ).next_batch().records("t", 0)  # fmt: skip
    assert len({id(record.head) for record in fetched}) == 1
    assert fetched[0].head.event_type == StatusChanged.event_type.encode()
    assert [list(record.headers) for record in fetched] == [headers for _, _, headers in written]


@pytest.mark.parametrize("place", [21, 30, 60, 70, 100])
def test_a_flipped_bit_is_a_corrupt_batch(place: int) -> None:
    """Bytes that are not those that were written are refused, as aiokafka refuses them."""
    spoilt = bytearray(batch([(0, b"key", b"value" * 20, [("ce_type", b"t")])], "plain", 1, 0))
    spoilt[place] ^= 1
    records = PartitionRecords(PLACE, Batches(bytes(spoilt)), [], 0, None, None, True, READ_COMMITTED)
    with pytest.raises(CorruptRecordException):
        records.take(1)


@given(st.binary(min_size=1, max_size=60))
@example(b"0\x00\x80\x80")  # what is taken for a number of headers is below nothing
def test_bytes_that_are_no_records_are_corrupt_and_nothing_else(rubbish: bytes) -> None:
    """Without the checksum's protection, whatever stands there ends in records or in that one error."""
    made = bytearray(batch([(0, b"key", b"value", [("ce_type", b"t")])], "plain", 1, 0))
    made[61 : 61 + len(rubbish)] = rubbish
    try:
        for record in fetching.Batch(bytes(made)).records("t", 0):
            assert record.headers is not None
    except CorruptRecordException:
        return


def test_the_names_that_are_replaced_are_those_that_the_client_uses() -> None:
    """A new aiokafka that renames them, or gives them more to do, must fail here and not in production."""
    fetching.install()
    assert fetcher.FetchResult is FetchResult
    source = fetcher.Fetcher._proc_fetch_request.__code__.co_names
    assert {"MemoryRecords", "PartitionRecords", "FetchResult"} <= set(source)
    assert "getall" in fetcher.Fetcher.fetched_records.__code__.co_names
    own = {name for name in vars(STOCK_RECORDS) if not name.startswith("__")}
    assert own == {"_unpack_records", "_consume_aborted_up_to", "_contains_abort_marker", "_consumer_record"}
    results = {name for name in vars(STOCK_RESULT) if not name.startswith("__")}
    assert results == {"calculate_backoff", "check_assignment", "_update_position", "getone", "getall", "has_more"}
