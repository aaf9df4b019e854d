"""Fixed-width text: declared columns, and header and trailer lines whose totals must agree."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, Final

from backbone.errors import DocumentError
from backbone.formats.reader import SCAN_SLICE_RECORDS, Malformed, RawRecord, Scan
from backbone.formats.text import EncodingChoice, extends_ascii, looks_like_html, plain, without_bom

LINE_MAX_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class FixedColumn:
    """A column: name, position of its first character from 0, length in characters; stripped unless told not to."""

    name: str
    start: int
    length: int
    strip: bool = True


@dataclass(frozen=True, slots=True)
class Total:
    """A figure that the document states of itself, by a pattern with one group, in a header or trailer line.

    ``column`` names the column whose sum it is; without one it is the number of records.
    """

    name: str
    pattern: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class FixedWidthLayout:
    """A fixed-width extract of lines with ``line_chars`` characters, ended by LF or CRLF.

    ``header_lines`` at the top are no records. The first line that ``trailer`` matches ends the records; what follows
    may hold ``totals``, each of which must be there and agree.
    """

    name: str
    columns: tuple[FixedColumn, ...]
    line_chars: int
    header_lines: int = 0
    trailer: str = r"^\s{0,1}$"
    totals: tuple[Total, ...] = ()
    encodings: tuple[str, ...] = ("ascii", "cp1252")

    def __post_init__(self) -> None:
        """Refuse encodings in which a character is not found by its byte, and columns outside of the line."""
        if any(not extends_ascii(encoding) for encoding in self.encodings):
            raise ValueError(f"layout {self.name}: encodings must extend ASCII")
        if any(column.start + column.length > self.line_chars for column in self.columns):
            raise ValueError(f"layout {self.name}: a column lies outside of the line")

    def recognises(self, head: bytes) -> int:
        """Return 1 where the first record line has the right length."""
        if looks_like_html(head):
            return 0
        lines = without_bom(head)[0].decode("latin-1").split("\n")
        if len(lines) <= self.header_lines:
            return 0
        first = lines[self.header_lines].rstrip("\r")
        return int(len(first) == self.line_chars or re.search(self.trailer, first) is not None)

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Count and sum the records and compare with the totals."""
        choice, sums = EncodingChoice(self.encodings), {total.column: Decimal(0) for total in self.totals}
        records, due, behind, broken = 0, SCAN_SLICE_RECORDS, [], False
        for _, line, is_record in self._lines(stream, choice):
            if not is_record:
                behind.append(line)
                continue
            records += 1
            broken = not self._add(line, sums) or broken
            if records >= due:
                due += SCAN_SLICE_RECORDS
                yield
        choice.feed(b"", final=True)
        declared = self._agree("\n".join(behind), records, sums, broken=broken)
        return Scan(records, choice.chosen, declared)

    def _add(self, line: str, sums: dict[str, Decimal]) -> bool:
        """Add a line's figures; say whether it was a whole line with figures in it."""
        if len(line) != self.line_chars:
            return False
        for column in self.columns:
            if column.name in sums:
                try:
                    sums[column.name] += Decimal(line[column.start : column.start + column.length].strip())
                except InvalidOperation:
                    return False
        return True

    def _agree(self, text: str, records: int, sums: dict[str, Decimal], *, broken: bool) -> dict[str, str]:
        declared: dict[str, str] = {}
        for total in self.totals:
            match = re.search(total.pattern, text, re.MULTILINE)
            try:
                said = Decimal(match[1].replace(",", "").strip()) if match else None
            except InvalidOperation:
                said = None
            if said is None or not said.is_finite():
                raise DocumentError(f"the document does not state its {total.name}", code="document.malformed")
            found = sums[total.column] if total.column else Decimal(records)
            code = "document.total-mismatch" if total.column else "document.count-mismatch"
            if said != found or (broken and total.column):
                message = f"the document's {total.name} does not agree with its records"
                guidance = "have the supplier send the file again; a line was lost, cut or changed"
                raise DocumentError(message, code=code, guidance=guidance)
            declared[total.name] = str(said)
        return declared

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> "FixedWidthReader":
        """Read the lines behind the first ``skip``; the file is read from its beginning."""
        del offset
        return FixedWidthReader(self, stream, scan.encoding, skip)

    def _lines(self, stream: BinaryIO, choice: EncodingChoice | None) -> Iterator[tuple[int, str, bool]]:
        """Yield (byte offset, line as Latin-1, whether it is a record); lines that are no records come too."""
        offset, number, ended = 0, 0, False
        trailer = re.compile(self.trailer)
        while data := stream.readline(LINE_MAX_BYTES):
            if choice is not None:
                choice.feed(data)
            content, bom = without_bom(data) if offset == 0 else (data, 0)
            line = content.decode("latin-1").removesuffix("\n").removesuffix("\r")
            number += 1
            if number > self.header_lines and not ended:
                ended = trailer.search(line) is not None
            yield offset + bom, line, number > self.header_lines and not ended
            offset += len(data)


class FixedWidthReader:
    """Yield the record lines of one document, cut into columns."""

    def __init__(self, layout: FixedWidthLayout, stream: BinaryIO, encoding: str, skip: int) -> None:
        """Start at the beginning; the first ``skip`` records are dropped."""
        self._layout = layout
        self._stream = stream
        self._codec = plain(encoding)
        self._skip = skip
        self.number = 0
        self.offset: int | None = None

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield each line; one of another length is set aside."""
        layout = self._layout
        for offset, latin1, is_record in layout._lines(self._stream, None):  # noqa: SLF001 - two halves of a concept
            if not is_record:
                continue
            self.number += 1
            if self.number <= self._skip:
                continue
            self.offset = offset
            line = latin1.encode("latin-1").decode(self._codec)
            if len(line) != layout.line_chars:
                message = f"the line has {len(line)} characters; it must have {layout.line_chars}"
                yield Malformed("record.ragged", message, {"line": line})
            elif "\0" in line:
                yield Malformed("record.nul", "the line holds a NUL character", {"line": line})
            else:
                yield {column.name: _cut(line, column) for column in layout.columns}


def _cut(line: str, column: FixedColumn) -> str:
    cell = line[column.start : column.start + column.length]
    return cell.strip() if column.strip else cell
