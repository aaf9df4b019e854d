"""What a transform makes of one record: outputs, or the code with which it is set aside. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from backbone.errors import ConfigurationError
from backbone.event import Encoder, Origin, record_digest, record_key
from backbone.packed import pack
from backbone.subscriber.errors import HANDLER_FAILED, PermanentError, UnreadableError
from backbone.subscriber.event import Event, check_type, header, validated
from backbone.subscriber.failures import note_failure
from backbone.subscriber.intake import check_readable
from backbone.subscriber.routes import Routes
from backbone.subscriber.tracing import InHand
from backbone.subscriber.work import Tally
from schemas.shared import Event as Data

RECORDED: Final = "ce_recordedtime"
MOST_OUTPUT_BYTES: Final = 950_000
"""Of what one output takes with key and headers; brokers take a million by default."""
Packed = tuple[str, bytes, bytes]
"""Topic, packed message, key."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Output:
    """A record to write. Without a ``key`` it keeps the input's, and so its order; without a ``topic`` the only one."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = ""


Made = Output | Data | Sequence[Output | Data] | None
"""What a function may return: records, events of the families that ``emits`` names, several of them, or nothing."""
Function = Callable[[Event[Any]], Made]


class Translator:
    """Give records to functions and encode what they return."""

    def __init__(
        self, routes: Routes, origin: Origin, emits: Sequence[type[Data]], topics: Sequence[str], tally: Tally
    ) -> None:
        """Take the functions by event type, who speaks in events of its own, and the topics that may be written to."""
        self._routes = routes
        self._tally = tally
        self.in_hand = InHand()
        self._topics = tuple(topics)
        self._origin = origin
        self._emits = tuple(emits)
        self._digest = record_digest(origin.organisation, origin.system)
        self._encoders: dict[str, Encoder] = {}

    def translate(self, record: Any) -> tuple[Sequence[Packed], str]:
        """Return outputs, or none and the code with which the record is to be set aside."""
        self.in_hand.record = record
        try:
            return self._translated(record), ""
        except (PermanentError, UnreadableError) as error:
            note_failure(record, error, error.code, 1)
            return (), error.code
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a pure function that failed fails again: the record is set aside
            note_failure(record, error, HANDLER_FAILED, 1)
            return (), HANDLER_FAILED
        finally:
            self.in_hand.record = None

    def _translated(self, record: Any) -> list[Packed]:
        headers = record.headers
        wanted = self._routes.wanting(record.topic, headers)
        if not wanted:
            event_type = header(headers, "ce_type")
            if event_type not in self._routes.by_type:
                _refuse_unreadable(event_type, headers)
            self._tally.ignored += 1
            return []
        check_readable(record, wanted)
        data, has_unknown = validated(wanted[0].model, record.value)
        self._tally.unknown_fields += has_unknown
        event = Event(data, record)
        outputs: list[Packed] = []
        position = 0
        counts: dict[type[Data], int] = {}
        for route in wanted:
            made: Any = route.handler(event)
            for one in made if isinstance(made, Sequence) else () if made is None else (made,):
                if isinstance(one, Output):
                    outputs.append(self._record(one, event))
                else:
                    index = counts.get(type(one), 0)
                    counts[type(one)] = index + 1
                    outputs.append(self._event(one, event, index, position))
                    position += 1
        self._tally.handled += 1
        return outputs

    def _record(self, output: Output, event: Event[Any]) -> Packed:
        topic = output.topic or self._topics[0]
        if topic not in self._topics or (not output.topic and len(self._topics) > 1):
            message = f"an output goes to {output.topic or 'no topic'}, which `to` does not name"
            raise ConfigurationError(message, code="transform.unknown-topic")
        key = event.key if output.key is None else output.key
        kept = [(name, value) for name, value in output.headers if name != RECORDED]
        packed = pack((key, output.value, kept))
        if len(packed) > MOST_OUTPUT_BYTES:
            message = f"an output has {len(packed):,} bytes; at most {MOST_OUTPUT_BYTES:,} go on a topic"
            raise PermanentError(message, code="transform.output-too-large")
        return topic, packed, key

    def _event(self, made: Data, event: Event[Any], index: int, position: int) -> Packed:
        """Encode an event of our own. Its id follows from the input's, so that the same fact has the same id."""
        encoder = self._encoders.get(event.traceparent)
        if encoder is None:
            if len(self._encoders) > _TRACES:
                self._encoders.clear()
            encoder = Encoder(self._origin, self._emits, ordinal=0, traceparent=event.traceparent, late=event.late)
            self._encoders[event.traceparent] = encoder
        identity = record_key(self._digest, event.id.encode())
        topic, key, packed = encoder.encode(made, identity, event.offset, index, position)
        return topic, packed, key


_TRACES: Final = 64
"""How many encoders are kept: an input document has one trace."""


def _refuse_unreadable(event_type: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
    """Raise UnreadableError for what is no event, or of a major that is not known; other types are not for us."""
    try:
        check_type(event_type, header(headers, "content-type"))
    except UnreadableError as error:
        if error.code != "event.unknown-type":
            raise


def topics_of(organisation: str, emits: Sequence[type[Data]], to: Sequence[str]) -> tuple[str, ...]:
    """Return every topic that outputs go to."""
    return tuple(dict.fromkeys([*to, *(f"{organisation}.{event.topic_suffix}" for event in emits)]))
