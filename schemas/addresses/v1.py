"""Addresses, version 1. After BS 7666-2:2006, local land and property gazetteers and AddressBase Premium.

A case is a property: ``case_ref`` is its UPRN. An event holds one basic land and property unit (BLPU) with its
preferred name and its other names (LPIs), folded from all records of one UPRN in one file. A UPRN tells where
somebody lives only together with who does; here it stands alone and is not personal.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from schemas.addresses import examples
from schemas.shared import DateText, Event, Example, Postcode, Uprn, Usrn, by_class, chosen, facts, marked
from schemas.shared.types import Code, Part, ShortText

UprnRef = Annotated[Uprn, marked("none", description="The property's UPRN")]
IntoUprnRef = Annotated[Uprn, marked("none", description="The UPRN that takes its place")]

State = Literal["provisional", "approved", "historic", "rejected"]
STATES: dict[str, str] = {
    "provisional": "Planned or being built; the address may still change (BLPU logical status 6)",
    "approved": "In use and preferred (1)",
    "historic": "No longer in use (8)",
    "rejected": "A candidate that was turned down (7, 9)",
}

LogicalStatus = Literal["1", "3", "5", "6", "7", "8", "9"]
LOGICAL_STATUSES: dict[str, str] = {
    "1": "Approved, preferred",
    "3": "Alternative: another name of the same property, never the property itself",
    "5": "Candidate",
    "6": "Provisional",
    "7": "Rejected by the council",
    "8": "Historical",
    "9": "Rejected from outside",
}

BlpuState = Literal["1", "2", "3", "4", "6"]
BLPU_STATES: dict[str, str] = {
    "1": "Under construction",
    "2": "In use",
    "3": "Unoccupied, vacant or derelict",
    "4": "No longer existing",
    "6": "Planning permission granted",
}

PointCode = Literal["1", "2", "3", "4", "5", "9"]
POINT_CODES: dict[str, str] = {
    "1": "Central, within 2.5 metres of the building's centre",
    "2": "General, inside the building",
    "3": "Transitional: outside of any building",
    "4": "At the street",
    "5": "At the postcode's centre",
    "9": "Low accuracy, under review",
}

PostalCode = Literal["C", "D", "L", "M", "N", "S"]
POSTAL_CODES: dict[str, str] = {
    "C": "Within a postal address",
    "D": "A postal address of its own",
    "L": "Identified as postal by the council",
    "M": "Parent of several postal addresses (older files)",
    "N": "Not a postal address",
    "S": "A single postal address (older files)",
}

Language = Literal["ENG", "CYM", "GAE", "BIL"]
LANGUAGES: dict[str, str] = {"ENG": "English", "CYM": "Welsh", "GAE": "Gaelic", "BIL": "English and Welsh or Gaelic"}

BlpuClass = Annotated[str, StringConstraints(pattern="^[CLMOPRUXZ]([A-Z]([0-9]{2}([A-Z]{2})?)?)?$")]
"""BLPU classification: one letter, then narrower by a letter, two digits and two letters: ``RD03``, ``CE01FL``."""

HouseNumber = Annotated[int, Field(ge=0, le=9_999)]
Suffix = Annotated[str, StringConstraints(pattern="^[A-Z]$")]


class AddressableObject(Part):
    """A building or a part of it, by number, by name, or both."""

    start_number: Annotated[HouseNumber | None, marked("none", description="Number, or first of a range")] = None
    start_suffix: Annotated[Suffix | None, marked("none", description="Letter after it")] = None
    end_number: Annotated[HouseNumber | None, marked("none", description="Last number of a range")] = None
    end_suffix: Annotated[Suffix | None, marked("none", description="Letter after it")] = None
    text: Annotated[ShortText | None, marked("none", description="Name, such as `FLAT 1`")] = None


class AddressName(Part):
    """One way to name a property: a land and property identifier (LPI)."""

    key: Annotated[Code | None, marked("none", description="LPI key")] = None
    language: Annotated[Language | None, marked("none", description="In which language", values=LANGUAGES)] = None
    logical_status: Annotated[
        LogicalStatus | None, marked("none", description="BS 7666 logical status", values=LOGICAL_STATUSES)
    ] = None
    sao: Annotated[AddressableObject | None, marked("none", description="Secondary: the part of the building")] = None
    pao: Annotated[AddressableObject | None, marked("none", description="Primary: the building")] = None
    usrn: Annotated[Usrn | None, marked("none", description="The street that it is named by")] = None
    street: Annotated[ShortText | None, marked("none", description="The street's name")] = None
    locality: Annotated[ShortText | None, marked("none", description="Locality")] = None
    town: Annotated[ShortText | None, marked("none", description="Town")] = None
    administrative_area: Annotated[ShortText | None, marked("none", description="Administrative area")] = None


class AddressEvent(Event):
    """Fields that the events of this family share. ``case_ref`` equals ``uprn``."""

    family: ClassVar[str] = "addresses"
    case_ref_is_uprn: ClassVar[bool] = True

    case_ref: UprnRef
    uprn: Annotated[Uprn, marked("none", description="Unique Property Reference Number")]
    parent_uprn: Annotated[Uprn | None, marked("none", description="The property that it is part of")] = None
    usrn: Annotated[Usrn | None, marked("none", description="The street of its preferred name")] = None
    name: Annotated[AddressName | None, marked("none", description="Its preferred name: SAO, PAO and street")] = None
    other_names: Annotated[
        tuple[AddressName, ...] | None, marked("none", description="Alternative and Welsh or Gaelic names")
    ] = None
    organisation_name: Annotated[ShortText | None, marked("personal", "business", "Who trades there")] = None
    postcode: Annotated[Postcode | None, marked("none", description="Postcode locator")] = None
    classification_code: Annotated[BlpuClass | None, marked("none", description="BLPU class, such as `RD03`")] = None
    logical_status: Annotated[
        LogicalStatus | None, marked("none", description="BS 7666 logical status", values=LOGICAL_STATUSES)
    ] = None
    blpu_state: Annotated[
        BlpuState | None, marked("none", description="State of the building or land", values=BLPU_STATES)
    ] = None
    point_code: Annotated[
        PointCode | None, marked("none", description="How good the coordinates are (RPC)", values=POINT_CODES)
    ] = None
    postal: Annotated[
        PostalCode | None, marked("none", description="Whether Royal Mail delivers to it", values=POSTAL_CODES)
    ] = None
    custodian_code: Annotated[Code | None, marked("none", description="The council that looks after the record")] = None
    starts_on: Annotated[DateText | None, marked("none", description="Day from which it exists")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Day on which it ceased to")] = None


class Created(AddressEvent):
    """A property is in the gazetteer for the first time."""

    fact: ClassVar[str] = "created"
    state: Annotated[State, marked("none", description="The state it starts in", values=STATES)]


class Updated(AddressEvent):
    """Something about a property or one of its names changed; the event holds it as it is now."""

    fact: ClassVar[str] = "updated"
    state: Annotated[State, marked("none", description="The state it is in now", values=STATES)]


class Retired(AddressEvent):
    """A property left the gazetteer or the supply. That does not say that it was demolished."""

    fact: ClassVar[str] = "retired"
    state: Annotated[
        Literal["historic", "rejected"],
        marked("none", description="The state it ends in", values=chosen(STATES, "historic", "rejected")),
    ] = "historic"


class Revoked(facts.Revoked):
    """An earlier address event should not have been sent."""

    family: ClassVar[str] = "addresses"
    case_ref_is_uprn: ClassVar[bool] = True
    case_ref: UprnRef


class Superseded(facts.Superseded):
    """An earlier address event was wrong; its correction follows."""

    family: ClassVar[str] = "addresses"
    case_ref_is_uprn: ClassVar[bool] = True
    case_ref: UprnRef


class Merged(facts.Merged):
    """Another UPRN takes the place of this one: a successor record."""

    family: ClassVar[str] = "addresses"
    case_ref_is_uprn: ClassVar[bool] = True
    case_ref: UprnRef
    into_case_ref: IntoUprnRef


class Erased(facts.Erased):
    """The personal data of an address is gone."""

    family: ClassVar[str] = "addresses"
    case_ref_is_uprn: ClassVar[bool] = True
    case_ref: UprnRef


EVENTS: tuple[type[Event], ...] = (Created, Updated, Retired, Revoked, Superseded, Merged, Erased)

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
