"""Formats under arbitrary and hostile input: what is written comes back, offsets are true, nothing blows up."""

import csv
import io
import json
import tracemalloc
from collections.abc import Generator, Sequence
from decimal import Decimal
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.errors import DocumentError
from backbone.formats import (
    CsvLayout,
    FixedColumn,
    FixedWidthLayout,
    JsonArrayLayout,
    JsonLinesLayout,
    Layout,
    Malformed,
    Scan,
    Total,
    XmlLayout,
    csv_layout,
)
from backbone.formats.blocks import KEPT_BLOCKS

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=25)
XML_TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=12).map(str.strip)


def scanned(layout: Layout, data: bytes) -> Scan:
    steps: Generator[None, None, Scan] = layout.scan(io.BytesIO(data))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            scan: Scan = stop.value
            return scan


def read(layout: Layout, data: bytes, **position: Any) -> list[Any]:
    return list(layout.read(io.BytesIO(data), scanned(layout, data), **position))


def written(rows: Sequence[tuple[str, ...]], ending: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ending)
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    return text.getvalue().encode()


@settings(max_examples=100)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40), st.booleans())
def test_csv_comes_back_as_it_was_written(
    rows: list[tuple[str, str, str]],
    ending: str,
    block_bytes: int,
    bom: bool,  # noqa: FBT001
) -> None:
    """Any table that the standard library writes is read back, at every block size, with or without a BOM."""
    layout = CsvLayout("t", ("a", "b", "c"), block_bytes=block_bytes)
    data = (b"\xef\xbb\xbf" if bom else b"") + written(rows, ending)
    assert [tuple(row.values()) for row in read(layout, data)] == rows
    assert scanned(layout, data).records == len(rows)


@settings(max_examples=60)
@given(ROWS.filter(bool), st.sampled_from(["\n", "\r\n"]), st.integers(1, 60), st.data())
def test_csv_goes_on_from_any_offset(
    rows: list[tuple[str, str, str]], ending: str, block_bytes: int, data: st.DataObject
) -> None:
    """The offset of a row is where its bytes start: reading on from there gives the same rest.

    It is not known only of a row that is longer than the blocks that are kept; then the document is read again.
    """
    layout = CsvLayout("t", ("a", "b", "c"), block_bytes=block_bytes)
    content = written(rows, ending)
    scan = scanned(layout, content)
    reader = layout.read(io.BytesIO(content), scan)
    offsets = [reader.offset for _ in reader]
    number = data.draw(st.integers(1, len(rows)))
    offset = offsets[number - 1]
    if offset is None:
        assert sum(len(cell.encode()) for cell in rows[number - 1]) >= (KEPT_BLOCKS - 1) * block_bytes
    at = {} if number == 1 else {"skip": number - 1, "offset": offset}
    rest = layout.read(io.BytesIO(content), scan, **at)  # type: ignore[arg-type]
    assert [tuple(row.values()) for row in rest] == rows[number - 1 :]  # type: ignore[union-attr]
    skipped = layout.read(io.BytesIO(content), scan, skip=number - 1)
    assert [tuple(row.values()) for row in skipped] == rows[number - 1 :]  # type: ignore[union-attr]
    assert skipped.number == len(rows)


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), CELL | st.integers() | st.none() | st.lists(CELL, max_size=3)), max_size=12
    )
)
def test_json_lines_and_arrays_hold_the_same(records: list[dict[str, Any]]) -> None:
    """The same objects come out of lines, of an array and of an array within an object, with true offsets."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    array = json.dumps(records, indent=1).encode()
    nested = json.dumps({"first": [1, {"x": "]"}], "results": {"items": records}}).encode()
    assert read(JsonArrayLayout("t"), array) == records
    assert read(JsonArrayLayout("t", path="results/items"), nested) == records
    if records:
        assert read(JsonLinesLayout("t"), lines) == records
        reader = JsonLinesLayout("t").read(io.BytesIO(lines), Scan(len(records), "utf-8"))
        for record, offset in [(record, reader.offset) for record in reader]:
            assert offset is not None
            assert json.loads(lines[offset:].split(b"\n")[0]) == record


@settings(max_examples=60)
@given(st.lists(st.tuples(XML_TEXT, st.lists(XML_TEXT, max_size=3)), max_size=10))
def test_xml_comes_back_as_it_was_written(records: list[tuple[str, list[str]]]) -> None:
    """Text, and elements that repeat or not, are read back; the count must agree."""
    body = "".join(
        f"<r><one>{escape(one)}</one>{''.join(f'<many>{escape(text)}</many>' for text in many)}</r>"
        for one, many in records
    )
    data = f'<g xmlns="urn:x">{body}<n>{len(records)}</n></g>'.encode()
    layout = XmlLayout("t", record="g/r", many=("many",), count="g/n")
    assert read(layout, data) == [{"one": one, **({"many": many} if many else {})} for one, many in records]
    wrong = XmlLayout("t", record="g/r", count="g/n")
    with pytest.raises(DocumentError, match="says that it has"):
        scanned(wrong, data.replace(f"<n>{len(records)}".encode(), f"<n>{len(records) + 1}".encode()))


ALLPAY = FixedWidthLayout(
    "allpay",
    columns=(
        FixedColumn("account", 7, 16),
        FixedColumn("amount", 23, 9),
        FixedColumn("method", 32, 1),
        FixedColumn("date", 33, 10),
    ),
    line_chars=43,
    trailer=r"^.{0,1}$",
    totals=(
        Total("total amount", r"Total Amount.{22}(.{0,17})", "amount"),
        Total("transactions", r"Total Transactions.{22}(.{0,17})"),
    ),
)


def allpay(amounts: list[int], *, total: int | None = None, count: int | None = None, ending: str = "\r\n") -> bytes:
    lines = [f" 900001{number:016d}{Decimal(amount) / 100:>9.2f}T30/06/2031" for number, amount in enumerate(amounts)]
    whole = sum(amounts) if total is None else total
    lines += [
        "", f"{'Total Amount Updated onto System:':<34}{Decimal(whole) / 100:>17.2f}",
        f"{'Total Transactions updated onto System:':<40}{len(amounts) if count is None else count:>17}",
    ]  # fmt: skip
    return (ending.join(lines) + ending).encode()


@settings(max_examples=60)
@given(st.lists(st.integers(-99_999, 99_999), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_fixed_width_comes_back_and_its_totals_must_agree(amounts: list[int], ending: str) -> None:
    """Columns are cut where they are declared; a total or a count that disagrees holds the document."""
    data = allpay(amounts, ending=ending)
    found = read(ALLPAY, data)
    assert [Decimal(row["amount"]) * 100 for row in found] == amounts
    for wrong, code in (
        (allpay(amounts, total=sum(amounts) + 1), "document.total-mismatch"),
        (allpay(amounts, count=len(amounts) + 1), "document.count-mismatch"),
    ):
        with pytest.raises(DocumentError) as caught:
            scanned(ALLPAY, wrong)
        assert caught.value.code == code


CSV = csv_layout("t", "a", "b")
UTF_16 = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE g><g/>'.encode("utf-16")
LARGE = b"<g><r>" + b"<a>x</a>" * 50_000 + b"</r></g>"
HOSTILE: list[tuple[Layout, bytes, str]] = [
    (CSV, b"", "document.empty"),
    (CSV, b'a,b\n1,"2\n3,4\n', "document.malformed"),
    (CSV, b'a,b\n1,"2"x\n', "document.malformed"),
    (CSV, b"a,c\n1,2\n", "document.unknown-layout"),
    (CSV, b"a,b,a\n1,2,3\n", "document.unknown-layout"),
    (CSV, b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "document.malformed"),
    (csv_layout("t", "a", encodings=("utf-8",)), b"a\n\xff\n", "document.undecodable"),
    (csv_layout("t", "a"), b"a\n\x81\n", "document.undecodable"),
    (XmlLayout("t", "g/r"), b'<!DOCTYPE g [<!ENTITY a "b">]><g><r>&a;</r></g>', "document.doctype"),
    (XmlLayout("t", "g/r"), UTF_16, "document.doctype"),
    (XmlLayout("t", "g/r"), b"<g><r>", "document.malformed"),
    (XmlLayout("t", "g/r"), b"<g>" * 100, "document.malformed"),
    (XmlLayout("t", "g/r"), b"<x/>", "document.unknown-layout"),
    (XmlLayout("t", "g/r", max_record_bytes=70_000), LARGE, "document.record-too-large"),
    (JsonArrayLayout("t"), b"[1, 2", "document.malformed"),
    (JsonArrayLayout("t"), b'[{"a": }]', "document.malformed"),
    (JsonArrayLayout("t", path="x"), b'{"y": []}', "document.unknown-layout"),
    (JsonLinesLayout("t"), b"\n \n", "document.empty"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "data", "code"), HOSTILE)
def test_a_hostile_document_is_held_with_its_code(layout: Layout, data: bytes, code: str) -> None:
    """Nothing of a document that cannot be trusted as a whole is published."""
    with pytest.raises(DocumentError) as caught:
        scanned(layout, data)
    assert caught.value.code == code


BAD_RECORDS: list[tuple[Layout, bytes, str]] = [
    (CSV, b"a,b\n1\n3,4\n", "record.ragged"),
    (CSV, b"a,b\n1,2,3\n3,4\n", "record.ragged"),
    (CSV, b"a,b\n1,\x00\n3,4\n", "record.nul"),
    (csv_layout("t", "a", "b", max_field_chars=100), b"a,b\n1," + b"x" * 101 + b"\n3,4\n", "record.field-too-long"),
    (JsonLinesLayout("t"), b'{"a": 1, "a": 2}\n{}\n', "record.duplicate-key"),
    (JsonLinesLayout("t"), b'{"a": NaN}\n{}\n', "record.not-a-number"),
    (JsonLinesLayout("t"), b'{"a": ' + b"[" * 100_000 + b"\n{}\n", "record.too-deep"),
    (JsonLinesLayout("t"), b"[1]\n{}\n", "record.malformed"),
    (JsonLinesLayout("t", max_record_bytes=50), b'{"a": "' + b"x" * 100 + b'"}\n{}\n', "record.oversize"),
    (JsonLinesLayout("t"), b'{"a": "\xff"}\n{}\n', "record.undecodable"),
    (FixedWidthLayout("t", (FixedColumn("a", 0, 2),), 2), b"1\n34\n", "record.ragged"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "data", "code"), BAD_RECORDS)
def test_a_bad_record_is_set_aside_and_the_next_is_read(layout: Layout, data: bytes, code: str) -> None:
    """The reader says what is wrong with the one and goes on with the other."""
    trailer = FixedWidthLayout("t", (FixedColumn("a", 0, 2),), 2, trailer="^$") if "34" in str(data) else layout
    first, second = read(trailer, data)
    assert isinstance(first, Malformed)
    assert first.code == code
    assert not isinstance(second, Malformed)


def test_an_encoding_is_settled_once_for_the_document() -> None:
    """One byte that is no UTF-8, at the very end, makes the whole document cp1252."""
    data = b"a,b\n" + b"caf\xc3\xa9,x\n" * 50_000 + b"\x93quoted\x94,x\n"
    assert scanned(CSV, data).encoding == "cp1252"
    assert scanned(CSV, data[:-13]).encoding == "utf-8-sig"


@pytest.mark.parametrize(
    ("encodings", "data", "at"),
    [
        (("utf-8-sig",), b"\xef\xbb\xbfa\ncaf\xc3\xa9\n\xff\n", 11),
        (("utf-8-sig",), b"a\n" + b"xy\n" * 200_000 + b"\xff\n", 600_002),
        (("utf-8",), b"a\ncaf\xc3", 5),
        (("utf-8-sig", "cp1252"), b"a\n\xe9\n\x81\n", 4),
    ],
)
def test_an_undecodable_document_is_told_by_its_byte(encodings: tuple[str, ...], data: bytes, at: int) -> None:
    """The message says where the last of the declared encodings fails, counted from the file's beginning."""
    with pytest.raises(DocumentError, match=rf"see byte {at:,}$"):
        scanned(csv_layout("t", "a", encodings=encodings), data)


class Endless(io.RawIOBase):
    """A stream of many megabytes that is never in memory."""

    def __init__(self, head: bytes, line: bytes, tail: bytes, count: int) -> None:
        self.parts = iter([head, *([line * 1_000] * count), tail])
        self.rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        while len(self.rest) < size:
            part = next(self.parts, b"")
            if not part:
                break
            self.rest += part
        data, self.rest = self.rest[:size], self.rest[size:]
        return data


@pytest.mark.parametrize(
    ("layout", "head", "line", "tail"),
    [
        (csv_layout("t", "a", "b"), b"a,b\n", b"some text of a cell,and some more of it\n", b""),
        (XmlLayout("t", "g/r"), b"<g>", b"<r><a>some text</a><b>and more</b></r>\n", b"</g>"),
        (JsonArrayLayout("t"), b"[{}", b',{"a": "some text", "b": "and some more"}', b"]"),
    ],
    ids=["csv", "xml", "json"],
)
def test_memory_stays_flat_however_long_the_document_is(layout: Layout, head: bytes, line: bytes, tail: bytes) -> None:
    """Tens of megabytes pass through with a few megabytes in hand."""

    def stream() -> BinaryIO:
        return Endless(head, line, tail, 250)  # type: ignore[return-value]

    tracemalloc.start()
    try:
        count = sum(1 for _ in layout.read(stream(), Scan(0, "utf-8")))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 250_000
    assert peak < 8_000_000
