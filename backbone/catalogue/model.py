"""What the pages say, read from the vocabulary alone: nothing is written twice. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import ModuleType
from typing import Any, Final

from backbone.catalogue.coverage import Source, feeding
from backbone.catalogue.lifecycle import Lifecycle, events_of, states_of
from backbone.contracts.envelope import ORGANISATION, example_headers
from backbone.contracts.fields import Field, fields_of
from backbone.schema_export import examples_of, sunset_of
from schemas.families import LIFECYCLES
from schemas.shared import Event

RANK: Final = ("none", "personal", "special", "criminal")
CATEGORIES: Final = {
    "none": "Not personal",
    "personal": "Personal",
    "special": "Special category",
    "criminal": "Criminal offence",
}
COMMON: Final = frozenset(Event.model_fields)
"""Names of the fields that every event has."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of an event, as its headers and its data."""

    label: str
    headers: str
    data: str


@dataclass(frozen=True, slots=True)
class Row:
    """A field as a page shows it."""

    field: Field
    example: str


@dataclass(frozen=True, slots=True)
class EventView:
    """One event."""

    event: type[Event]
    family: str
    title: str
    text: str
    category: str
    own: tuple[Row, ...]
    common: tuple[Row, ...]
    examples: tuple[Example, ...]
    sources: tuple[Source, ...]

    @property
    def page(self) -> str:
        """Return where the event's page lies."""
        return f"events/{self.family}/{self.event.fact}.html"

    @property
    def summary(self) -> str:
        """Return the first sentence of what it means."""
        return re.split(r"(?<=\.)\s", self.text, maxsplit=1)[0]

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return all fields, its own ones first."""
        return tuple(row.field for row in (*self.own, *self.common))

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Return the event's contracts as names and places."""
        path = f"{self.family.replace('.', '/')}/{self.event.fact}"
        return ("JSON Schema", f"contracts/jsonschema/{path}.schema.json"), ("Avro", f"contracts/avro/{path}.avsc")


@dataclass(frozen=True, slots=True)
class ValueList:
    """A closed list of values that fields of a family have."""

    field: str
    description: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FamilyView:
    """One family in one major version."""

    name: str
    title: str
    text: str
    events: tuple[EventView, ...]
    lists: tuple[ValueList, ...]
    lifecycle: Lifecycle | None
    states: Lifecycle | None
    sunset: str
    history: str
    sources: tuple[Source, ...]

    @property
    def page(self) -> str:
        """Return where the family's page lies."""
        return f"families/{self.name}.html"

    @property
    def topic(self) -> str:
        """Return the topic of an organisation that is an example."""
        return f"{ORGANISATION}.{self.name}"

    @property
    def category(self) -> str:
        """Return the highest category of data that an event of the family may hold."""
        return max((event.category for event in self.events), key=RANK.index)

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Return the family's contracts as names and places."""
        return (
            ("JSON Schema", f"contracts/jsonschema/{self.name.replace('.', '/')}.schema.json"),
            ("AsyncAPI", f"contracts/asyncapi/{self.name}.asyncapi.json"),
        )

    def called(self, fact: str) -> EventView:
        """Return the event that states a fact; raises KeyError for a fact that the family does not have."""
        return {event.event.fact: event for event in self.events}[fact]


def family_views(families: Mapping[str, ModuleType], sources: Sequence[Source]) -> list[FamilyView]:
    """Return every family in the order of its name."""
    return [_family(name, families[name], sources) for name in sorted(families)]


def _family(name: str, module: ModuleType, sources: Sequence[Source]) -> FamilyView:
    doc = (module.__doc__ or name).strip()
    events = tuple(_event(name, module, event, sources) for event in module.EVENTS)
    declared = LIFECYCLES.get(name)
    return FamilyView(
        name=name,
        title=re.split(r", version|\.", doc, maxsplit=1)[0],
        text=doc,
        events=events,
        lists=tuple(_lists(events)),
        lifecycle=None if declared is None else events_of(declared),
        states=None if declared is None else states_of(declared),
        sunset=sunset_of(module),
        history=_history(name),
        sources=tuple(source for source in sources if any(source in event.sources for event in events)),
    )


def _event(name: str, module: ModuleType, event: type[Event], sources: Sequence[Source]) -> EventView:
    examples = examples_of(module, event)
    fullest: Mapping[str, Any] = max(examples, key=lambda example: len(json.dumps(example)))
    rows = [Row(field, example_of(fullest, field.path)) for field in fields_of(event)]
    return EventView(
        event=event,
        family=name,
        title=sentence(event.fact),
        text=" ".join((event.__doc__ or "").split("\n\n")[0].split()),
        category=max((row.field.category for row in rows), key=RANK.index),
        own=tuple(row for row in rows if _top(row.field.path) not in COMMON),
        common=tuple(row for row in rows if _top(row.field.path) in COMMON),
        examples=tuple(
            Example(
                ("Smallest", "Full")[index] if index < 2 else f"Example {index + 1}",
                json.dumps(example_headers(event, example), indent=2, ensure_ascii=False),
                json.dumps(example, indent=2, ensure_ascii=False),
            )
            for index, example in enumerate(examples)
        ),
        sources=tuple(feeding(sources, event)),
    )


def sentence(fact: str) -> str:
    """Return a fact as a heading: ``application-decided`` is "Application decided"."""
    return fact.replace("-", " ").capitalize()


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def example_of(data: Any, path: str) -> str:
    """Return the value at a field's path as JSON, or nothing where there is none or it has parts of its own."""
    for step in path.split("."):
        if not isinstance(data, dict) or step.removesuffix("[]") not in data:
            return ""
        data = data[step.removesuffix("[]")]
        if step.endswith("[]"):
            data = data[0] if data else None
    held = data[0] if isinstance(data, (list, tuple)) and data else data
    return "" if isinstance(held, dict) else json.dumps(data, ensure_ascii=False)


def _lists(events: Sequence[EventView]) -> Iterator[ValueList]:
    """Yield each closed list of the family's own fields once, however many events have the field."""
    seen = set()
    for event in events:
        for row in event.own:
            key = (row.field.path, tuple(row.field.values))
            if row.field.values and key not in seen:
                seen.add(key)
                yield ValueList(row.field.path, row.field.description, row.field.values)


def _history(name: str) -> str:
    file = files("schemas").joinpath(name.split(".", maxsplit=1)[0], "CHANGELOG.md")
    return file.read_text("utf-8") if file.is_file() else ""


@dataclass(frozen=True, slots=True)
class PersonalField:
    """One personal field of a family with the events that carry it."""

    family: FamilyView
    field: Field
    events: tuple[EventView, ...]


def personal_fields(families: Sequence[FamilyView]) -> list[PersonalField]:
    """Return every personal field once a family, the most protected ones first."""
    found: dict[tuple[str, str, str, str], tuple[FamilyView, Field, list[EventView]]] = {}
    for family in families:
        for event in family.events:
            for field in event.fields:
                if field.category != "none":
                    key = (family.name, field.path, field.category, field.subject)
                    found.setdefault(key, (family, field, []))[2].append(event)
    rows = [PersonalField(family, field, tuple(events)) for family, field, events in found.values()]
    return sorted(rows, key=lambda row: (-RANK.index(row.field.category), row.family.name))
