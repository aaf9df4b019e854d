"""The first pass over a document, before anything of it is published: digest, layout, structure, order. Pure."""

import hashlib
import io
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from backbone.adapter import AnyAdapter
from backbone.errors import DocumentError
from backbone.formats.reader import HEAD_BYTES, Layout, Reader, Scan
from backbone.ordering import OrderedReader, OrderPlan, plan_order
from backbone.sources.source import SourceDocument

READ_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Examined:
    """What the first pass learnt. ``problem`` is set where the document must be held as a whole."""

    sha256: str
    size_bytes: int
    layout: Layout | None = None
    scan: Scan | None = None
    plan: OrderPlan | None = None
    problem: DocumentError | None = None

    def reader(self, adapter: AnyAdapter, stream: BinaryIO, *, skip: int = 0, offset: int | None = None) -> Reader:
        """Read the records behind the first ``skip`` deliveries."""
        assert self.layout is not None
        assert self.scan is not None
        if self.plan is not None and adapter.order_within is not None:
            return OrderedReader(self.layout.read(stream, self.scan), self.plan, adapter.order_within, skip=skip)
        return self.layout.read(stream, self.scan, skip=skip, offset=offset)


class _HashingStream(io.RawIOBase):
    """A binary stream that feeds what is read to a digest."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        self.size_bytes += len(data)
        return data

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def choose_layout(head: bytes, layouts: Sequence[Layout]) -> Layout:
    """Return the layout that fits the first bytes best; raises DocumentError where none does."""
    best = max(layouts, key=lambda layout: layout.recognises(head), default=None)
    if best is None or best.recognises(head) == 0:
        names = ", ".join(layout.name for layout in layouts)
        raise DocumentError(
            f"the document has none of the layouts {names}",
            code="document.unknown-layout",
            guidance="look at its first lines: an error page or another extract under this name is sent back to the"
            " supplier; a new layout needs a column list in the adapter",
        )
    return best


def examine(
    document: SourceDocument, adapter: AnyAdapter, layouts: Sequence[Layout]
) -> Generator[None, None, Examined]:
    """Pass over a document; give way every now and then; never raise for what is wrong with the document itself."""
    with closing(document.open()) as raw:
        stream = _HashingStream(raw)
        try:
            if document.problem is not None:
                raise document.problem
            with closing(document.open()) as peek:
                layout = choose_layout(peek.read(HEAD_BYTES), layouts)
            scan = yield from layout.scan(stream)  # type: ignore[arg-type]
            plan = None
            if adapter.order_within is not None:
                with closing(document.open()) as again:
                    plan = yield from plan_order(layout, again, scan, adapter.order_within)
        except DocumentError as problem:
            yield from _drain(stream)
            return Examined(stream.digest.hexdigest(), stream.size_bytes, problem=problem)
        yield from _drain(stream)
    return Examined(stream.digest.hexdigest(), stream.size_bytes, layout, scan, plan)


def _drain(stream: _HashingStream) -> Generator[None, None, None]:
    """Read what a scan left unread, so that the digest covers the whole document."""
    while stream.read(READ_BYTES):
        yield
