"""What is wrong with one event by itself: its envelope, its data, and what must not be seen in it. Pure.

A problem names fields, codes and allowed values, and never what stood there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from backbone.event import CATEGORY_RANK, EVENT_MAX_BYTES, day_of
from schemas.families import FAMILIES, event_class
from schemas.shared import Event, PartialDate, categories
from schemas.shared.identifiers import IDENTIFIERS, found_in

REQUIRED: Final = (
    "specversion", "id", "source", "type", "subject", "dataschema", "datacontenttype", "sequence",
    "dataclassification", "datacategory",
)  # fmt: skip
TYPE: Final = re.compile(r"org\.councilbackbone\.([a-z]+)\.([a-z-]+)\.v([1-9][0-9]*)")
NAME: Final = re.compile("[a-z0-9]{1,20}")
TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")
FORMS: Final = {
    "specversion": (re.compile(r"1\.0"), "1.0"),
    "id": (re.compile("[0-9a-f]{32}"), "32 hexadecimal digits"),
    "datacontenttype": (re.compile("application/json"), "application/json"),
    "time": (TIMESTAMP, "a time in UTC with Z"),
    "recordedtime": (TIMESTAMP, "a time in UTC with Z"),
    "traceparent": (re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"), "a W3C trace context"),
    "datacategory": (re.compile("|".join(CATEGORY_RANK)), " or ".join(CATEGORY_RANK)),
}
COUNTED: Final = frozenset({"id", "sequence", "time", "recordedtime"})
KEYED: Final = re.compile("[0-9a-f]{32,}")
ABSENT: Final = object()
"""Stands for data that is not there at all."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it came: attributes without ``ce_``, data as JSON, the Kafka key if it has one, and where it stood.

    ``headers`` are those of the record that are no attributes; ``unreadable`` says why it is no event.
    """

    attributes: Mapping[str, str]
    data: Any
    place: str
    key: str | None = None
    unreadable: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an event, under a code of ``backbone.conformance``."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one event; ``event`` is None where its type is unknown, ``ignored`` names unknown fields."""

    event: type[Event] | None
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...] = ()


def check(received: Received) -> Checked:
    """Return what is wrong with an event by itself."""
    if received.unreadable:
        return Checked(None, (Problem("envelope.not-an-event", received.unreadable),))
    problems = list(_missing(received.attributes))
    found = event_class(received.attributes.get("type", ""))
    hidden = list(_privacy(received, found))
    if found is None:
        return Checked(None, (*problems, *hidden, *_unknown(received.attributes.get("type"))))
    if received.data is ABSENT or received.data is None:
        problems.append(Problem("envelope.no-data", "there is no data; a thin event carries its references"))
        return Checked(found, (*problems, *hidden))
    if not isinstance(received.data, dict):
        problems.append(Problem("envelope.no-data", "the data is not an object"))
        return Checked(found, (*problems, *hidden))
    wrong, ignored = _schema(found, received.data)
    problems += _envelope(received, found, private=bool(hidden))
    return Checked(found, (*problems, *hidden, *wrong), ignored)


def shown(text: str) -> str:
    """Return a name that somebody else chose, if it can be shown."""
    return text if re.fullmatch(r"[\w.:/-]{1,120}", text, re.ASCII) and not found_in(text) else "(not shown)"


def _missing(attributes: Mapping[str, str]) -> Iterator[Problem]:
    for name in REQUIRED:
        if not attributes.get(name):
            yield Problem("envelope.missing-attribute", f"{name} is missing")
    for name in attributes:
        if not NAME.fullmatch(name):
            text = f"the attribute {shown(name)} has a name that is not 1 to 20 small letters and digits"
            yield Problem("envelope.wrong-attribute", text)
    for name, (form, meaning) in FORMS.items():
        if attributes.get(name) and not form.fullmatch(attributes[name]):
            yield Problem("envelope.wrong-attribute", f"{name} is not {meaning}")


def _unknown(event_type: str | None) -> Iterator[Problem]:
    if not event_type:
        return
    parts = TYPE.fullmatch(event_type)
    where = "see `backbone schemas export` for what this version knows"
    if parts is None:
        yield Problem("envelope.unknown-type", f"{shown(event_type)} is no type of the backbone; {where}")
        return
    family, fact, major = parts.groups()
    majors = [name.rpartition(".v")[2] for name in FAMILIES if name.rpartition(".v")[0] == family]
    if not majors:
        yield Problem("envelope.unknown-type", f"there is no family {shown(family)}; {where}")
    elif major not in majors:
        known = ", ".join(f"v{each}" for each in majors)
        text = f"{shown(event_type)}: the major v{shown(major)} is refused, this version knows {known}"
        yield Problem("envelope.unknown-major", f"{text}; look at schemas/{family}/CHANGELOG.md and at the catalogue")
    else:
        facts = ", ".join(event.fact for event in FAMILIES[f"{family}.v{major}"].EVENTS)
        yield Problem("envelope.unknown-type", f"{family} has no event {shown(fact)}; it has {facts}")


def _envelope(received: Received, event: type[Event], *, private: bool) -> Iterator[Problem]:
    attributes, data = received.attributes, received.data

    def wrong(text: str) -> Problem:
        return Problem("envelope.wrong-attribute", text)

    for name, expected in (("dataschema", event.dataschema), ("dataclassification", event.classification)):
        if attributes.get(name) and attributes[name] != expected:
            yield wrong(f"{name} is not {expected}")
    organisation, reference, subject = data.get("organisation"), data.get("case_ref"), attributes.get("subject")
    source = re.split("[:/]", attributes.get("source", ""))
    if isinstance(organisation, str) and source != [""] and organisation not in source:
        yield wrong("source does not name the organisation of the data")
    if subject and event.personal_case_ref:
        if isinstance(reference, str) and reference in {subject, received.key}:
            yield Problem("privacy.case-ref-in-clear", "the case reference is personal; subject and key hold its HMAC")
        elif not KEYED.fullmatch(subject) and not private:
            yield wrong("subject is not a keyed case reference: 32 hexadecimal digits or more")
    elif subject and isinstance(reference, str) and subject != reference and not private:
        yield wrong("subject is not the case reference of the data")
    if received.key is not None and subject and received.key != subject and not private:
        yield wrong("the record's key is not the subject")
    yield from _time(attributes, data)
    if CATEGORY_RANK.get(attributes.get("datacategory", ""), 9) < _rank(event, data):
        yield wrong("datacategory is lower than what the data holds")
    if len(orjson.dumps(data)) > EVENT_MAX_BYTES:
        yield Problem("envelope.too-large", f"the data takes more than {EVENT_MAX_BYTES:,} bytes")


def _time(attributes: Mapping[str, str], data: Mapping[str, Any]) -> Iterator[Problem]:
    occurred = data.get("occurred_at")
    if isinstance(occurred, dict):
        try:
            midnight = day_of(PartialDate.model_validate(occurred))
        except ValidationError:
            return
        occurred = midnight.decode() if midnight else None
    if not isinstance(occurred, str):
        return
    if not attributes.get("time"):
        yield Problem("envelope.missing-attribute", "time is missing, though the data says when it happened")
    elif attributes["time"] != occurred and TIMESTAMP.fullmatch(attributes["time"]) and TIMESTAMP.fullmatch(occurred):
        yield Problem("envelope.wrong-attribute", "time is not occurred_at of the data")


def _rank(event: type[Event], data: Mapping[str, Any]) -> int:
    """Return the rank of the highest category among the fields that are there."""
    highest = 0
    for path, category in categories(event):
        held: Any = data
        for name in path:
            held = held.get(name) if isinstance(held, dict) else None
        if held is not None:
            highest = max(highest, CATEGORY_RANK[category])
    return highest


def _privacy(received: Received, event: type[Event] | None) -> Iterator[Problem]:
    places = [
        ("subject" if name == "subject" else f"attribute {shown(name)}", name, value)
        for name, value in received.attributes.items()
    ]
    places += [(f"header {shown(name)}", "", value) for name, value in received.headers.items()]
    if received.key is not None:
        places.append(("key", "subject", received.key))
    if event is not None and not event.personal_case_ref and isinstance(received.data, dict):
        for name in ("case_ref", "into_case_ref"):
            value = received.data.get(name)
            if isinstance(value, str) and value != received.attributes.get("subject"):
                places.append((f"{name} of the data", "subject", value))
    for where, name, value in places:
        for kind in found_in(value):
            # times are dates; numbers that machines count up may look like one by chance, and so may a property's
            counted = name in COUNTED and kind in {"nhs-number", "date-of-birth"}
            property_number = name == "subject" and kind == "nhs-number" and event and event.case_ref_is_uprn
            if not counted and not property_number:
                yield Problem(f"privacy.{kind}", f"the {where} holds {IDENTIFIERS[kind]}")


def _schema(event: type[Event], data: dict[str, Any]) -> tuple[list[Problem], tuple[str, ...]]:
    try:
        event.__pydantic_validator__.validate_json(orjson.dumps(data), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    else:
        return [], ()
    problems: dict[Problem, None] = {}
    ignored: dict[str, None] = {}
    for fault in faults:
        path = _path(fault["loc"])
        if fault["type"] == "extra_forbidden":
            ignored[shown(path)] = None
        elif path == "occurred_at" and len(fault["loc"]) > 1:
            if not _only_extras(faults, data):
                problems[Problem("schema.invalid-value", "occurred_at is neither a time in UTC nor a date")] = None
        elif fault["type"] not in IDENTIFIERS:  # those are told as what they are
            problems[_problem(path, fault["type"], fault["msg"], fault.get("ctx", {}))] = None
    return list(problems), tuple(ignored)


def _path(location: tuple[int | str, ...]) -> str:
    """Return a field's path as people write it; the names of alternatives are left out."""
    names = [str(part) for part in location if isinstance(part, str) and not re.search(r"[\[(]|constrained", part)]
    return ".".join(names)


def _only_extras(faults: Any, data: Mapping[str, Any]) -> bool:
    """Return whether a date is wrong for nothing but fields that readers pass over."""
    within = [fault for fault in faults if fault["loc"][0] == "occurred_at" and "PartialDate" in str(fault["loc"][1:2])]
    return isinstance(data.get("occurred_at"), dict) and all(fault["type"] == "extra_forbidden" for fault in within)


def _problem(path: str, kind: str, message: str, context: Mapping[str, Any]) -> Problem:
    if kind == "missing":
        return Problem("schema.missing-field", f"{path} is missing")
    if kind == "literal_error":
        return Problem("schema.value-not-allowed", f"{path} may be {context['expected']}, and is something else")
    if kind == "string_pattern_mismatch":
        return Problem("schema.invalid-value", f"{path} does not have the form that its type demands")
    return Problem("schema.invalid-value", f"{path}: {message.removeprefix('Value error, ')}")
