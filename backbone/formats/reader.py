"""The contract between a format and the pipeline: how the bytes of one document become raw records.

A layout is what an adapter declares ("this system's CSV has these columns"). It is used three times on a document:
``recognises`` looks at the first bytes, ``scan`` passes once over everything before anything is published, and
``read`` yields the raw records. All of it is pure but for reading the stream it is given.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, runtime_checkable

RawRecord = Mapping[str, Any]
"""One legacy record as printed: text by column or element name, or nested mappings and lists of them."""

HEAD_BYTES = 65_536
"""How much of a document ``recognises`` gets to see."""

SCAN_SLICE_RECORDS = 1_000
"""After so many records, a scan gives way to the event loop."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A stretch of the document that is not a record: it becomes a reject, and the reader goes on behind it.

    ``raw`` is what stood there, cut to 64 KiB; it goes to the rejects topic only, never into a message.
    """

    code: str
    message: str
    raw: Mapping[str, Any]
    field: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first pass learnt of a whole document.

    ``records`` counts everything that ``read`` will yield, malformed records included. ``declared`` holds what the
    document says of itself (trailer and header fields), for receipts; it has been checked already.
    """

    records: int
    encoding: str
    declared: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Reader(Protocol):
    """Iterate over the raw records of one document, once.

    ``number`` is the number of the record last yielded, from 1; ``offset`` is the byte offset at which it starts in
    the decompressed document, or None where the format cannot say. ``offset`` may cost time: ask only when it is
    needed.
    """

    @property
    def number(self) -> int:
        """Return the number of the record last yielded, from 1."""
        ...

    @property
    def offset(self) -> int | None:
        """Return the byte offset at which that record starts, if it is known."""
        ...

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield every record once."""
        ...


class Layout(Protocol):
    """Say how the bytes of one kind of document become raw records."""

    @property
    def name(self) -> str:
        """Return the name by which a feed chooses the layout."""
        ...

    def recognises(self, head: bytes) -> int:
        """Return how well the first bytes fit: 0 not at all, more is better (for CSV the number of known columns)."""
        ...

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Pass over the whole document; yield every ``SCAN_SLICE_RECORDS`` records; return what was learnt.

        Raises DocumentError when the document must be held: wrong header, undecodable, unterminated quote, DOCTYPE,
        a count or a total that disagrees.
        """
        ...

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> Reader:
        """Read the records behind the first ``skip``; ``offset`` is where record ``skip`` + 1 starts, if known.

        A reader that cannot start at an offset parses from the beginning and drops the first ``skip``. Numbers go
        on from ``skip``.
        """
        ...
