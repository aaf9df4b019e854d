"""An event as a handler sees it: typed data, and the envelope beside it, read only when it is asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import ValidationError

from backbone.subscriber.errors import UnreadableError
from schemas.families import event_class
from schemas.shared import Event as Data

DataT_co = TypeVar("DataT_co", bound=Data, covariant=True)
EVENT_MAX_BYTES: Final = 1_048_576
"""Larger values are set aside: the backbone never writes them, and reading one costs everybody behind it."""
TYPE_PREFIX: Final = "org.councilbackbone."
Headers = Sequence[tuple[str, bytes]]


class Event(Generic[DataT_co]):
    """One event of a topic. ``data`` is the model of its type, frozen; the rest is its envelope.

    ``record`` is Kafka's record that it came in, for those who need it.
    Times are RFC 3339 text in UTC, as on the wire. ``late`` says that it was published after its place in the order;
    ``replay`` names the run that published it again, and is empty on the first time.
    """

    def __init__(self, data: DataT_co, record: Any) -> None:
        """Take validated data and the Kafka record that it came in."""
        self.data = data
        self.record = record

    def __repr__(self) -> str:
        """Show where it lies, never what is in it."""
        return f"Event({self.type}, {self.topic}/{self.partition}/{self.offset})"

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Return the envelope's attributes by CloudEvents' names."""
        return {
            name[3:]: (value or b"").decode("utf-8", "replace")
            for name, value in self.record.headers
            if name.startswith("ce_")
        }

    def _attribute(self, name: str) -> str:
        return self.attributes.get(name, "")

    @property
    def id(self) -> str:
        """Return the id: equal for the same fact, however often it is sent."""
        return self._attribute("id")

    @property
    def type(self) -> str:
        """Return the type, such as ``org.councilbackbone.lifeevents.death-registered.v1``."""
        return self._attribute("type")

    @property
    def source(self) -> str:
        """Return who says so: organisation, then system."""
        return self._attribute("source")

    @property
    def subject(self) -> str:
        """Return the case reference as the envelope has it: opaque where it would be personal."""
        return self._attribute("subject")

    @property
    def organisation(self) -> str:
        """Return the organisation whose topic it is."""
        return str(self.topic.partition(".")[0])

    @property
    def time(self) -> str:
        """Return when the fact happened; empty where the source knows no full date."""
        return self._attribute("time")

    @property
    def recorded_at(self) -> str:
        """Return when the backbone published it."""
        return self._attribute("recordedtime")

    @property
    def sequence(self) -> str:
        """Return its place in its source: orderable text, not contiguous."""
        return self._attribute("sequence")

    @property
    def late(self) -> bool:
        """Say whether it came after its place in the order; ``time`` and ``sequence`` say where that is."""
        return self._attribute("late") == "true"

    @property
    def replay(self) -> str:
        """Return the id of the replay that sent it again, or nothing."""
        return self._attribute("replayid")

    @property
    def traceparent(self) -> str:
        """Return the W3C trace that it belongs to."""
        return self._attribute("traceparent")

    @property
    def trace(self) -> Context:
        """Return the producer's trace as an OpenTelemetry context, to continue it."""
        return TraceContextTextMapPropagator().extract({"traceparent": self.traceparent})

    @property
    def key(self) -> bytes:
        """Return the record's key: the case."""
        return self.record.key or b""

    @property
    def topic(self) -> str:
        """Return the topic."""
        return str(self.record.topic)

    @property
    def partition(self) -> int:
        """Return the partition."""
        return int(self.record.partition)

    @property
    def offset(self) -> int:
        """Return the offset."""
        return int(self.record.offset)

    @property
    def timestamp_ms(self) -> int:
        """Return the record's timestamp, milliseconds since 1970."""
        return int(self.record.timestamp)


REQUIRED: Final = (("ce_id", None), ("ce_specversion", b"1.0"))
"""What an envelope must have beside its type, and what it must be: without an id, nothing is known to come again."""


def check_envelope(headers: Sequence[tuple[str, bytes | None]]) -> None:
    """Raise UnreadableError for an envelope without an id, or of a version of CloudEvents that is not ours."""
    for name, wanted in REQUIRED:
        found = header(headers, name)
        if not found or (wanted is not None and found != wanted):
            message = f"the record has no {name} header that can be used: it is no CloudEvent 1.0 in binary mode"
            raise UnreadableError(message, code="event.no-envelope", guidance="ask the topic's owner who writes there")


def header(headers: Sequence[tuple[str, bytes | None]], name: str) -> bytes | None:
    """Return a header's value."""
    for found, value in headers:
        if found == name:
            return value
    return None


def trace_id_of(headers: Headers) -> str:
    """Return the 32 digits of the trace, or nothing."""
    parts = (header(headers, "ce_traceparent") or b"").decode("ascii", "replace").split("-")
    return parts[1] if len(parts) == 4 else ""


def check_type(event_type: bytes | None, content_type: bytes | None) -> str:
    """Return a known event type; raises UnreadableError that says what to do about any other."""
    if event_type is None:
        message = "the record has no ce_type header: it is no CloudEvent in binary mode"
        raise UnreadableError(message, code="event.no-envelope", guidance="ask the topic's owner who writes there")
    if content_type is not None and not content_type.startswith(b"application/json"):
        message = "the event's data is not JSON"
        raise UnreadableError(message, code="event.content-type", guidance="ask the topic's owner who writes there")
    try:
        name = event_type.decode()
    except UnicodeDecodeError:
        message, guidance = "the ce_type header is not UTF-8", "ask the topic's owner who writes there"
        raise UnreadableError(message, code="event.no-envelope", guidance=guidance) from None
    if event_class(name) is None:
        newer = name.startswith(TYPE_PREFIX) and _major(name) > 1
        message = "the event is of a major version that this program does not know" if newer else "unknown event type"
        guidance = "install the newer council-backbone, whose schemas know it, then retry the dead letter"
        raise UnreadableError(message, code="event.unknown-major" if newer else "event.unknown-type", guidance=guidance)
    return name


def _major(name: str) -> int:
    version = name.rpartition(".v")[2]
    return int(version) if version.isdecimal() else 0


def validated(model: type[Data], value: bytes | None) -> tuple[Data, bool]:
    """Return the data and whether it holds fields that this version does not know, which are ignored.

    Raises UnreadableError for no value, one that is too large or no JSON, and data that does not fit the schema.
    """
    if value is None:
        raise UnreadableError("the record has no value, and no event is without one", code="event.no-value")
    if len(value) > EVENT_MAX_BYTES:
        raise UnreadableError(f"the value has {len(value):,} bytes", code="event.oversize")
    validate = model.__pydantic_validator__.validate_json
    try:
        try:
            return validate(value), False
        except ValidationError as error:
            if not any(fault["type"] == "extra_forbidden" for fault in error.errors(include_input=False)):
                raise
            return validate(value, extra="ignore"), True
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise UnreadableError("the value is not JSON", code="event.undecodable") from None
        place = ".".join(str(part) for part in fault["loc"]) or "the data"
        raise UnreadableError(f"{place} is not as the schema says ({fault['type']})", code="event.schema") from None
