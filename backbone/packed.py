"""Messages in Kafka's own record format (version 2), packed once where they are made. Pure.

A packed message is a record's bytes from the length of its key to its last header but one: the record's place in its
batch, its time and the ``ce_recordedtime`` header are the producer's to add. So an event crosses the product as one
``bytes`` object, and what is equal for all events of a document is packed once. See ``docs/adr/0004-hot-path.md``.
"""

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[str, bytes]]
Message = tuple[bytes, bytes | None, Headers]
"""Key, value and headers of one Kafka record; only a tombstone of a compacted topic has no value."""

TABLE_SIZE: Final = 4_096


def _varint(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(0x80 | (zigzag & 0x7F))
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


VARINTS: Final = tuple(_varint(number) for number in range(TABLE_SIZE))


def varint(number: int) -> bytes:
    """Return a signed number as Kafka's records spell it: zigzag, seven bits a byte, the lowest first."""
    return VARINTS[number] if 0 <= number < TABLE_SIZE else _varint(number)


def framed(content: bytes) -> bytes:
    """Return bytes behind their length."""
    return varint(len(content)) + content


def packed_headers(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Return headers one behind the other, without their count."""
    return b"".join(framed(name.encode()) + framed(content) for name, content in headers)


def pack(message: Message) -> bytes:
    """Return a message as a record has it; its count of headers includes the one that the producer adds."""
    key, value, headers = message
    body = b"\x01" if value is None else framed(value)
    return b"".join((framed(key), body, varint(len(headers) + 1), packed_headers(headers)))


def unpack(packed: bytes) -> Message:
    """Return what ``pack`` was given; of an event, what a reader of its topic sees but for ``ce_recordedtime``."""
    key, place = _framed_at(packed, 0)
    value, place = _framed_at(packed, place)
    count, place = number_at(packed, place)
    headers: Headers = []
    for _ in range(count - 1):
        name, place = _framed_at(packed, place)
        content, place = _framed_at(packed, place)
        headers.append(((name or b"").decode(), content or b""))
    return key or b"", value, headers


def number_at(packed: bytes, place: int) -> tuple[int, int]:
    """Return the signed number at a place, as ``varint`` spells it, and the place behind it."""
    zigzag = shift = 0
    while True:
        byte = packed[place]
        place += 1
        zigzag |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (zigzag >> 1) ^ -(zigzag & 1), place
        shift += 7


def _framed_at(packed: bytes, place: int) -> tuple[bytes | None, int]:
    length, place = number_at(packed, place)
    return (None, place) if length < 0 else (packed[place : place + length], place + length)
