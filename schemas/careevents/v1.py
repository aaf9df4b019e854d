"""Care events, version 1: that something changed in a social care case, and nothing else.

That there is a case at all tells of somebody's health or hardship, so an event holds references and times only, its
case reference counts as special category, and whoever has a right to more fetches it from the council's system
under that right. Children's and adults' care look alike here on purpose.
"""

from typing import Annotated, ClassVar

from schemas.careevents import examples
from schemas.shared import CaseRef, Classification, Event, Example, by_class, facts, marked

CareRef = Annotated[CaseRef, marked("special", "resident", "The case, as the care system calls it; keyed by HMAC")]
IntoCareRef = Annotated[CaseRef, marked("special", "resident", "The case that goes on")]
Closed = Annotated[None, marked("none", description="Always absent")]


class CaseChanged(Event):
    """Something changed in a case; ask the council's system what, if you may."""

    family: ClassVar[str] = "careevents"
    classification: ClassVar[Classification] = "official-sensitive"
    fact: ClassVar[str] = "case-changed"
    case_ref: CareRef
    source_status: Closed = None
    location: Closed = None
    lgsl: Closed = None


class Revoked(facts.Revoked):
    """An earlier care event should not have been sent."""

    family: ClassVar[str] = "careevents"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: CareRef
    source_status: Closed = None
    location: Closed = None
    lgsl: Closed = None


class Superseded(facts.Superseded):
    """An earlier care event was wrong; its correction follows."""

    family: ClassVar[str] = "careevents"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: CareRef
    source_status: Closed = None
    location: Closed = None
    lgsl: Closed = None


class Merged(facts.Merged):
    """Two cases are one."""

    family: ClassVar[str] = "careevents"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: CareRef
    into_case_ref: IntoCareRef
    source_status: Closed = None
    location: Closed = None
    lgsl: Closed = None


class Erased(facts.Erased):
    """The data of a case is gone."""

    family: ClassVar[str] = "careevents"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: CareRef
    lgsl: Closed = None


EVENTS: tuple[type[Event], ...] = (CaseChanged, Revoked, Superseded, Merged, Erased)

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
