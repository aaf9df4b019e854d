"""JSON lines, and JSON arrays read as a stream. Duplicate keys, NaN and Infinity are refused; depth is capped.

Whole numbers are exact integers; numbers with a fraction stay as printed, as text, since a float may not be what
the source wrote.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NoReturn

from backbone.errors import DocumentError, MalformedError
from backbone.formats.reader import SCAN_SLICE_RECORDS, Malformed, RawRecord, Scan
from backbone.formats.text import BLOCK_BYTES, looks_like_html, without_bom

MAX_DEPTH: Final = 64
RAW_LINE_CHARS: Final = 65_536
_SPACE: Final = b" \t\r\n"


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse one JSON object strictly; raises MalformedError, which never repeats the data."""
    if _depth(data) > MAX_DEPTH:
        raise MalformedError(f"the JSON is more than {MAX_DEPTH} deep", code="record.too-deep")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=str
        )
    except UnicodeDecodeError:
        raise MalformedError("the JSON is not UTF-8", code="record.undecodable") from None
    except json.JSONDecodeError as error:
        raise MalformedError(f"it is no JSON at character {error.pos}") from None
    except ValueError:
        raise MalformedError("a number of the JSON is too long") from None
    if not isinstance(value, dict):
        raise MalformedError("the JSON is no object")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise MalformedError("the JSON has a key twice in one object", code="record.duplicate-key")
    return made


def _no_constant(_name: str) -> NoReturn:
    raise MalformedError("the JSON holds NaN or Infinity", code="record.not-a-number")


def _depth(data: bytes) -> int:
    """Return how deep brackets nest, outside of strings; exact for JSON, safe for anything."""
    deepest = depth = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


@dataclass(frozen=True, slots=True)
class JsonLinesLayout:
    """One JSON object a line. A line that is none is set aside, and the next one goes on."""

    name: str
    max_record_bytes: int = 1_048_576

    def recognises(self, head: bytes) -> int:
        """Return 1 where the document begins with an object."""
        start = without_bom(head)[0].lstrip()
        return int(start.startswith(b"{") and not looks_like_html(head))

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Count the lines that are not blank."""
        records, due = 0, SCAN_SLICE_RECORDS
        for _, line in _lines(stream, self.max_record_bytes):
            records += bool(line.strip(_SPACE))
            if records >= due:
                due += SCAN_SLICE_RECORDS
                yield
        if records == 0:
            raise DocumentError("the document is empty", code="document.empty")
        return Scan(records, "utf-8")

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> "JsonLinesReader":
        """Read the lines behind the first ``skip``, from ``offset`` where it is known."""
        del scan
        return JsonLinesReader(self, stream, skip, offset)


class JsonLinesReader:
    """Yield the objects of a JSON lines document."""

    def __init__(self, layout: JsonLinesLayout, stream: BinaryIO, skip: int, offset: int | None) -> None:
        """Start at ``offset``, or at the beginning and drop the first ``skip``."""
        self._layout = layout
        self._stream = stream
        self._skip = skip
        self._start = offset if offset is not None and skip else 0
        self.number = skip if self._start else 0
        self.offset: int | None = None

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield each object, or what stood there instead of one."""
        if self._start:
            self._stream.seek(self._start)
        for offset, line in _lines(self._stream, self._layout.max_record_bytes, self._start):
            content = line.strip(_SPACE)
            if not content:
                continue
            self.number += 1
            if self.number <= self._skip:
                continue
            self.offset = offset
            yield _record(content, self._layout.max_record_bytes)


def _record(content: bytes, most: int) -> RawRecord | Malformed:
    raw = {"line": content[:RAW_LINE_CHARS].decode("utf-8", "backslashreplace")}
    if len(content) > most:
        return Malformed("record.oversize", f"the line has more than {most:,} bytes", raw)
    try:
        return parse_object(content)
    except MalformedError as error:
        return Malformed(error.code, error.message, raw)


def _lines(stream: BinaryIO, most: int, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (byte offset, line); what is longer than ``most`` comes cut, one byte too long, so that it shows."""
    offset = start
    while line := stream.readline(most + 1):
        length = len(line)
        content = without_bom(line)[0] if offset == 0 else line
        while not line.endswith(b"\n") and (line := stream.readline(BLOCK_BYTES)):
            length += len(line)
        yield offset, content
        offset += length


@dataclass(frozen=True, slots=True)
class JsonArrayLayout:
    """A JSON array of objects, alone or at a path within an object (``results/items``)."""

    name: str
    path: str = ""
    max_record_bytes: int = 1_048_576

    def recognises(self, head: bytes) -> int:
        """Return 1 where the document begins as it must: with ``[``, or ``{`` where there is a path."""
        start = without_bom(head)[0].lstrip()[:1]
        return int(start == (b"{" if self.path else b"["))

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Parse every element, as a broken array holds the whole document."""
        records, due = 0, SCAN_SLICE_RECORDS
        for _, data in self._elements(stream):
            try:
                parse_object(data)
            except MalformedError as error:
                if error.code == "record.malformed":
                    raise DocumentError(f"element {records + 1:,} of the array: {error.message}") from None
            records += 1
            if records >= due:
                due += SCAN_SLICE_RECORDS
                yield
        return Scan(records, "utf-8")

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> "JsonArrayReader":
        """Read the elements behind the first ``skip``; the array is parsed from its beginning."""
        del scan, offset
        return JsonArrayReader(self, stream, skip)

    def _elements(self, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        splitter = _Splitter(stream, self.max_record_bytes)
        splitter.enter(self.path.split("/") if self.path else [])
        yield from splitter.elements()


class JsonArrayReader:
    """Yield the objects of a JSON array."""

    def __init__(self, layout: JsonArrayLayout, stream: BinaryIO, skip: int) -> None:
        """Start at the beginning; the first ``skip`` elements are dropped."""
        self._layout = layout
        self._stream = stream
        self._skip = skip
        self.number = 0
        self.offset: int | None = None

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield each element."""
        for offset, data in self._layout._elements(self._stream):  # noqa: SLF001 - two halves of one concept
            self.number += 1
            if self.number > self._skip:
                self.offset = offset
                yield _record(data, self._layout.max_record_bytes)


class _Splitter:
    """Cut the elements of one array out of a stream of bytes, by brackets and strings alone."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._most = most
        self._data = b""
        self._at = 0
        self._base = 0

    def _peek(self) -> int:
        """Return the next byte that is no space, or -1 at the end."""
        while True:
            while self._at < len(self._data):
                byte = self._data[self._at]
                if byte not in _SPACE:
                    return byte
                self._at += 1
            if not self._more():
                return -1

    def _more(self) -> bool:
        block = self._stream.read(BLOCK_BYTES)
        if self._base == 0 and not self._data:
            block, bom = without_bom(block)
            self._base = bom
        keep = self._data[self._at :]
        self._base += self._at
        self._data, self._at = keep + block, 0
        return bool(block)

    def _expect(self, wanted: bytes) -> None:
        if self._peek() != wanted[0]:
            raise DocumentError(f"the JSON lacks {wanted.decode()} at byte {self._base + self._at:,}")
        self._at += 1

    def enter(self, path: list[str]) -> None:
        """Go to the array at the path: what stands before it in the same objects is passed over."""
        for name in path:
            self._expect(b"{")
            while self._string() != name:
                self._expect(b":")
                self._value()
                if self._peek() != 0x2C:
                    raise DocumentError(f"the JSON has no {name}", code="document.unknown-layout")
                self._at += 1
            self._expect(b":")
        self._expect(b"[")

    def _string(self) -> str:
        if self._peek() != 0x22:
            raise DocumentError(f"the JSON lacks a key at byte {self._base + self._at:,}")
        try:
            return str(json.loads(self._value()[1]))
        except ValueError:
            raise DocumentError("a key of the JSON is broken") from None

    def elements(self) -> Iterator[tuple[int, bytes]]:
        """Yield (byte offset, bytes) of each element up to the closing bracket."""
        if self._peek() == 0x5D:
            return
        while True:
            yield self._value()
            following = self._peek()
            self._at += 1
            if following == 0x5D:
                return
            if following != 0x2C:
                raise DocumentError(f"the array is broken at byte {self._base + self._at:,}")

    def _value(self) -> tuple[int, bytes]:
        """Return the offset and the bytes of the value that begins here."""
        if self._peek() < 0:
            raise DocumentError("the JSON ends too early")
        depth, in_string, escaped, length = 0, False, False, 0
        while True:
            if self._at + length >= len(self._data) and not self._grow():
                if depth or in_string:
                    raise DocumentError("the JSON ends too early")
                break
            byte = self._data[self._at + length]
            if in_string:
                in_string = escaped or byte != 0x22
                escaped = byte == 0x5C and not escaped
            elif byte == 0x22:
                in_string = True
            elif byte in b"[{":
                depth += 1
            elif byte in b"]}," and depth == 0:
                break
            elif byte in b"]}":
                depth -= 1
            elif byte == 0x3A and depth == 0:
                break
            length += 1
            if length > self._most:
                message = f"an element of the JSON has more than {self._most:,} bytes"
                raise DocumentError(message, code="document.record-too-large")
        offset, data = self._base + self._at, self._data[self._at : self._at + length].rstrip(_SPACE)
        self._at += length
        return offset, data

    def _grow(self) -> bool:
        block = self._stream.read(BLOCK_BYTES)
        self._base += self._at
        self._data, self._at = self._data[self._at :] + block, 0
        return bool(block)
