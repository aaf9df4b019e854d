"""A record as it was fetched: its headers are parsed when somebody asks, and what documents share only once.

aiokafka decodes every header of every record, which for an event's fourteen takes half of all the time of reading. Half
of them are the same for all events of one type and source, and come first: they are a ``Head``, known by its bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka.errors import CorruptRecordException

from backbone.packed import number_at

Headers = Sequence[tuple[str, bytes]]
RECENT_HEADS: Final = 8
TYPE: Final = "ce_type"
CONTENT_TYPE: Final = "content-type"
ID: Final = b"\x0ace_id"
"""A header's name as it stands in a record, behind its length."""
NO_TEXT: Final = (0, 1)
"""How the length of an empty value begins, and that of none."""
OF_ITS_OWN: Final = frozenset({"ce_id", "ce_traceparent", "ce_subject", "ce_sequence", "ce_time"})
"""The first of these ends what a record shares with others."""


@dataclass(frozen=True, slots=True)
class Head:
    """The headers that a record shares with others: their bytes, with the number of all headers before them.

    ``event_type`` and ``content_type`` are those of every record that begins so, None where it has none.
    """

    prefix: bytes
    headers: tuple[tuple[str, bytes], ...]
    count: int
    event_type: bytes | None
    content_type: bytes | None


_recent: list[Head] = []


class FetchedRecord:
    """One record. It keeps the bytes of its batch until its headers have been asked for."""

    __slots__ = ("_at", "_data", "_end", "_headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(
        self, topic: str, partition: int, offset: int, timestamp: int, key: bytes | None, value: bytes | None,
        data: bytes, at: int, end: int,
    ) -> None:  # fmt: skip
        """Take what was decoded, and where in ``data`` the number of its headers stands and where they end."""
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self._data = data
        self._at = at
        self._end = end
        self._headers: Headers | None = None

    @property
    def head(self) -> Head:
        """Return what its headers begin with; raises CorruptRecordException for bytes that are none."""
        data, at = self._data, self._at
        for head in _recent:
            if data.startswith(head.prefix, at):
                return head
        head = _head(data, at)
        _recent.insert(0, head)
        del _recent[RECENT_HEADS:]
        return head

    def has_id(self) -> bool:
        """Say whether there is an event's id among its headers, without parsing them."""
        at = self._data.find(ID, self._at, self._end)
        return at >= 0 and self._data[at + len(ID)] not in NO_TEXT

    @property
    def headers(self) -> Headers:
        """Return all headers; raises CorruptRecordException for bytes that are none."""
        if self._headers is None:
            head = self.head
            own = _parsed(self._data, self._at + len(head.prefix), head.count - len(head.headers))[0]
            self._headers = (*head.headers, *own)
        return self._headers


def _head(data: bytes, begin: int) -> Head:
    """Return the first headers, if both that say what a record is are among them, and else all of them."""
    count, behind_count = number_at(data, begin)
    if count < 0:
        message = f"a record has {count} headers"
        raise CorruptRecordException(message)
    headers, ends = _parsed(data, behind_count, count)
    names = [name for name, _ in headers]
    shared = next((place for place, name in enumerate(names) if name in OF_ITS_OWN), count)
    if not {TYPE, CONTENT_TYPE} <= set(names[:shared]):
        shared = count
    end = ends[shared - 1] if shared else behind_count
    # the first of a name counts, as for whoever looks for it in the headers
    values = dict(reversed(headers[:shared]))
    return Head(data[begin:end], tuple(headers[:shared]), count, values.get(TYPE), values.get(CONTENT_TYPE))


def _parsed(data: bytes, at: int, count: int) -> tuple[list[tuple[str, bytes]], list[int]]:
    """Return headers, and where each ends; lengths of one byte, nearly all of them, are read in line."""
    headers: list[tuple[str, bytes]] = []
    ends: list[int] = []
    known = _NAMES
    try:
        for _ in range(count):
            size = data[at]
            if size < 0x80:
                begin, end = at + 1, at + 1 + (size >> 1)
            else:
                size, begin = number_at(data, at)
                end = begin + size
            encoded = data[begin:end]
            name = known.get(encoded) or encoded.decode("utf-8", "replace")
            size = data[end]
            if size < 0x80 and not size & 1:
                begin, at = end + 1, end + 1 + (size >> 1)
                headers.append((name, data[begin:at]))
            else:
                size, begin = number_at(data, end)
                at = begin + max(0, size)
                headers.append((name, data[begin:at] if size >= 0 else None))  # type: ignore[arg-type]  # as aiokafka
            ends.append(at)
    except IndexError as error:
        message = f"the headers of a record are not as they must be: {type(error).__name__}"
        raise CorruptRecordException(message) from error
    return headers, ends


_NAMES: Final = {
    f"ce_{name}".encode(): f"ce_{name}"
    for name in ("id", "subject", "sequence", "time", "recordedtime", "traceparent", "late", "replayid")
}
"""Names that are met again and again, so that they need not be decoded."""
