"""Turn events into Kafka messages: CloudEvents 1.0, binary content mode, deterministic ids. Pure.

The hot path of the product: everything that is equal for all events of a document is prepared once, and an event
costs one serialisation, one digest and one list. See ``docs/adr/0004-hot-path.md`` for what was measured.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from backbone.case_keys import case_key
from backbone.errors import ConfigurationError, OversizeError, SchemaError
from backbone.packed import TABLE_SIZE, VARINTS, Headers, Message, framed, packed_headers, varint
from backbone.secret import Secret
from schemas.shared import Event, PartialDate, categories

HIDING_GUIDANCE = "name one by `organisation.case_secret`; it never changes after the first publish, as keys would"
EVENT_MAX_BYTES = 65_536
"""An event with its key and headers is never larger on the wire; larger data needs a claim check."""

CATEGORY_RANK = {"none": 0, "personal": 1, "special-category": 2, "criminal-offence": 3}


def length_prefixed(*parts: str) -> bytes:
    """Join texts so that no two different sequences of parts give the same bytes."""
    return b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)


def record_digest(organisation: str, system: str) -> "hashlib._Hash":
    """Return a SHA-256 to copy and to feed a record's identity: equal facts give equal digests for ever."""
    return hashlib.sha256(length_prefixed("record", organisation, system))


def record_key(digest: "hashlib._Hash", identity: bytes) -> int:
    """Return 128 bits of a record's identity; ``digest`` is ``record_digest``'s and is not changed."""
    copy = digest.copy()
    copy.update(identity)
    return int.from_bytes(copy.digest()[:16], "big")


def event_mask(event_type: str, index: int) -> int:
    """Return 128 bits of an event's type and its index within the record.

    An id is the record's key and this, exclusive-or: a digest over organisation, system, identity, type and index
    that costs one digest a record, however many events it gives.
    """
    return int.from_bytes(hashlib.sha256(length_prefixed("event", event_type, str(index))).digest()[:16], "big")


def new_traceparent() -> str:
    """Start a W3C trace: version 00, random trace and span ids, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks: what goes into every id and into ``ce_source``. It never changes after the first publish."""

    organisation: str
    system: str
    source_base: str = "urn:backbone"
    case_secret: Secret | None = None
    """What personal case references are hidden with, in keys and subjects."""

    @property
    def source(self) -> str:
        """Return ``ce_source``: organisation, then system."""
        return f"{self.source_base}:{self.organisation}:{self.system}"


class _Prepared:
    """What all events of one class in one document share; the parts of their headers are packed."""

    __slots__ = ("categories", "event_type", "heads", "hides_case", "marked", "masks", "serialise", "topic")

    def __init__(self, event_class: type[Event], origin: Origin, document: Headers) -> None:
        self.topic = f"{origin.organisation}.{event_class.topic_suffix}"
        self.hides_case = event_class.personal_case_ref
        if self.hides_case and origin.case_secret is None:
            message = f"{event_class.__name__} has a personal case reference, and there is no secret to hide it with"
            raise ConfigurationError(message, code="config.no-case-secret", guidance=HIDING_GUIDANCE)
        self.serialise = event_class.__pydantic_serializer__.to_json
        ranked = [(path, CATEGORY_RANK[category]) for path, category in categories(event_class)]
        self.categories = tuple(sorted(ranked, key=lambda pair: -pair[1]))
        self.marked = frozenset(path[0] for path, _ in ranked)
        for name in self.marked:
            field = event_class.model_fields[name]
            assert field.is_required() or field.get_default() is None, f"{name} is personal, so it has no default"
        self.event_type = event_class.event_type
        self.masks = [event_mask(self.event_type, 0)]
        # readers know records of one kind again by what these bytes begin with, so what changes least comes first
        alike: Headers = [
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
            ("ce_type", event_class.event_type.encode()),
            ("ce_source", origin.source.encode()),
            ("ce_dataschema", event_class.dataschema.encode()),
            ("ce_dataclassification", event_class.classification.encode()),
        ]
        # by rank: how many headers there will be with `ce_time` and without, and those that are alike
        packed = packed_headers(alike)
        own_packed = packed_headers(document)
        heads = [packed + packed_headers([("ce_datacategory", one.encode())]) + own_packed for one in CATEGORY_RANK]
        counts = [varint(len(alike) + 1 + len(document) + own) for own in (_OWN_HEADERS, _OWN_HEADERS - 1)]
        self.heads = [(counts[0] + head, counts[1] + head) for head in heads]

    def mask(self, index: int) -> int:
        while index >= len(self.masks):
            self.masks.append(event_mask(self.event_type, len(self.masks)))
        return self.masks[index]


_OWN_HEADERS = 5
"""Headers of one event alone: id, subject, sequence, time, and the producer's recordedtime."""
_ID = framed(b"ce_id") + varint(32)
_SUBJECT = framed(b"ce_subject")
_SEQUENCE = framed(b"ce_sequence")
_LAST_DIGITS = tuple(b"%03d-00" % number for number in range(1_000))
_TIME = framed(b"ce_time")


class Encoder:
    """Encode the events of one document.

    ``ordinal`` is the document's number within its shard, so that ``ce_sequence`` is orderable over documents.
    ``late`` marks events that a re-drive publishes after their time.
    """

    def __init__(
        self, origin: Origin, emits: Sequence[type[Event]], *, ordinal: int, traceparent: str, late: bool = False
    ) -> None:
        """Prepare what does not change within the document; costs microseconds a class."""
        document: Headers = [("ce_traceparent", traceparent.encode())]
        if late:
            document.append(("ce_late", b"true"))
        self.prepared = {event_class: _Prepared(event_class, origin, document) for event_class in emits}
        self._origin = origin
        self._ordinal = b"%08d" % ordinal
        self._thousand = -1
        self._sequence = b""

    def _hidden(self, case_ref: str) -> bytes:
        assert self._origin.case_secret is not None
        return case_key(self._origin.case_secret.reveal().encode(), self._origin.organisation, case_ref).encode()

    def _sequence_of(self, number: int, position: int) -> bytes:
        """Return the framed ``ce_sequence``, for which only the last digits change from record to record."""
        thousand, rest = divmod(number, 1_000)
        if position or number > 999_999_999:
            return _SEQUENCE + framed(b"%b-%09d-%02d" % (self._ordinal, number, position))
        if thousand != self._thousand:
            self._thousand = thousand
            length = varint(len(self._ordinal) + 1 + 9 + 3)
            self._sequence = _SEQUENCE + length + b"%b-%06d" % (self._ordinal, thousand)
        return self._sequence + _LAST_DIGITS[rest]

    def encode(
        self, event: Event, key_of_record: int, number: int, index: int, position: int
    ) -> tuple[str, bytes, bytes]:
        """Return the topic, the key and the packed message, which holds the key too.

        ``index`` counts within the event's type among the events of one record, ``position`` among all of them;
        ``key_of_record`` is ``record_key``'s, ``number`` the record's number in its document. Raises SchemaError for
        an event class that the adapter does not declare, OversizeError above ``EVENT_MAX_BYTES``.
        """
        prepared = self.prepared.get(event.__class__)
        if prepared is None:
            message = f"the adapter returned {event.__class__.__name__}, which its `emits` does not name"
            raise SchemaError(message, code="record.undeclared-event")
        rank = 0
        # a field that was not set has its default, which is None where it is personal
        if not prepared.marked.isdisjoint(event.__pydantic_fields_set__):
            for path, category in prepared.categories:
                present = getattr(event, path[0])
                if present is not None and (len(path) == 1 or getattr(present, path[1], None) is not None):
                    rank = category
                    break
        occurred_at = event.occurred_at
        time = occurred_at.encode() if occurred_at.__class__ is str else day_of(occurred_at)
        key = self._hidden(event.case_ref) if prepared.hides_case else event.case_ref.encode()
        framed_key = VARINTS[len(key)] + key
        value = prepared.serialise(event, exclude_none=True)
        size = len(value)
        packed = b"".join((
            framed_key,
            VARINTS[size] if size < TABLE_SIZE else varint(size),
            value,
            prepared.heads[rank][time is None],
            _ID,
            b"%032x" % (key_of_record ^ (prepared.mask(index) if index else prepared.masks[0])),
            _SUBJECT,
            framed_key,
            self._sequence_of(number, position),
            b"" if time is None else _TIME + VARINTS[len(time)] + time,
        ))  # fmt: skip
        if len(packed) > EVENT_MAX_BYTES:
            message = (
                f"{event.__class__.__name__} takes {len(packed):,} bytes; at most {EVENT_MAX_BYTES:,} go on a topic"
            )
            raise OversizeError(message, code="record.event-too-large")
        return prepared.topic, key, packed

    def event_id(self, event_class: type[Event], key_of_record: int, index: int = 0) -> str:
        """Return the id that ``encode`` gives the event: 128 bits in hexadecimal."""
        return f"{key_of_record ^ self.prepared[event_class].mask(index):032x}"


def day_of(occurred_at: object) -> bytes | None:
    """Return ``ce_time`` of a full date: its midnight; a partial date has no time and the attribute is left out."""
    if isinstance(occurred_at, PartialDate) and occurred_at.month is not None and occurred_at.day is not None:
        return b"%04d-%02d-%02dT00:00:00Z" % (occurred_at.year, occurred_at.month, occurred_at.day)
    return None


def structured(message: Message) -> dict[str, object]:
    """Return a message as a CloudEvents structured-mode object, for previews and exports; ``data`` stays JSON text."""
    _, value, headers = message
    attributes = {name: content.decode() for name, content in headers}
    event: dict[str, object] = {
        name.removeprefix("ce_"): content for name, content in attributes.items() if name.startswith("ce_")
    }
    event["datacontenttype"] = attributes.get("content-type", "application/json")
    event["data"] = (value or b"null").decode()
    return event
