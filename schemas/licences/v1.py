"""Licences, version 1. After the LGA open data schema for premises licences, widened to what councils license.

Premises licences, club premises certificates and temporary event notices are those of the Licensing Act 2003; taxi
licences those of the Local Government (Miscellaneous Provisions) Act 1976; houses those of the Housing Act 2004.
"""

from typing import Annotated, ClassVar, Literal

from schemas.licences import examples
from schemas.shared import CaseRef, CodedValue, DateText, Event, Example, by_class, chosen, facts, marked
from schemas.shared.types import LongText, Part, ShortText

State = Literal["applied", "issued", "varied", "suspended", "revoked", "expired", "surrendered"]
STATES: dict[str, str] = {
    "applied": "Asked for; not decided",
    "issued": "In force",
    "varied": "In force, with other terms than before",
    "suspended": "Out of force for a time, by decision of the authority or for an unpaid fee",
    "revoked": "Taken away by the authority",
    "expired": "Its time is over",
    "surrendered": "Given back by its holder",
}

LicenceType = Literal[
    "premises",
    "club_premises",
    "temporary_event",
    "taxi_vehicle",
    "taxi_driver",
    "operator",
    "hmo",
    "selective",
    "other",
]
LICENCE_TYPES: dict[str, str] = {
    "premises": "Premises licence (Licensing Act 2003, part 3)",
    "club_premises": "Club premises certificate (Licensing Act 2003, part 4)",
    "temporary_event": "Temporary event notice (Licensing Act 2003, part 5)",
    "taxi_vehicle": "Hackney carriage or private hire vehicle licence",
    "taxi_driver": "Hackney carriage or private hire driver's licence",
    "operator": "Private hire operator's licence",
    "hmo": "House in multiple occupation (Housing Act 2004, part 2)",
    "selective": "Rented home in an area of selective licensing (Housing Act 2004, part 3)",
    "other": "A licence that the list does not name",
}

HolderKind = Literal["person", "company"]
HOLDER_KINDS: dict[str, str] = {
    "person": "Somebody who trades in their own name",
    "company": "A company or another body",
}


class Holder(Part):
    """Who holds the licence or asks for it. Personal unless it is a company; it is marked for the worse case."""

    kind: Annotated[
        HolderKind | None, marked("none", description="A person or a company, where known", values=HOLDER_KINDS)
    ] = None
    name: Annotated[ShortText | None, marked("personal", "business", "Name")] = None
    address: Annotated[LongText | None, marked("personal", "business", "Address")] = None
    company_number: Annotated[ShortText | None, marked("none", description="Number at Companies House")] = None


class LicenceEvent(Event):
    """Fields that the events of this family share. ``case_ref`` equals ``licence_ref``."""

    family: ClassVar[str] = "licences"

    licence_ref: Annotated[CaseRef, marked("none", description="The licence's or the application's reference")]
    licence_type: Annotated[LicenceType, marked("none", description="Which licence", values=LICENCE_TYPES)]
    premises_name: Annotated[ShortText | None, marked("none", description="Trading name of the premises")] = None
    activities: Annotated[
        tuple[CodedValue, ...] | None, marked("none", description="What is licensed, such as sale of alcohol")
    ] = None
    starts_on: Annotated[DateText | None, marked("none", description="First day")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Last day; absent when it has none")] = None
    holder: Annotated[Holder | None, marked("personal", "business", "Who holds it")] = None


class Applied(LicenceEvent):
    """A licence was asked for, or an event was notified."""

    fact: ClassVar[str] = "applied"
    state: Annotated[
        Literal["applied"], marked("none", description="Always `applied`", values=chosen(STATES, "applied"))
    ] = "applied"


class Issued(LicenceEvent):
    """A licence is in force: granted, renewed, or in force again after a suspension."""

    fact: ClassVar[str] = "issued"
    state: Annotated[
        Literal["issued"], marked("none", description="Always `issued`", values=chosen(STATES, "issued"))
    ] = "issued"


class Varied(LicenceEvent):
    """The terms or the holder of a licence changed; the event holds them as they are now."""

    fact: ClassVar[str] = "varied"
    state: Annotated[
        Literal["varied"], marked("none", description="Always `varied`", values=chosen(STATES, "varied"))
    ] = "varied"


class Suspended(LicenceEvent):
    """A licence is out of force for a time."""

    fact: ClassVar[str] = "suspended"
    state: Annotated[
        Literal["suspended"], marked("none", description="Always `suspended`", values=chosen(STATES, "suspended"))
    ] = "suspended"
    reason: Annotated[CodedValue | None, marked("personal", "business", "Why; the council's code")] = None


class RevokedByAuthority(LicenceEvent):
    """The authority took a licence away. Not to be confused with `revoked`, which takes back an event."""

    fact: ClassVar[str] = "revoked-by-authority"
    state: Annotated[
        Literal["revoked"], marked("none", description="Always `revoked`", values=chosen(STATES, "revoked"))
    ] = "revoked"
    reason: Annotated[CodedValue | None, marked("personal", "business", "Why; the council's code")] = None


class Expired(LicenceEvent):
    """The time of a licence is over."""

    fact: ClassVar[str] = "expired"
    state: Annotated[
        Literal["expired"], marked("none", description="Always `expired`", values=chosen(STATES, "expired"))
    ] = "expired"


class Surrendered(LicenceEvent):
    """The holder gave a licence back."""

    fact: ClassVar[str] = "surrendered"
    state: Annotated[
        Literal["surrendered"],
        marked("none", description="Always `surrendered`", values=chosen(STATES, "surrendered")),
    ] = "surrendered"


class Revoked(facts.Revoked):
    """An earlier licence event should not have been sent."""

    family: ClassVar[str] = "licences"


class Superseded(facts.Superseded):
    """An earlier licence event was wrong; its correction follows."""

    family: ClassVar[str] = "licences"


class Merged(facts.Merged):
    """A licence goes on under another reference."""

    family: ClassVar[str] = "licences"


class Erased(facts.Erased):
    """The personal data of a licence is gone."""

    family: ClassVar[str] = "licences"


EVENTS: tuple[type[Event], ...] = (
    Applied, Issued, Varied, Suspended, RevokedByAuthority, Expired, Surrendered,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
