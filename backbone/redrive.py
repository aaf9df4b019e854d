"""Feed open rejects through the pipeline again: same identities, same ids, in their old order, marked as late.

Only records that were never published are re-driven. A repair, which an operator wrote to the rejects topic, takes
the place of the raw record; the identity stays that of the original. Each document whose rejects are re-driven gets
a receipt of its own, which names the document's first receipt.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby, islice

import structlog

from backbone import points
from backbone.adapter import Context, Document
from backbone.batch import Batch
from backbone.control import Command
from backbone.event import Encoder, new_traceparent
from backbone.formats.reader import Malformed
from backbone.moments import rfc3339
from backbone.pipeline import BATCH_RECORDS, At, DocumentFacts, Pipeline
from backbone.receipts import Counts, Receipt, receipt_of
from backbone.rejects import Reject, ordinal_of, short_id
from backbone.session import Session
from backbone.state import RejectEntry

log = structlog.get_logger(__name__)


def wanted(command: Command, entries: Iterable[RejectEntry]) -> list[RejectEntry]:
    """Return the open rejects that a command means, in the order in which their records came."""
    chosen = [
        entry
        for entry in entries
        if (not command.ids or entry.id in command.ids) and (not command.code or entry.code == command.code)
    ]
    return sorted(chosen, key=lambda entry: (entry.ordinal, entry.record_number, entry.id))


async def redrive(session: Session, entries: list[RejectEntry], found: Mapping[str, Reject]) -> list[Receipt]:
    """Re-drive the entries whose raw records were found; return a receipt for each document they came from."""
    points.reached("redrive.read")
    receipts = []
    for sha256, group in groupby(entries, key=lambda entry: entry.sha256):
        rest = iter([found[entry.id] for entry in group if entry.id in found])
        while part := list(islice(rest, BATCH_RECORDS)):
            receipts.append(await _one(session, sha256, part))
            points.reached("redrive.committed")
    return receipts


async def _one(session: Session, sha256: str, rejects: list[Reject]) -> Receipt:
    now = rfc3339(session.now())
    traceparent = new_traceparent()
    counts = Counts()
    gathered = Batch()
    others = session.state.open_cases()
    for reject in rejects:
        others.pop(short_id(reject.id), None)
    for reject in rejects:
        pipeline = _pipeline(session, reject, counts, others, traceparent, now)
        raw = Malformed(reject.code, reject.message, reject.raw, reject.field) if _no_record(reject) else reject.raw
        outcome = pipeline.process(raw, At(reject.record_number), reject.identity)
        batch = pipeline.cut()
        others = dict(pipeline.open_rejects)
        _join(gathered, batch)
        if outcome != "rejected":
            gathered.closed.append(reject.id)
        elif batch.rejects[0].id != reject.id:
            # a repaired record whose original had no identity: the new reject takes the old one's place
            gathered.closed.append(reject.id)
    known = session.state.ledger.get(sha256)
    receipt = receipt_of(
        session.feed, session.ordinal, counts,
        document=rejects[0].document, sha256=sha256, size_bytes=0, layout=rejects[0].layout, outcome="redriven",
        began_at=now, finished_at=rfc3339(session.now()), traceparent=traceparent,
        original="" if known is None else known.receipt,
    )  # fmt: skip
    document = session.state.checkpoint.document
    await session.publish(session.transaction(gathered, document=document, receipt=receipt, traceparent=traceparent))
    session.tally.committed(Counts(), counts, len(rejects))
    session.tally.ended(receipt)
    log.info("rejects.redriven", feed=session.feed.name, records=receipt.records, published=receipt.published)
    return receipt


def _pipeline(
    session: Session, reject: Reject, counts: Counts, others: Mapping[int, str], traceparent: str, now: str
) -> Pipeline:
    """Return a pipeline that speaks as if the record stood where it stood: its sequence and document are kept."""
    feed = session.feed
    ordinal = ordinal_of(reject)
    facts = DocumentFacts(
        feed.origin.organisation, feed.name, feed.shard, reject.document, reject.document_sha256,
        reject.layout, ordinal, now,
    )  # fmt: skip
    return Pipeline(
        feed.adapter,
        Context(feed.origin.organisation, feed.options, Document(reject.document, reject.layout)),
        Encoder(feed.origin, feed.adapter.emits, ordinal=ordinal, traceparent=traceparent, late=True),
        facts,
        session.partition_of,
        origin=feed.origin,
        seen=session.state.window,
        open_rejects=others,
        hold_case=feed.hold_case,
        counts=counts,
    )


def _no_record(reject: Reject) -> bool:
    """Say whether only the bytes of a malformed row are there: it takes a repair to make a record of it."""
    return reject.raw_cut or (not reject.identity and set(reject.raw) in ({"cells"}, {"line"}, {"bytes"}))


def _join(into: Batch, batch: Batch) -> None:
    """Add what one record gave to the transaction's batch."""
    for place, messages in batch.messages.items():
        into.messages.setdefault(place, []).extend(messages)
    into.rejects += batch.rejects
    into.hashes += batch.hashes
    into.closed += batch.closed


def repaired(reject: Reject, raw: Mapping[str, object], at: str) -> Reject:
    """Return the reject with another raw record in its place, to be written to the rejects topic as a repair."""
    return reject.model_copy(update={"raw": dict(raw), "raw_cut": False, "rejected_at": at})
