"""Deliberately bad events, each with a label that says what is wrong. Pure.

A label begins with the code under which ``backbone conformance`` reports the fault. Whoever reads events finds out
with them whether bad ones are noticed. Identifiers are invented: the NHS number is in the range for tests, and the
National Insurance number has a right form with zeros only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from backbone.event import structured
from backbone.moments import rfc3339
from backbone.packed import Headers, Message
from backbone.sample import ORGANISATION, Sampled, events_of, lives, sample_messages
from schemas.families import FAMILIES, LIFECYCLES
from schemas.shared import Event
from schemas.shared.facts import Merged

LABEL: Final = "samplefault"
"""The extension attribute that carries the label."""

NHS_NUMBER: Final = "9990000018"
NINO: Final = "AA000000A"

Attributes = dict[str, Any]
"""An event in CloudEvents' structured mode, with its data as an object."""


def as_structured(message: Message, sampled: Sampled) -> Attributes:
    """Return a message in structured mode; ``recordedtime`` is the event's own moment, as nobody recorded it."""
    event = structured(message)
    event["data"] = orjson.loads(str(event["data"]))
    event["recordedtime"] = rfc3339(sampled.moment.at)
    return event


def as_message(event: Attributes) -> Message:
    """Return the Kafka record of an event in structured mode, however wrong it is; its subject is the key."""
    headers: Headers = [
        ("content-type" if name == "datacontenttype" else f"ce_{name}", str(value).encode())
        for name, value in event.items()
        if name not in {"data", "recordedtime"}
    ]
    return str(event.get("subject", "")).encode(), orjson.dumps(event.get("data")), headers


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that may be wrong: its code, what a label says of it, and how it is made of right events.

    ``make`` is given the right events of one case and returns what to send; the last one is the bad one.
    """

    code: str
    text: str
    make: Callable[[list[Attributes]], list[Attributes]]
    events: int = 1


def bad_events(
    family: str, count: int, seed: int, *, event_class: type[Event] | None = None, organisation: str = ORGANISATION
) -> Iterator[Attributes]:
    """Yield bad events until there are ``count`` of them, and among them the right ones that make them bad.

    Each kind of fault comes in turn, each with a case of its own.
    """
    faults = [fault for fault in _faults(family) if event_class is None or fault.events == 1]
    cases = _cases(family, count, seed, event_class, organisation)
    for number in range(count):
        fault = faults[number % len(faults)]
        life = next(life for life in cases if len(life) >= fault.events)[: fault.events]
        encoded = sample_messages(life, seed, organisation)
        events = [as_structured(message, sampled) for sampled, _, message in encoded]
        for index, event in enumerate(events):
            event["sequence"] = f"{number + 1:08d}-{index:09d}-00"
        *right, bad = fault.make(events)
        yield from right
        yield {**bad, LABEL: f"{fault.code}: {fault.text}"}


def _cases(
    family: str, count: int, seed: int, event_class: type[Event] | None, organisation: str
) -> Iterator[list[Sampled]]:
    """Yield ever new cases: of one event that was asked for, or of those that the life-cycle moves along."""
    if event_class is not None:
        yield from ([sampled] for sampled in events_of(event_class, count, seed, organisation))
        return
    for life in lives(family, seed, organisation):
        yield [sampled for sampled in life if type(sampled.event) in LIFECYCLES[family].follows]


def _attribute(name: str, value: object) -> Callable[[list[Attributes]], list[Attributes]]:
    return lambda events: [*events[:-1], {**events[-1], name: value}]


def _without(name: str) -> Callable[[list[Attributes]], list[Attributes]]:
    return lambda events: [*events[:-1], {key: value for key, value in events[-1].items() if key != name}]


def _data(**changes: object) -> Callable[[list[Attributes]], list[Attributes]]:
    def make(events: list[Attributes]) -> list[Attributes]:
        data = {name: value for name, value in {**events[-1]["data"], **changes}.items() if value is not None}
        return [*events[:-1], {**events[-1], "data": data}]

    return make


def _subject(reference: str) -> Callable[[list[Attributes]], list[Attributes]]:
    return lambda events: [*events[:-1], {**events[-1], "subject": reference}]


def _twice_with_other_data(events: list[Attributes]) -> list[Attributes]:
    data = {**events[0]["data"], "logged_at": "2031-01-01T00:00:00Z"}
    return [events[0], {**events[0], "data": data, "sequence": _later(events[0])}]


def _same_with_another_id(events: list[Attributes]) -> list[Attributes]:
    return [events[0], {**events[0], "id": events[0]["id"][::-1], "sequence": _later(events[0])}]


def _backwards(events: list[Attributes]) -> list[Attributes]:
    first, second = events
    return [second, first]


def _of_type(event_type: str) -> Callable[[list[Attributes]], list[Attributes]]:
    return lambda events: [*events[:-1], {**events[-1], "type": event_type}]


def _next_major(events: list[Attributes]) -> list[Attributes]:
    bad = events[-1]
    return [{**bad, "type": bad["type"].replace(".v1", ".v9"), "dataschema": bad["dataschema"].replace(":v1", ":v9")}]


def _after_merger(family: str) -> Callable[[list[Attributes]], list[Attributes]]:
    merged = next(event for event in FAMILIES[family].EVENTS if issubclass(event, Merged))

    def make(events: list[Attributes]) -> list[Attributes]:
        first, second = events
        shared = {name: second["data"][name] for name in ("case_ref", "organisation", "occurred_at")}
        merger = {
            **second,
            "id": second["id"][::-1],
            "type": merged.event_type,
            "dataschema": merged.dataschema,
            "dataclassification": merged.classification,
            "data": {**shared, "into_case_ref": FAMILIES[family].EXAMPLES[merged].minimal["into_case_ref"]},
        }
        return [first, merger, {**second, "sequence": _later(second)}]

    return make


def _later(event: Attributes) -> str:
    document, record, position = event["sequence"].split("-")
    return f"{document}-{int(record) + 1:09d}-{position}"


def _faults(family: str) -> list[Fault]:
    field = LIFECYCLES[family].state_field or "occurred_at_note"
    faults = [
        Fault("schema.missing-field", "the organisation is missing", _data(organisation=None)),
        Fault(
            "schema.value-not-allowed", f"{field} holds a value that its list does not", _data(**{field: "unheard_of"})
        ),
        Fault("schema.invalid-value", "logged_at is not a time", _data(logged_at="yesterday")),
        Fault("envelope.missing-attribute", "the source is missing", _without("source")),
        Fault("envelope.wrong-attribute", "the time is not in UTC", _attribute("time", "2031-06-14T08:05:00+01:00")),
        Fault("envelope.wrong-attribute", "the subject is not the case", _subject("another-case")),
        Fault("envelope.unknown-major", "a major version that does not exist", _next_major),
        Fault(
            "envelope.unknown-type",
            "a fact that the family does not have",
            _of_type(f"org.councilbackbone.{family.removesuffix('.v1')}.unheard-of.v1"),
        ),
        Fault("envelope.no-data", "the data is missing", _without("data")),
        Fault("identity.same-id-other-data", "an id that was used for other data", _twice_with_other_data),
        Fault("identity.other-id-same-content", "the same event under another id", _same_with_another_id),
        Fault("privacy.nino", "the subject is a National Insurance number", _subject(NINO)),
        Fault("privacy.e-mail", "the subject is an e-mail address", _subject("ann@example.org")),
        Fault("privacy.date-of-birth", "the subject is a date of birth", _subject("1957-03-04")),
    ]
    if not FAMILIES[family].EVENTS[0].case_ref_is_uprn:  # a property's number may look like one
        faults.append(Fault("privacy.nhs-number", "the subject is an NHS number", _subject(NHS_NUMBER)))
    if any(LIFECYCLES[family].follows.values()):
        faults += [
            Fault("ordering.sequence-backwards", "a later event of the case came before", _backwards, 2),
            Fault("lifecycle.after-the-end", "the case was merged into another before", _after_merger(family), 2),
        ]
    return faults
