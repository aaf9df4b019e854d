"""The contract of an adapter: what a legacy system's records are, and which events they mean.

An adapter knows one legacy system and nothing about Kafka, files or time. It is a frozen value built from functions::

    adapter = Adapter(
        name="symology",
        version="1.0.0",
        layouts=(UPDATES_10, UPDATES_7),
        record=Update,
        identity=Identity(record=identity_of, case=case_of),
        emits=(StatusChanged,),
        translate=translate,
        options=SymologyOptions,
    )

See ``docs/adapters.md`` for the author's guide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from backbone.formats.reader import Layout, RawRecord
from schemas.shared import Event

Record = TypeVar("Record")
Options = TypeVar("Options", bound="FeedOptions")


class FeedOptions(BaseModel):
    """Options of an adapter, set in the feed's YAML; a subclass adds code tables and rules.

    Unknown keys are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class Skip:
    """Say that a record is right and means no event; the reason is bounded kebab-case text and is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """What ``translate`` may know of the document that the record stands in."""

    name: str
    layout: str
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Context(Generic[Options]):
    """What ``translate`` gets beside the record; the same for every record of a document."""

    organisation: str
    options: Options
    document: Document


@dataclass(frozen=True, slots=True)
class Identity:
    """Name the record and its case, from the raw record as printed.

    ``record`` returns text that is equal whenever the source sends the same fact again: ids and duplicates depend on
    it. ``case`` returns the case reference by which order is kept; without it a feed cannot use ``hold_case``.
    Both may raise RecordError, and a KeyError means a missing field.
    """

    record: Callable[[RawRecord], str]
    case: Callable[[RawRecord], str] | None = None


@dataclass(frozen=True, slots=True)
class OrderWithin:
    """Order the records of one document where the source has none: by ``time`` within equal ``key``.

    ``time`` returns anything sortable of one type. Keys that occur once keep their place; the records of a key that
    repeats are delivered together, in order, in the place of its last one. At most ``max_records`` records a
    document: a larger one is held with ``document.too-large-to-order``.
    """

    key: Callable[[RawRecord], str]
    time: Callable[[RawRecord], Any]
    max_records: int = 200_000


Translation = Event | Sequence[Event] | Skip


@dataclass(frozen=True, slots=True)
class Adapter(Generic[Record, Options]):
    """One legacy system: layouts in, events out.

    ``record`` is a TypedDict (``typing_extensions``) of text: the fields that are used, exactly; unknown ones are
    ignored. ``translate`` is pure and synchronous; a wrong record raises RecordError, an unknown code
    UnmappedCodeError; an empty list of events is a bug. ``version`` is part of every receipt and reject.
    """

    name: str
    version: str
    layouts: tuple[Layout, ...]
    record: type[Record]
    identity: Identity
    emits: tuple[type[Event], ...]
    translate: Callable[[Record, Context[Options]], Translation]
    options: type[Options]
    order_within: OrderWithin | None = None

    def layout(self, name: str) -> Layout:
        """Return the layout of that name; raises KeyError where there is none."""
        return {layout.name: layout for layout in self.layouts}[name]


AnyAdapter = Adapter[Any, Any]


def code_table(table: Mapping[str, str], code: str) -> str | None:
    """Look a legacy code up: its own entry, else the table's ``"*"`` entry, else None."""
    return table.get(code, table.get("*"))
