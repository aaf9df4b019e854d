"""What a feed would publish of a file, record by record, without a broker: the very code that a worker runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backbone.adapter import AnyAdapter, Context, Document
from backbone.event import Encoder, new_traceparent
from backbone.examine import Examined, examine
from backbone.feed import FeedSetup
from backbone.formats.reader import Layout, Malformed
from backbone.moments import rfc3339
from backbone.packed import Message, unpack
from backbone.pipeline import DocumentFacts, Pipeline
from backbone.receipts import Counts, Receipt, receipt_of
from backbone.rejects import Reject
from backbone.seen import SeenWindow
from backbone.sources.source import Fingerprint, SourceDocument


@dataclass(frozen=True, slots=True)
class RecordResult:
    """One record and what would become of it. ``raw`` holds the record as printed: show it to its owner only."""

    number: int
    offset: int | None
    outcome: str
    raw: Any
    events: tuple[tuple[str, Message], ...] = ()
    reason: str = ""
    reject: Reject | None = None


class Preview:
    """Run documents through a feed's pipeline in memory; the seen-window goes on from one document to the next."""

    def __init__(self, feed: FeedSetup, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Start with nothing seen; ``now`` gives the times that receipts and rejects carry."""
        self.feed = feed
        self.seen = SeenWindow(feed.seen_capacity)
        self.open_rejects: dict[int, str] = {}
        self.finished: dict[str, Receipt] = {}
        self._now = now

    def run(self, document: SourceDocument) -> Iterator[RecordResult | Receipt]:
        """Yield a result for each record and last the receipt; a held document gives its receipt alone."""
        began_at = self._now()
        steps = examine(document, self.feed.adapter, self.feed.layouts)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                examined: Examined = stop.value
                break
        ordinal = len(self.finished)
        traceparent = new_traceparent()
        counts = Counts()
        original = self.finished.get(examined.sha256)
        if examined.problem is None and original is None:
            yield from self._records(document, examined, ordinal, traceparent, counts)
        receipt = self._receipt(document, examined, ordinal, traceparent, counts, began_at, original)
        self.finished.setdefault(examined.sha256, receipt)
        yield receipt

    def _records(
        self, document: SourceDocument, examined: Examined, ordinal: int, traceparent: str, counts: Counts
    ) -> Iterator[RecordResult]:
        feed = self.feed
        assert examined.layout is not None
        pipeline = Pipeline(
            feed.adapter,
            Context(
                feed.origin.organisation,
                feed.options,
                Document(document.name, examined.layout.name, document.modified_at),
            ),
            Encoder(feed.origin, feed.adapter.emits, ordinal=ordinal, traceparent=traceparent),
            DocumentFacts(
                feed.origin.organisation, feed.name, feed.shard, document.name, examined.sha256,
                examined.layout.name, ordinal, rfc3339(self._now()),
            ),
            lambda _topic, _key: 0,
            origin=feed.origin,
            seen=self.seen,
            open_rejects=self.open_rejects,
            hold_case=feed.hold_case,
            counts=counts,
        )  # fmt: skip
        with document.open() as stream:
            reader = examined.reader(feed.adapter, stream)

            for raw in reader:
                reasons = dict(counts.reasons)
                outcome = pipeline.process(raw, reader)
                batch = pipeline.cut()
                reject = batch.rejects[0] if batch.rejects else None
                reason = next((name for name, count in counts.reasons.items() if count != reasons.get(name, 0)), "")
                yield RecordResult(
                    reader.number, reject.offset if reject else None, outcome,
                    raw.raw if isinstance(raw, Malformed) else raw,
                    tuple((topic, unpack(packed)) for (topic, _), some in batch.messages.items() for packed in some),
                    reason, reject,
                )  # fmt: skip
        self.open_rejects = pipeline.open_rejects

    def _receipt(
        self,
        document: SourceDocument,
        examined: Examined,
        ordinal: int,
        traceparent: str,
        counts: Counts,
        began_at: datetime,
        original: Receipt | None,
    ) -> Receipt:
        problem = examined.problem
        known = original.records if original is not None and problem is None else 0
        return receipt_of(
            self.feed, ordinal, counts,
            document=document.name, sha256=examined.sha256, size_bytes=examined.size_bytes,
            layout=examined.layout.name if examined.layout else "",
            encoding=examined.scan.encoding if examined.scan else "",
            outcome="held" if problem else "duplicate" if original else "complete",
            code=problem.code if problem else "", message=problem.message if problem else "",
            records=counts.records + known, duplicate=counts.duplicate + known,
            declared=dict(examined.scan.declared) if examined.scan else {},
            began_at=rfc3339(began_at), finished_at=rfc3339(self._now()), traceparent=traceparent,
            original=original.id if original and not problem else "",
        )  # fmt: skip


def local_document(path: Path) -> SourceDocument:
    """Return a plain local file as a document; for previews and tests, without readiness or archives."""
    stat = path.stat()
    fingerprint = Fingerprint(path.name, stat.st_size, stat.st_mtime_ns)
    modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    return SourceDocument(
        path.name, fingerprint, modified_at, lambda: path.open("rb"), lambda: path.stat().st_size == stat.st_size
    )


def layouts_of(adapter: AnyAdapter, names: Sequence[str]) -> tuple[Layout, ...]:
    """Return the layouts that a feed allows: those named, or all."""
    return tuple(adapter.layout(name) for name in names) if names else adapter.layouts
