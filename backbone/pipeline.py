"""Raw records to encoded messages, rejects and counts. Pure: the hot path of the product.

A pipeline serves one document. The caller feeds it raw records and cuts what has gathered into batches, one a
transaction; the events, the reject and the count of one record always land in the same batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from backbone.adapter import AnyAdapter, Context, Skip
from backbone.errors import FatalError, RecordError, UnmappedCodeError
from backbone.event import Encoder, Message, Origin, record_digest, record_key
from backbone.formats.reader import Malformed, RawRecord, Reader
from backbone.receipts import Counts
from backbone.rejects import BEHIND_REJECT, Reject, bounded_raw, case_hash, raw_identity, reject_id, short_id
from backbone.seen import SeenWindow
from schemas.shared import Event

BATCH_RECORDS = 3_000
BATCH_PARTITION_BYTES = 480 * 1_024
REJECT_OVERHEAD_BYTES = 1_500
"""What a reject takes beside its raw record: its other fields, its headers and its entry in the state."""
UNEXPECTED_IN_A_ROW = 100
HELD_MOST = 50_000
"""How many rejects may be open in a feed that holds cases: what waits behind them is kept in memory."""

Partitioner = Callable[[str, bytes], int]
"""From topic and key to the number of a partition."""


@dataclass(slots=True)
class Batch:
    """What one transaction will hold of a document."""

    messages: dict[tuple[str, int], list[Message]] = field(default_factory=dict)
    bytes: dict[tuple[str, int], int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    reject_bytes: int = 0
    hashes: list[int] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    records: int = 0
    full: bool = False

    def add(self, topic: str, partition: int, message: Message, size: int) -> None:
        """Add a message; the batch is full when one of its partitions is."""
        place = (topic, partition)
        messages = self.messages.get(place)
        if messages is None:
            self.messages[place] = [message]
            self.bytes[place] = size
            return
        messages.append(message)
        total = self.bytes[place] + size
        self.bytes[place] = total
        if total > BATCH_PARTITION_BYTES:
            self.full = True


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
        self._validate = TypeAdapter(adapter.record).validator.validate_python
        self._digest = record_digest(origin.organisation, origin.system)
        self._identity_of = adapter.identity.record
        self._case_of = adapter.identity.case
        self._translate = adapter.translate
        self._dedupe = seen.capacity > 0
        self._remember = seen.hashes.add

    def process(
        self, raw: RawRecord | Malformed, number: int, offset_of: Callable[[], int | None], known_identity: str = ""
    ) -> str:
        """Take one record; return its outcome. ``offset_of`` is asked for the byte offset only where it is needed.

        ``known_identity`` stands in for the adapter's, for a record that was repaired after it was rejected. Raises
        FatalError after ``UNEXPECTED_IN_A_ROW`` records in a row made ``translate`` fail.
        """
        batch = self.batch
        batch.records += 1
        self.counts.records += 1
        identity = b""
        try:
            if isinstance(raw, Malformed):
                return self._reject(raw.raw, raw.code, raw.message, number, offset_of, b"", field_name=raw.field)
            identity = (known_identity or self._identity_of(raw)).encode()
            key = record_key(self._digest, identity)
            record_hash = key >> 64
            if self._dedupe and record_hash in self.seen.hashes:
                self.counts.duplicate += 1
                return "duplicate"
            if self.held_cases and self._is_held(raw):
                message = "an earlier record of the case is an open reject, and the feed holds the case"
                return self._reject(raw, BEHIND_REJECT, message, number, offset_of, identity)
            result: Any = self._translate(self._validate(raw), self.context)
            kind = result.__class__
            if kind in self.encoder.prepared:
                # most records mean one event: the way without a list, and without a slow isinstance of a model
                topic, encoded, size = self.encoder.encode(result, key, number, 0, 0)
                batch.add(topic, self.partition_of(topic, encoded[0]), encoded, size)
                self.counts.published += 1
                self.counts.events += 1
                outcome = "published"
            elif kind is Skip:
                self.counts.skipped += 1
                self.counts.because(result.reason)
                outcome = "skipped"
            else:
                self._publish((result,) if isinstance(result, Event) else result, key, number)
                outcome = "published"
        except Exception as error:  # noqa: BLE001 - whatever a translate does wrong costs one record, never the feed
            fields = {} if isinstance(raw, Malformed) else raw
            return self._set_aside(error, fields, number, offset_of, identity)
        self.unexpected_in_a_row = 0
        if self._dedupe:
            self._remember(record_hash)
            batch.hashes.append(record_hash)
        if record_hash in self.open_rejects:
            self._settle(record_hash, f"{key:032x}")
        return outcome

    def _publish(self, events: Sequence[Event], key: int, number: int) -> None:
        """Encode all events of a record first, then add them, so that a failure leaves none behind."""
        encode = self.encoder.encode
        encoded: list[tuple[str, Message, int]] = []
        if not events:
            message = "translate returned no event; Skip(reason) says that a record means none"
            raise RecordError(message, code="record.no-outcome")
        indexes: dict[type[Event], int] = {}
        for position, event in enumerate(self._with_siblings(events, key)):
            index = indexes.get(event.__class__, 0)
            indexes[event.__class__] = index + 1
            encoded.append(encode(event, key, number, index, position))
        for topic, encoded_event, size in encoded:
            self.batch.add(topic, self.partition_of(topic, encoded_event[0]), encoded_event, size)
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

    def _is_held(self, raw: RawRecord) -> bool:
        return self._case_of is not None and case_hash(self._digest, self._case_of(raw)) in self.held_cases

    def _settle(self, short: int, settled: str) -> None:
        """Close the open reject of a record that was published or skipped after all."""
        del self.open_rejects[short]
        self.batch.closed.append(settled)
        if self.hold_case:
            self.held_cases = set(self.open_rejects.values()) - {""}

    def _set_aside(
        self, error: Exception, raw: RawRecord, number: int, offset_of: Callable[[], int | None], identity: bytes
    ) -> str:
        """Reject a record for what went wrong; the message never repeats a value."""
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            kind = first["type"]
            message = f"{error.title}: {name or 'the record'} is not as it must be ({kind})"
            return self._reject(raw, "record.schema", message, number, offset_of, identity, field_name=name)
        if isinstance(error, UnmappedCodeError):
            return self._reject(
                raw, error.code, error.message, number, offset_of, identity,
                field_name=error.field, legacy_code=error.legacy_code,
            )  # fmt: skip
        if isinstance(error, RecordError):
            return self._reject(raw, error.code, error.message, number, offset_of, identity, field_name=error.field)
        if isinstance(error, KeyError) and not identity:
            message = "a field that identifies the record is missing"
            return self._reject(raw, "record.missing-required", message, number, offset_of, identity)
        return self._unexpected(error, raw, number, offset_of, identity)

    def _unexpected(
        self, error: Exception, raw: RawRecord, number: int, offset_of: Callable[[], int | None], identity: bytes
    ) -> str:
        """Reject a record on which the adapter itself failed; say where, by line of code only."""
        self.unexpected_in_a_row += 1
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f" at {place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
        message = f"the adapter failed on this record with {type(error).__name__}{where}"
        outcome = self._reject(raw, "record.unexpected", message, number, offset_of, identity)
        if self.unexpected_in_a_row >= UNEXPECTED_IN_A_ROW:
            message = f"the adapter failed on {UNEXPECTED_IN_A_ROW} records in a row, last with {type(error).__name__}"
            guidance = "mend the adapter, then start the feed again: nothing after the last commit was acknowledged"
            raise FatalError(message, code="feed.translate-failing", guidance=guidance)
        return outcome

    def _reject(
        self,
        raw: Mapping[str, Any],
        code: str,
        message: str,
        number: int,
        offset_of: Callable[[], int | None],
        identity: bytes,
        *,
        field_name: str = "",
        legacy_code: str = "",
    ) -> str:
        facts = self.facts
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
            record_number=number, offset=offset_of(), sequence=f"{facts.ordinal:08d}-{number:09d}",
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
        return "rejected"

    def fill(self, records: Iterator[RawRecord | Malformed], reader: Reader, limit: int) -> bool:
        """Process up to ``limit`` records; return False when the document has ended. Stops early at a full batch."""
        process = self.process
        batch = self.batch
        last = batch.records + limit

        def offset_of() -> int | None:
            return reader.offset

        for raw in records:
            process(raw, reader.number, offset_of)
            if batch.records >= last or batch.full:
                return True
        return False

    def cut(self) -> Batch:
        """Hand over what has gathered and start the next batch."""
        self.seen.extend(self.batch.hashes)
        batch, self.batch = self.batch, Batch()
        return batch
