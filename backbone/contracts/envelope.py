"""The CloudEvents envelope as a schema of Kafka headers, and as the product itself writes it in examples. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from backbone.event import Encoder, Origin, record_digest, record_key
from backbone.packed import unpack
from backbone.secret import Secret
from schemas.shared import Event

ORGANISATION: Final = "E09000099"
SYSTEM: Final = "example-system"
RECORDED: Final = "2031-06-14T08:06:30.000Z"
TRACEPARENT: Final = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

ATTRIBUTES: Final[dict[str, dict[str, Any]]] = {
    "ce_specversion": {"const": "1.0", "description": "The version of CloudEvents"},
    "ce_id": {
        "pattern": "^[0-9a-f]{32}$",
        "description": "The same source fact always has the same id, however often its file is sent again",
    },
    "ce_source": {"format": "uri-reference", "description": "The organisation, then its system"},
    "ce_type": {"description": "The family, the fact and the major version"},
    "ce_subject": {"description": "The case reference, as in the record's key; opaque, never personal data"},
    "ce_time": {
        "format": "date-time",
        "description": "When the fact happened, in UTC; absent where only a part of the date is known",
    },
    "ce_dataschema": {"description": "Which schema the data keeps to"},
    "ce_recordedtime": {"format": "date-time", "description": "When the backbone committed it, in UTC"},
    "ce_sequence": {"description": "Sorts the events of one feed as text; not without gaps"},
    "ce_dataclassification": {
        "enum": ["open", "official", "official-sensitive"],
        "description": "Government Security Classifications",
    },
    "ce_datacategory": {
        "enum": ["none", "personal", "special-category", "criminal-offence"],
        "description": "The highest category of data among the fields that are present",
    },
    "ce_traceparent": {"description": "W3C Trace Context; one trace a document"},
    "ce_replayid": {"description": "Only on a replay: which one, so that nobody acts twice"},
    "ce_late": {"const": "true", "description": "Only on an event that was mended and published after its time"},
    "content-type": {"const": "application/json", "description": "How the record's value is written"},
}
OPTIONAL: Final = frozenset({"ce_time", "ce_replayid", "ce_late"})


def envelope_schema() -> dict[str, Any]:
    """Return what the headers of every event hold; each value is UTF-8 text."""
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary content mode",
        "properties": {name: {"type": "string", **rule} for name, rule in ATTRIBUTES.items()},
        "required": [name for name in ATTRIBUTES if name not in OPTIONAL],
    }


def example_headers(event_class: type[Event], example: Mapping[str, Any]) -> dict[str, str]:
    """Return an example's headers as the encoder writes them, with the time that the transaction adds."""
    origin = Origin(ORGANISATION, SYSTEM, case_secret=Secret("of examples"))
    event = event_class.model_validate(example)
    key = record_key(record_digest(origin.organisation, origin.system), event.case_ref.encode())
    encoder = Encoder(origin, (event_class,), ordinal=1, traceparent=TRACEPARENT)
    _, _, headers = unpack(encoder.encode(event, key, 1, 0, 0)[2])
    return dict(sorted([("ce_recordedtime", RECORDED), *((name, value.decode()) for name, value in headers)]))
