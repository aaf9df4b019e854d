"""Order inside a document whose source has none: by time within a case, or whatever the adapter's rule names. Pure.

A first pass finds the keys whose records do not stand in order; only those are held back, each until the last record
of its key has been read. Everything else passes straight through, so memory holds the disorder and not the document.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from backbone.adapter import OrderWithin
from backbone.errors import DocumentError, RecordError
from backbone.formats.reader import SCAN_SLICE_RECORDS, Layout, Malformed, RawRecord, Reader, Scan


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """How many records each disordered key has, by key."""

    disordered: dict[str, int]


def plan_order(layout: Layout, stream: BinaryIO, scan: Scan, order: OrderWithin) -> Generator[None, None, OrderPlan]:
    """Read a document once to learn which keys are out of order; give way every ``SCAN_SLICE_RECORDS`` records.

    Raises DocumentError for a document with more than ``order.max_records`` records.
    """
    if scan.records > order.max_records:
        message = f"{scan.records:,} records cannot be ordered at once; the limit is {order.max_records:,}"
        guidance = "have the system send smaller extracts, or extracts in order"
        raise DocumentError(message, code="document.too-large-to-order", guidance=guidance)
    latest: dict[str, Any] = {}
    counts: dict[str, int] = {}
    disordered: set[str] = set()
    for done, raw in enumerate(layout.read(stream, scan), 1):
        if done % SCAN_SLICE_RECORDS == 0:
            yield
        place = _place(raw, order)
        if place is None:
            continue
        key, time = place
        counts[key] = counts.get(key, 0) + 1
        if key in latest and time < latest[key]:
            disordered.add(key)
        else:
            latest[key] = time
    return OrderPlan({key: counts[key] for key in disordered})


class OrderedReader:
    """Deliver a reader's records in the planned order; ``number`` stays the record's number in the document."""

    def __init__(self, reader: Reader, plan: OrderPlan, order: OrderWithin, *, skip: int = 0) -> None:
        """Wrap a reader at the beginning of its document; the first ``skip`` deliveries are dropped."""
        self._reader = reader
        self._plan = plan
        self._order = order
        self._skip = skip
        self._number = 0
        self._offset: int | None = None
        self._held_back = False

    @property
    def number(self) -> int:
        """Return the number, within the document, of the record last delivered."""
        return self._number

    @property
    def offset(self) -> int | None:
        """Return its byte offset where the format knows it and it was not held back."""
        return None if self._held_back else self._reader.offset

    def __iter__(self) -> Iterator[RawRecord | Malformed]:
        """Yield the records; equal times keep the document's order."""
        for delivered, (number, raw, held_back) in enumerate(self._deliveries(), 1):
            if delivered > self._skip:
                self._number, self._held_back = number, held_back
                yield raw

    def _deliveries(self) -> Iterator[tuple[int, RawRecord | Malformed, bool]]:
        held: dict[str, list[tuple[Any, int, RawRecord]]] = {}
        expected = self._plan.disordered
        for raw in self._reader:
            place = _place(raw, self._order) if expected else None
            if place is None or isinstance(raw, Malformed) or place[0] not in expected:
                yield self._reader.number, raw, False
                continue
            key, time = place
            group = held.setdefault(key, [])
            group.append((time, self._reader.number, raw))
            if len(group) == expected[key]:
                for _, number, waiting in sorted(held.pop(key), key=lambda entry: entry[:2]):
                    yield number, waiting, True


def _place(raw: RawRecord | Malformed, order: OrderWithin) -> tuple[str, Any] | None:
    """Return a record's key and time, or None for one that cannot be placed: it is delivered where it stands."""
    if isinstance(raw, Malformed):
        return None
    try:
        return order.key(raw), order.time(raw)
    except (KeyError, RecordError):
        return None
