"""Packed messages and record batches: the same bytes as aiokafka's own builder makes."""

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from backbone.kafka.record_batch import RECORD_FRAME_BYTES, RecordBatch
from backbone.packed import Message, pack, packed_headers, unpack, varint

NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
MESSAGES: st.SearchStrategy[Message] = st.tuples(
    st.binary(max_size=80),
    st.none() | st.binary(max_size=5_000),
    st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=5),
)
LAST = ("ce_recordedtime", b"2031-01-06T08:00:00.000Z")
TIMESTAMP = 1_925_000_000_000


@given(MESSAGES)
def test_a_packed_message_is_unpacked_to_what_it_was(message: Message) -> None:
    """Key, value or tombstone, and headers come back unchanged."""
    assert unpack(pack(message)) == message


@given(st.lists(MESSAGES, min_size=1, max_size=8), st.integers(0, 2**40), st.integers(0, 2**15 - 1))
def test_a_batch_has_the_bytes_that_the_client_would_send(
    messages: list[Message], producer_id: int, epoch: int
) -> None:
    """Whatever is in it, our batch and that of aiokafka's builder are equal to the byte, checksum included."""
    theirs = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 2**30)
    for place, (key, value, headers) in enumerate(messages):
        assert theirs.append(place, TIMESTAMP, key, value, [*headers, LAST]) is not None
    theirs.set_producer_state(producer_id, epoch, 7)
    ours = RecordBatch([pack(message) for message in messages], packed_headers([LAST]), TIMESTAMP)
    size = ours.size()
    ours._set_producer_state(producer_id, epoch, 7)
    assert ours._build() == bytes(theirs.build())
    assert size == len(ours._build())
    assert ours.record_count() == len(messages)


def test_a_batch_of_thousands_is_read_back() -> None:
    """Places over the table of ready-made ones are spelt right, and no record is larger than was reckoned."""
    messages = [pack((b"%d" % number, b"x", [])) for number in range(5_000)]
    last = packed_headers([LAST])
    batch = RecordBatch(messages, last, TIMESTAMP)
    assert batch.size() <= 61 + sum(map(len, messages)) + 5_000 * (len(last) + RECORD_FRAME_BYTES)
    read = MemoryRecords(batch._build()).next_batch()
    assert read is not None
    assert read.validate_crc()
    found = list(read)
    assert [record.key for record in found] == [b"%d" % number for number in range(5_000)]
    assert [record.offset for record in found] == list(range(5_000))


def test_numbers_of_every_length_are_spelt_as_kafka_does() -> None:
    """Zigzag: the vectors of the protocol buffers' documentation, and the borders of one, two and three bytes."""
    assert [varint(number) for number in (0, -1, 1, -2)] == [b"\x00", b"\x01", b"\x02", b"\x03"]
    assert [len(varint(number)) for number in (63, 64, 8_191, 8_192, 2_147_483_647)] == [1, 2, 2, 3, 5]
