"""CSV after RFC 4180: strict quoting, a declared dialect, columns found by name.

Lines end at LF or CRLF; an empty line is no record. A row with too few or too many cells, with a NUL or with an
over-long cell is set aside and the reader goes on behind it. A quote that is never closed, or text behind a closing
quote, holds the whole document: nobody can say where the next row starts. One cell holds at most 131,072 characters,
the standard library's limit, which bounds memory.
"""

import csv
import io
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Any, BinaryIO, Final

from backbone.errors import DocumentError
from backbone.formats.blocks import LineBlocks
from backbone.formats.reader import SCAN_SLICE_RECORDS, Malformed, RawRecord, Scan
from backbone.formats.text import (
    BLOCK_BYTES,
    DEFAULT_ENCODINGS,
    EncodingChoice,
    extends_ascii,
    looks_like_html,
    plain,
    without_bom,
)

RAW_CELL_CHARS: Final = 8_192
RAW_CELLS: Final = 256
"""How much of a malformed row goes into its reject."""


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """A CSV extract.

    ``columns`` are the names that the adapter knows; ``aliases`` maps other printed names to them. ``required`` ones
    must be in the header, by default all. Columns that are not named are kept under their printed name. Without a
    header (``header=False``) the columns are those declared, in that order. ``encodings`` must extend ASCII.
    """

    name: str
    columns: tuple[str, ...]
    required: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    encodings: tuple[str, ...] = DEFAULT_ENCODINGS
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    max_field_chars: int = 32_768
    block_bytes: int = BLOCK_BYTES

    def __post_init__(self) -> None:
        """Refuse encodings in which a line feed is not one byte."""
        odd = [encoding for encoding in self.encodings if not extends_ascii(encoding)]
        if odd:
            message = f"layout {self.name}: encodings {', '.join(odd)} do not extend ASCII"
            raise ValueError(message)

    def recognises(self, head: bytes) -> int:
        """Return the number of declared columns in the header, or 0 where a required one is missing."""
        if not head or looks_like_html(head) or b"\0" in head[:1_024]:
            return 0
        if not self.header:
            return 1
        text = without_bom(head)[0].decode("latin-1")
        try:
            printed: list[str] = next(self._rows(io.StringIO(text, newline="\n")), [])
        except csv.Error:
            return 0
        for encoding in self.encodings:
            names = set(self._names(printed, encoding))
            if names.issuperset(self._required()):
                return len(names.intersection(self.columns))
        return 0

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Settle the encoding and check header, quoting and record count.

        The structure is read as Latin-1, which decodes everything; quotes and line feeds stand where they stand in
        every encoding that extends ASCII. So one pass is enough, whichever encoding it will be.
        """
        choice = EncodingChoice(self.encodings)
        blocks = self._blocks(stream, "latin-1", watch=choice)
        rows = self._rows(chain.from_iterable(blocks))
        records = 0
        try:
            printed: list[str] = next(rows, [])
            if not printed and rows.line_num == 0:
                raise DocumentError("the document is empty: it has not even a header", code="document.empty")
            if not self.header and printed:
                records = 1
            while lengths := list(map(len, islice(rows, SCAN_SLICE_RECORDS))):
                records += len(lengths) - lengths.count(0)  # an empty line is no record
                yield
        except csv.Error as error:
            message = f"the quoting is broken at or before line {rows.line_num:,} ({error})"
            guidance = "have the supplier send the file again; look for a quote that is not closed"
            raise DocumentError(message, guidance=guidance) from None
        choice.feed(b"", final=True)
        if self.header:
            self._check(self._names(printed, choice.chosen))
        return Scan(records, choice.chosen)

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> "CsvReader":
        """Read the rows behind the first ``skip``, from ``offset`` where it is known."""
        blocks = self._blocks(stream, plain(scan.encoding))
        rows = self._rows(chain.from_iterable(blocks))
        names = [self._name(cell) for cell in next(rows, [])] if self.header else list(self.columns)
        if offset is not None and skip:
            stream.seek(offset)
            blocks = self._blocks(stream, plain(scan.encoding), start=offset)
            rows = self._rows(chain.from_iterable(blocks))
            return CsvReader(self, rows, blocks, names, number=skip)
        reader = CsvReader(self, rows, blocks, names)
        reader.drop(skip)
        return reader

    def _blocks(
        self, stream: BinaryIO, codec: str, *, start: int = 0, watch: EncodingChoice | None = None
    ) -> LineBlocks:
        return LineBlocks(
            stream, codec, self.block_bytes,
            start=start, long_line_chars=self.max_field_chars, watch=None if watch is None else watch.feed,
        )  # fmt: skip

    def _rows(self, lines: Iterable[str]) -> Any:
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def _required(self) -> tuple[str, ...]:
        return self.columns if self.required is None else self.required

    def _name(self, cell: str) -> str:
        printed = cell.strip()
        return self.aliases.get(printed, printed)

    def _names(self, latin1: Sequence[str], encoding: str) -> list[str]:
        return [self._name(cell.encode("latin-1").decode(plain(encoding), "replace")) for cell in latin1]

    def _check(self, names: Sequence[str]) -> None:
        missing = [name for name in self._required() if name not in names]
        if missing:
            raise DocumentError(f"the header lacks {', '.join(missing)}", code="document.unknown-layout")
        twice = sorted({name for name, after in pairwise(sorted(names)) if name == after})
        if twice:
            raise DocumentError(f"the header names a column twice: {', '.join(twice)}", code="document.unknown-layout")


class CsvReader:
    """Yield the rows of one document as mappings from column to text."""

    def __init__(
        self, layout: CsvLayout, rows: Any, blocks: LineBlocks, names: Sequence[str], *, number: int = 0
    ) -> None:
        """Take the C reader where the first row is next."""
        self._layout = layout
        self._rows = rows
        self._blocks = blocks
        self._names = tuple(names)
        self._row: Sequence[str] = ()
        self.number = number

    @property
    def offset(self) -> int | None:
        """Return the byte offset at which the row last yielded starts."""
        # the reader stands behind the row, which is as many lines long as its cells hold line feeds, and one
        lines = 1 + sum(cell.count("\n") for cell in self._row)
        return self._blocks.offset_of(self._rows.line_num - lines)

    def drop(self, count: int) -> None:
        """Pass over that many rows."""
        while self.number < count and (row := next(self._rows, None)) is not None:
            self.number += bool(row)

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield each row; blank lines are passed over."""
        rows, blocks, names = self._rows, self._blocks, self._names
        width = len(names)
        for row in rows:
            if row:
                self._row = row
                self.number += 1
                if len(row) != width:
                    message = f"the row has {len(row)} cells; the header has {width}"
                    yield Malformed("record.ragged", message, _kept(row))
                elif blocks.suspicious and (problem := self._suspicious(row)) is not None:
                    yield problem
                else:
                    yield dict(zip(names, row))  # noqa: B905 - the lengths were compared, and `strict` costs time

    def _suspicious(self, row: Sequence[str]) -> Malformed | None:
        most = self._layout.max_field_chars
        for name, cell in zip(self._names, row, strict=True):
            if "\0" in cell:
                return Malformed("record.nul", f"{name} holds a NUL character", _kept(row), name)
            if len(cell) > most:
                message = f"{name} has {len(cell):,} characters; at most {most:,} are taken"
                return Malformed("record.field-too-long", message, _kept(row), name)
        return None


def _kept(row: Sequence[str]) -> dict[str, list[str]]:
    return {"cells": [cell[:RAW_CELL_CHARS] for cell in row[:RAW_CELLS]]}


def csv_layout(name: str, *columns: str, required: Sequence[str] | None = None, **more: Any) -> CsvLayout:
    """Declare a CSV layout with less ceremony."""
    return CsvLayout(name, columns, None if required is None else tuple(required), **more)
