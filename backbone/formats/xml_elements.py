"""XML: a stream of record elements, each as nested text. A DOCTYPE is refused, whatever it says.

Elements are matched by local name, as suppliers change prefixes and version numbers in namespaces. Text is stripped;
an empty element and ``xsi:nil`` read as empty text. Memory holds one record at a time.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

from lxml import etree

from backbone.errors import DocumentError
from backbone.formats.reader import SCAN_SLICE_RECORDS, Malformed, RawRecord, Scan
from backbone.formats.text import looks_like_html

FEED_BYTES: Final = 65_536
XSI_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@dataclass(frozen=True, slots=True)
class XmlLayout:
    """An XML extract.

    ``record`` is the path of local names to the record element, from the root. ``many`` names elements that are
    always lists, ``explode`` a path below the record whose elements are the records, each with the record's own
    ``carry`` fields. ``count`` is the path of an element that says how many records there are. ``namespace`` must be
    the record element's, where given. ``encoding`` overrides a declaration that lies.
    """

    name: str
    record: str
    many: tuple[str, ...] = ()
    explode: str | None = None
    carry: tuple[str, ...] = ()
    count: str | None = None
    namespace: str | None = None
    encoding: str | None = None
    max_depth: int = 32
    max_record_bytes: int = 4 * 1_048_576
    max_records: int = 10_000_000

    def recognises(self, head: bytes) -> int:
        """Return 1 where the root element has the right name."""
        if looks_like_html(head):
            return 0
        parser = self._parser(("start",))
        try:
            parser.feed(head[:FEED_BYTES])
            for _, element in parser.read_events():
                return int(_local(element) == self.record.partition("/")[0])
        except etree.XMLSyntaxError:
            return 0
        return 0

    def scan(self, stream: BinaryIO) -> Generator[None, None, Scan]:
        """Parse everything; count the records and compare with what the document says of itself."""
        walk = _Walk(self, stream)
        records, due = 0, SCAN_SLICE_RECORDS
        for element in walk.elements():
            records += self._records_in(element)
            if records > self.max_records:
                raise DocumentError(f"the document has more than {self.max_records:,} records")
            if records >= due:
                due += SCAN_SLICE_RECORDS
                yield
        if not walk.began:
            raise DocumentError("the document is empty", code="document.empty")
        declared: dict[str, str] = {}
        if self.count is not None:
            declared["record_count"] = walk.count_text
            if not walk.count_text.isdigit() or int(walk.count_text) != records:
                said = walk.count_text if walk.count_text.isdigit() else "nothing"
                message = f"the document says that it has {said} records; it has {records:,}"
                guidance = "have the supplier send the file again: it was cut off or put together wrongly"
                raise DocumentError(message, code="document.count-mismatch", guidance=guidance)
        return Scan(records, walk.encoding, declared)

    def read(self, stream: BinaryIO, scan: Scan, *, skip: int = 0, offset: int | None = None) -> "XmlReader":
        """Read the records behind the first ``skip``; XML has no offsets, so it is parsed from the beginning."""
        del scan, offset
        return XmlReader(self, stream, skip)

    def _parser(self, events: Sequence[Literal["start", "end"]]) -> Any:
        return etree.XMLPullParser(
            events=events, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
            remove_comments=True, remove_pis=True, encoding=self.encoding,
        )  # fmt: skip

    def _records_in(self, element: Any) -> int:
        return 1 if self.explode is None else sum(1 for _ in _below(element, self.explode.split("/")))

    def records_of(self, element: Any) -> Iterator[dict[str, Any]]:
        """Yield the records that stand in a record element."""
        if self.explode is None:
            yield as_mapping(element, self.many)
            return
        carried = {}
        for child in element:
            name = _local(child)
            if name in self.carry:
                carried[name] = _value(child, self.many)
        for inner in _below(element, self.explode.split("/")):
            yield {**carried, **as_mapping(inner, self.many)}


class _Walk:
    """Pull record elements out of a stream, under the layout's caps."""

    def __init__(self, layout: XmlLayout, stream: BinaryIO) -> None:
        self.layout = layout
        self.began = False
        self.count_text = ""
        self.encoding = ""
        self._stream = stream
        self._wanted = layout.record.split("/")
        self._counted = layout.count.split("/") if layout.count else None
        self._path: list[str] = []
        self._fed_bytes = 0
        self._record_began = 0

    def elements(self) -> Iterator[Any]:
        """Yield each record element; it is cleared once the next one is asked for."""
        parser = self.layout._parser(("start", "end"))  # noqa: SLF001 - two halves of one concept
        try:
            while data := self._stream.read(FEED_BYTES):
                self._fed_bytes += len(data)
                parser.feed(data)
                yield from self._events(parser)
                self._check_size()
            if self._fed_bytes:
                parser.close()
                yield from self._events(parser)  # a short document gives its events only now
        except etree.XMLSyntaxError as error:
            line = error.lineno or 0
            message = f"it is no well-formed XML at line {line:,}"
            raise DocumentError(message, guidance="have the supplier send the file again") from None

    def _events(self, parser: Any) -> Iterator[Any]:
        path, wanted = self._path, self._wanted
        for event, element in parser.read_events():
            if event == "start":
                if not self.began:
                    self._begin(element)
                path.append(_local(element))
                if len(path) > self.layout.max_depth:
                    raise DocumentError(f"elements stand more than {self.layout.max_depth} deep")
                if path == wanted:
                    self._record_began = self._fed_bytes
                continue
            if path == wanted:
                self._check_namespace(element)
                yield element
                _drop(element)
            elif path == self._counted:
                self.count_text = (element.text or "").strip()
            elif len(path) < len(wanted):
                _drop(element)
            path.pop()

    def _check_size(self) -> None:
        """Refuse a record that is still going on after more bytes than it may have."""
        most = self.layout.max_record_bytes
        inside = self._path[: len(self._wanted)] == self._wanted
        if inside and self._fed_bytes - self._record_began > most:
            raise DocumentError(f"a record has more than {most:,} bytes", code="document.record-too-large")

    def _begin(self, root: Any) -> None:
        self.began = True
        info = root.getroottree().docinfo
        self.encoding = (info.encoding or "utf-8").lower()
        if info.doctype or info.internalDTD is not None:
            message = "the document has a DOCTYPE, which no extract needs and which can be made to do harm"
            raise DocumentError(message, code="document.doctype")
        if _local(root) != self.layout.record.partition("/")[0]:
            message = f"the root element is not {self.layout.record.partition('/')[0]}"
            raise DocumentError(message, code="document.unknown-layout")

    def _check_namespace(self, element: Any) -> None:
        wanted = self.layout.namespace
        if wanted is not None and etree.QName(element).namespace != wanted:
            raise DocumentError("the record element is of another namespace", code="document.unknown-layout")


class XmlReader:
    """Yield the records of one document."""

    def __init__(self, layout: XmlLayout, stream: BinaryIO, skip: int) -> None:
        """Start at the beginning; the first ``skip`` records are dropped."""
        self._layout = layout
        self._stream = stream
        self._skip = skip
        self.number = 0

    @property
    def offset(self) -> int | None:
        """Return None: where an element stands in the bytes is not known."""
        return None

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield each record as nested mappings, lists and text."""
        layout = self._layout
        for element in _Walk(layout, self._stream).elements():
            for record in layout.records_of(element):
                self.number += 1
                if self.number > self._skip:
                    yield record


def _local(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _drop(element: Any) -> None:
    """Forget an element and everything before it, so that memory stays flat."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


def _below(element: Any, path: Sequence[str]) -> Iterator[Any]:
    for child in element:
        if _local(child) == path[0]:
            if len(path) == 1:
                yield child
            else:
                yield from _below(child, path[1:])


def as_mapping(element: Any, many: Sequence[str]) -> dict[str, Any]:
    """Return an element's attributes (as ``@name``) and children; what repeats, or is in ``many``, is a list."""
    found: dict[str, Any] = {
        f"@{name.rpartition('}')[2]}": value for name, value in element.attrib.items() if name != XSI_NIL
    }
    for child in element:
        name, value = _local(child), _value(child, many)
        if name not in found:
            found[name] = [value] if name in many else value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _value(element: Any, many: Sequence[str]) -> Any:
    if len(element) == 0:
        text = "" if element.get(XSI_NIL) in {"true", "1"} else (element.text or "").strip()
        attributes = {name: value for name, value in as_mapping(element, many).items() if name.startswith("@")}
        return {**attributes, "#text": text} if attributes else text
    return as_mapping(element, many)
