"""Raw records to encoded messages, rejects and counts. Pure: the hot path of the product.

A pipeline serves one document. The caller feeds it raw records and cuts what has gathered into batches, one a
transaction; the events, the reject and the count of one record always land in the same batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NoReturn, Protocol

from pydantic import TypeAdapter, ValidationError

from backbone.adapter import AnyAdapter, Context, Skip
from backbone.batch import BATCH_PARTITION_BYTES, Batch
from backbone.errors import FatalError, RecordError, UnmappedCodeError, places_of
from backbone.event import Encoder, Origin, record_digest
from backbone.formats.reader import Malformed, RawRecord
from backbone.receipts import Counts
from backbone.rejects import BEHIND_REJECT, Reject, bounded_raw, case_hash, raw_identity, reject_id, short_id
from backbone.seen import SeenWindow
from schemas.shared import Event

BATCH_RECORDS = 3_000
REJECT_OVERHEAD_BYTES = 1_500
"""What a reject takes beside its raw record: its other fields, its headers and its entry in the state."""
UNEXPECTED_IN_A_ROW = 100
HELD_MOST = 50_000
"""How many rejects may be open in a feed that holds cases: what waits behind them is kept in memory."""

Partitioner = Callable[[str, bytes], int]
"""From topic and key to the number of a partition."""


class Position(Protocol):
    """Where the record in hand stands in its document; a format's Reader is one."""

    @property
    def number(self) -> int:
        """Return the record's number, from 1."""
        ...

    @property
    def offset(self) -> int | None:
        """Return the byte offset at which it starts, where that is known; asked for rejects only."""
        ...


@dataclass(frozen=True, slots=True)
class At:
    """The position of a record that comes alone."""

    number: int
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What every reject of a document says of it."""

    organisation: str
    feed: str
    shard: str
    document: str
    sha256: str
    layout: str
    ordinal: int
    now: str


class Pipeline:
    """Translate the records of one document.

    ``open_rejects`` maps ``short_id`` of rejects that are not settled to the hashes of their cases; a record that is
    published settles its own, and with ``hold_case`` the later records of such a case wait behind it.
    """

    def __init__(
        self,
        adapter: AnyAdapter,
        context: Context[Any],
        encoder: Encoder,
        facts: DocumentFacts,
        partition_of: Partitioner,
        *,
        origin: Origin,
        seen: SeenWindow,
        open_rejects: Mapping[int, str] | None = None,
        hold_case: bool = False,
        counts: Counts | None = None,
    ) -> None:
        """Prepare everything that does not change within the document."""
        self.adapter = adapter
        self.context = context
        self.encoder = encoder
        self.facts = facts
        self.partition_of = partition_of
        self.seen = seen
        self.open_rejects = dict(open_rejects or {})
        self.hold_case = hold_case
        self.held_cases = set(self.open_rejects.values()) - {""} if hold_case else set()
        self.counts = counts or Counts()
        self.batch = Batch()
        self.unexpected_in_a_row = 0
        self._validate = _validator(adapter.record)  # type: ignore[arg-type]  # a TypedDict is hashable as any class
        self._digest = record_digest(origin.organisation, origin.system)
        self._identity_of = adapter.identity.record
        self._case_of = adapter.identity.case
        self._translate = adapter.translate
        self._dedupe = seen.capacity > 0

    def fill(self, records: Iterator[RawRecord | Malformed], position: Position, limit: int) -> bool:
        """Process up to ``limit`` records; return False when the document has ended. Stops early at a full batch.

        Raises FatalError after ``UNEXPECTED_IN_A_ROW`` records in a row made ``translate`` fail.
        """
        return self._run(records, position, limit, "")

    def process(self, raw: RawRecord | Malformed, position: Position, known_identity: str = "") -> str:
        """Take one record; return its outcome.

        ``known_identity`` stands in for the adapter's, for a record that was repaired after it was rejected. Raises
        as ``fill`` does.
        """
        counts = self.counts
        before = (counts.published, counts.duplicate, counts.skipped)
        self._run(iter((raw,)), position, 1, known_identity)
        after = (counts.published, counts.duplicate, counts.skipped)
        for outcome, was, now in zip(("published", "duplicate", "skipped"), before, after, strict=True):
            if now > was:
                return outcome
        return "rejected"

    def _run(
        self, records: Iterator[RawRecord | Malformed], position: Position, limit: int, known_identity: str
    ) -> bool:
        """Give each record its outcome. One loop over local names: calls and attributes are most of what it costs."""
        batch, counts, context, open_rejects = self.batch, self.counts, self.context, self.open_rejects
        identity_of, validate, translate = self._identity_of, self._validate, self._translate
        encode, prepared, partition_of, add = self.encoder.encode, self.encoder.prepared, self.partition_of, batch.add
        start, number_of = self._digest.copy, int.from_bytes
        dedupe, seen, note = self._dedupe, self.seen.hashes, batch.hashes.append
        taken = published = 0
        try:
            for raw in islice(records, limit):
                taken += 1
                identity = b""
                try:
                    if isinstance(raw, Malformed):
                        _refuse(raw)
                    identity = (known_identity or identity_of(raw)).encode()
                    digest = start()
                    digest.update(identity)
                    key = number_of(digest.digest()[:16], "big")
                    record_hash = key >> 64
                    if dedupe and record_hash in seen:
                        counts.duplicate += 1
                        continue
                    if self.held_cases:
                        self._wait_behind_reject(raw)
                    result: Any = translate(validate(raw), context)
                    kind = result.__class__
                    if kind in prepared:
                        # most records mean one event: the way without a list, and without a slow isinstance of a model
                        topic, event_key, packed = encode(result, key, position.number, 0, 0)
                        add(topic, partition_of(topic, event_key), packed)
                        published += 1
                    elif kind is Skip:
                        counts.skipped += 1
                        counts.because(result.reason)
                    else:
                        self._publish((result,) if isinstance(result, Event) else result, key, position.number)
                except Exception as error:  # noqa: BLE001 - a translate's fault costs one record, never the feed
                    self._set_aside(error, raw, position, identity)
                else:
                    self.unexpected_in_a_row = 0
                    if dedupe:
                        seen.add(record_hash)
                        note(record_hash)
                    if record_hash in open_rejects:
                        self._settle(record_hash, f"{key:032x}")
                if batch.full:
                    return True
        finally:
            batch.records += taken
            counts.records += taken
            counts.published += published
            counts.events += published
        return taken == limit

    def _publish(self, events: Sequence[Event], key: int, number: int) -> None:
        """Encode all events of a record first, then add them, so that a failure leaves none behind."""
        encode = self.encoder.encode
        encoded: list[tuple[str, bytes, bytes]] = []
        if not events:
            message = "translate returned no event; Skip(reason) says that a record means none"
            raise RecordError(message, code="record.no-outcome")
        indexes: dict[type[Event], int] = {}
        for place, event in enumerate(self._with_siblings(events, key)):
            index = indexes.get(event.__class__, 0)
            indexes[event.__class__] = index + 1
            encoded.append(encode(event, key, number, index, place))
        for topic, event_key, packed in encoded:
            self.batch.add(topic, self.partition_of(topic, event_key), packed)
        self.counts.published += 1
        self.counts.events += len(encoded)

    def _with_siblings(self, events: Sequence[Event], key: int) -> Iterator[Event]:
        """Resolve ``superseded_by="#<position>"``, which names another event of the same return, to that event's id."""
        for event in events:
            reference = getattr(event, "superseded_by", None)
            if not (isinstance(reference, str) and reference.startswith("#")):
                yield event
                continue
            sibling = events[int(reference[1:])]
            index = sum(1 for earlier in events[: int(reference[1:])] if earlier.__class__ is sibling.__class__)
            resolved = self.encoder.event_id(sibling.__class__, key, index)
            yield event.model_copy(update={"superseded_by": resolved})

    def _wait_behind_reject(self, raw: RawRecord) -> None:
        """Raise for a record of a case that is held."""
        if self._case_of is not None and case_hash(self._digest, self._case_of(raw)) in self.held_cases:
            message = "an earlier record of the case is an open reject, and the feed holds the case"
            raise RecordError(message, code=BEHIND_REJECT)

    def _settle(self, short: int, settled: str) -> None:
        """Close the open reject of a record that was published or skipped after all."""
        del self.open_rejects[short]
        self.batch.closed.append(settled)
        if self.hold_case:
            self.held_cases = set(self.open_rejects.values()) - {""}

    def _set_aside(self, error: Exception, raw: RawRecord | Malformed, position: Position, identity: bytes) -> None:
        """Reject a record for what went wrong; the message never repeats a value."""
        fields = raw.raw if isinstance(raw, Malformed) else raw
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            message = f"{error.title}: {name or 'the record'} is not as it must be ({first['type']})"
            self._reject(fields, "record.schema", message, position, identity, field_name=name)
        elif isinstance(error, RecordError):
            code = error.legacy_code if isinstance(error, UnmappedCodeError) else ""
            self._reject(
                fields, error.code, error.message, position, identity, field_name=error.field, legacy_code=code
            )
        elif isinstance(error, KeyError) and not identity:
            message = "a field that identifies the record is missing"
            self._reject(fields, "record.missing-required", message, position, identity)
        else:
            self._unexpected(error, fields, position, identity)

    def _unexpected(self, error: Exception, raw: RawRecord, position: Position, identity: bytes) -> None:
        """Reject a record on which the adapter itself failed; say where, by line of code only."""
        self.unexpected_in_a_row += 1
        where = "".join(places_of(error, 1))
        message = f"the adapter failed on this record with {type(error).__name__} at {where}"
        self._reject(raw, "record.unexpected", message, position, identity)
        if self.unexpected_in_a_row >= UNEXPECTED_IN_A_ROW:
            message = f"the adapter failed on {UNEXPECTED_IN_A_ROW} records in a row, last with {type(error).__name__}"
            guidance = "mend the adapter, then start the feed again: nothing after the last commit was acknowledged"
            raise FatalError(message, code="feed.translate-failing", guidance=guidance)

    def _reject(
        self,
        raw: Mapping[str, Any],
        code: str,
        message: str,
        position: Position,
        identity: bytes,
        *,
        field_name: str = "",
        legacy_code: str = "",
    ) -> None:
        facts = self.facts
        number = position.number
        kept, size, cut = bounded_raw(raw)
        case = ""
        if self._case_of is not None and identity:
            try:
                case = case_hash(self._digest, self._case_of(raw))
            except (KeyError, RecordError):
                case = ""
        reject = Reject(
            id=reject_id(self._digest, identity or raw_identity(kept)),
            organisation=facts.organisation, feed=facts.feed, shard=facts.shard,
            adapter=self.adapter.name, adapter_version=self.adapter.version,
            code=code, message=message, field=field_name, legacy_code=legacy_code,
            document=facts.document, document_sha256=facts.sha256, layout=facts.layout,
            record_number=number, offset=position.offset, sequence=f"{facts.ordinal:08d}-{number:09d}",
            case_hash=case, identity=identity.decode(), rejected_at=facts.now, raw=kept, raw_cut=cut,
        )  # fmt: skip
        self.batch.rejects.append(reject)
        self.batch.reject_bytes += size + REJECT_OVERHEAD_BYTES
        if self.batch.reject_bytes > BATCH_PARTITION_BYTES:
            self.batch.full = True
        self.open_rejects[short_id(reject.id)] = case
        if self.hold_case and case:
            self.held_cases.add(case)
        if self.hold_case and len(self.open_rejects) > HELD_MOST:
            said = f"more than {HELD_MOST:,} rejects are open, and the feed holds their cases"
            guidance = "re-drive or settle them; until then nothing of the feed is published"
            raise FatalError(said, code="feed.too-many-held", guidance=guidance)
        self.counts.rejected += 1
        self.counts.because(code)
        if code != "record.unexpected":
            self.unexpected_in_a_row = 0

    def cut(self) -> Batch:
        """Hand over what has gathered and start the next batch."""
        self.seen.extend(self.batch.hashes)
        batch, self.batch = self.batch, Batch()
        return batch


@cache
def _validator(record: type[Any]) -> Callable[[Any], Any]:
    """Return what validates a raw record; made once, as making it takes longer than a small document."""
    validate: Callable[[Any], Any] = TypeAdapter(record).validator.validate_python
    return validate


def _refuse(malformed: Malformed) -> NoReturn:
    """Raise for a stretch of the document that is no record."""
    raise RecordError(malformed.message, code=malformed.code, field=malformed.field)
