"""One document through its first pass, its records and its receipt, in as many transactions as it takes."""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from backbone import points
from backbone.adapter import Context, Document
from backbone.errors import DocumentError
from backbone.event import Encoder, new_traceparent
from backbone.examine import Examined, examine
from backbone.ledger import LedgerEntry
from backbone.moments import rfc3339
from backbone.pipeline import BATCH_RECORDS, DocumentFacts, Pipeline
from backbone.receipts import Counts, DocumentOutcome, Receipt, receipt_of
from backbone.session import Batches, Session, continued
from backbone.sources.source import Source, SourceDocument
from backbone.state import OpenDocument

SLICE_RECORDS = 100
"""After so many records the event loop gets its turn: longer slices starve the sender of the last transaction."""

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


async def in_slices(steps: Generator[None, None, Result], stopping: Callable[[], bool]) -> Result | None:
    """Run a pure first pass, giving way to the event loop where it offers to; return None when asked to stop."""
    while not stopping():
        try:
            next(steps)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        await asyncio.sleep(0)
    steps.close()
    return None


class DocumentRun:
    """Take one document from the source to its committed receipt."""

    def __init__(
        self, session: Session, source: Source, document: SourceDocument, stopping: Callable[[], bool]
    ) -> None:
        """Take the document as the source handed it over; ``stopping`` is asked between transactions."""
        self._stopping = stopping
        self._session = session
        self._source = source
        self._document = document
        self._adapter = session.feed.adapter
        self._traceparent = new_traceparent()
        self._began_at = rfc3339(session.now())
        self._counts = Counts()
        self._tallied = Counts()
        self._log = log.bind(feed=session.feed.name, document=document.name)

    async def run(self) -> Receipt | None:
        """Return the receipt, committed, or None when asked to stop before the end: the checkpoint says how far.

        Raises what the session's producer raises; nothing is then acknowledged.
        """
        session, document = self._session, self._document
        examined = await in_slices(examine(document, self._adapter, session.feed.layouts), self._stopping)
        if examined is None:
            return None
        begun = session.state.checkpoint.document
        if begun is not None and (begun.fingerprint != document.fingerprint or begun.sha256 != examined.sha256):
            await self.abort(session, self._source, begun)
            begun = None
        known = session.state.ledger.get(examined.sha256)
        if begun is None and known is not None and known.outcome == "complete":
            return await self._end(examined, "duplicate", known=known)
        if examined.problem is not None:
            return await self._end(examined, "held", problem=examined.problem)
        if begun is not None:
            self._traceparent, self._began_at, self._counts = begun.traceparent, begun.began_at, begun.counts
        return await self._stream(examined, begun)

    async def _stream(self, examined: Examined, begun: OpenDocument | None) -> Receipt | None:
        """Publish the records; while one transaction commits, the next is read and translated."""
        document = self._document
        pipeline = self._pipeline(examined)
        opened = begun or self._opened(examined)
        self._tallied = replace(opened.counts)
        committing: asyncio.Task[None] | None = None
        try:
            with document.open() as stream:
                # the record last delivered is read again, as its place and not the next one's is known
                again = 1 if opened.offset is not None and opened.delivered else 0
                skip = opened.delivered - again
                reader = examined.reader(self._adapter, stream, skip=skip, offset=opened.offset)
                records = iter(reader)
                for _ in range(again):
                    next(records, None)
                delivered, more = opened.delivered, True
                while more:
                    while True:
                        more = pipeline.fill(records, reader, SLICE_RECORDS)
                        if not more or pipeline.batch.full or pipeline.batch.records >= BATCH_RECORDS:
                            break
                        await asyncio.sleep(0)
                    if not document.unchanged():
                        break
                    if committing is not None:
                        await committing
                        committing = None
                    if not more:
                        break
                    batch = pipeline.cut()
                    delivered += batch.records
                    opened = continued(opened, delivered, reader.offset, self._counts)
                    batches = self._session.transaction(batch, document=opened, traceparent=self._traceparent)
                    committing = asyncio.create_task(self._publish(batches, opened.counts, batch.records))
                    if self._stopping():
                        await committing
                        return None
            if committing is not None:
                await committing
        finally:
            if committing is not None and not committing.done():
                committing.cancel()
                await asyncio.gather(committing, return_exceptions=True)
        if not document.unchanged():
            return await self._changed(examined, opened)
        return await self._end(examined, "complete", pipeline=pipeline)

    async def _publish(self, batches: Batches, counts: Counts, records: int) -> None:
        """Commit a transaction, then add what it brought to the tally."""
        await self._session.publish(batches)
        self._session.tally.committed(self._tallied, counts, records)
        self._tallied = counts

    def _pipeline(self, examined: Examined) -> Pipeline:
        session, feed, document = self._session, self._session.feed, self._document
        assert examined.layout is not None
        organisation = feed.origin.organisation
        context: Context[Any] = Context(
            organisation, feed.options, Document(document.name, examined.layout.name, document.modified_at)
        )
        facts = DocumentFacts(
            organisation, feed.name, feed.shard, document.name, examined.sha256,
            examined.layout.name, session.ordinal, rfc3339(session.now()),
        )  # fmt: skip
        encoder = Encoder(feed.origin, self._adapter.emits, ordinal=session.ordinal, traceparent=self._traceparent)
        return Pipeline(
            self._adapter, context, encoder, facts, session.partition_of,
            origin=feed.origin, seen=session.state.window, open_rejects=session.state.open_cases(),
            hold_case=feed.hold_case, counts=self._counts,
        )  # fmt: skip

    def _opened(self, examined: Examined) -> OpenDocument:
        assert examined.layout is not None
        assert examined.scan is not None
        return OpenDocument(
            name=self._document.name, fingerprint=self._document.fingerprint, sha256=examined.sha256,
            size_bytes=examined.size_bytes, layout=examined.layout.name, encoding=examined.scan.encoding,
            traceparent=self._traceparent, began_at=self._began_at, delivered=0, offset=None, counts=self._counts,
        )  # fmt: skip

    async def _changed(self, examined: Examined, opened: OpenDocument) -> Receipt:
        """End a document that changed under our hands: what is committed stands, the rest comes as a new one."""
        committed = self._session.state.checkpoint.document
        if committed is None:
            self._counts = Counts()
        else:
            self._counts = committed.counts
        message = f"the document changed while it was read, behind record {opened.delivered:,}"
        problem = DocumentError(message, code="document.changed")
        receipt = await self._end(examined, "aborted", problem=problem)
        # the window and the rejects in memory know records that were read and not committed
        self._session.stale = True
        return receipt

    async def _end(
        self,
        examined: Examined,
        outcome: DocumentOutcome,
        *,
        problem: DocumentError | None = None,
        known: LedgerEntry | None = None,
        pipeline: Pipeline | None = None,
    ) -> Receipt:
        """Commit the last records with the receipt, then tell the source."""
        session, document, counts, scan = self._session, self._document, self._counts, examined.scan
        repeated = 0 if known is None else known.records
        receipt = receipt_of(
            session.feed, session.ordinal, counts,
            document=document.name, sha256=examined.sha256, size_bytes=examined.size_bytes,
            layout="" if examined.layout is None else examined.layout.name,
            encoding="" if scan is None else scan.encoding,
            outcome=outcome,
            code="" if problem is None else problem.code, message="" if problem is None else problem.message,
            records=counts.records + repeated, duplicate=counts.duplicate + repeated,
            declared={} if scan is None else dict(scan.declared),
            declared_records=None if scan is None else scan.records, late=document.late,
            began_at=self._began_at, finished_at=rfc3339(session.now()),
            traceparent=self._traceparent, original="" if known is None else known.receipt,
        )  # fmt: skip
        batch = None if pipeline is None else pipeline.cut()
        batches = session.transaction(batch, receipt=receipt, ended=document.fingerprint, traceparent=self._traceparent)
        ended = replace(counts, records=receipt.records, duplicate=receipt.duplicate)
        await self._publish(batches, ended, 0 if batch is None else batch.records)
        session.tally.ended(receipt)
        if outcome == "complete":
            secs = (session.now() - document.modified_at).total_seconds()
            session.tally.document_secs.observe(max(0.0, secs))
        points.reached("document.committed")
        self._log.info(
            "document.finished", outcome=outcome, code=receipt.code, records=receipt.records,
            published=receipt.published, duplicate=receipt.duplicate, skipped=receipt.skipped,
            rejected=receipt.rejected, trace=self._traceparent,
        )  # fmt: skip
        await self._source.finish(document.fingerprint, outcome)
        points.reached("document.finished")
        return receipt

    @staticmethod
    async def abort(session: Session, source: Source, begun: OpenDocument) -> Receipt:
        """End a begun document that is gone or has become another one; its receipt says how far it came."""
        message = f"the document was gone or had changed when its reading went on, behind record {begun.delivered:,}"
        receipt = receipt_of(
            session.feed, session.ordinal, begun.counts,
            document=begun.name, sha256=begun.sha256, size_bytes=begun.size_bytes,
            layout=begun.layout, encoding=begun.encoding,
            outcome="aborted", code="document.changed", message=message,
            began_at=begun.began_at, finished_at=rfc3339(session.now()), traceparent=begun.traceparent,
        )  # fmt: skip
        await session.publish(session.transaction(None, receipt=receipt, ended=begun.fingerprint))
        session.tally.ended(receipt)
        await source.finish(begun.fingerprint, "aborted")
        return receipt
