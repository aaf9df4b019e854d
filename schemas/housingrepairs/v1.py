"""Housing repairs, version 1. After the HACT UK Housing Data Standards, version 7, and OptiTime DRS.

A case is a work order; ``case_ref`` equals ``work_order_ref``. The states fold HACT's work status codes: account
hold, hold, pending design, pending material and locked are ``on_hold``, estimating is ``open``. The source's own
status stands in ``source_status``.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.housingrepairs import examples
from schemas.shared import (
    CaseRef,
    CodedValue,
    DateText,
    Event,
    Example,
    Uprn,
    UtcTimestamp,
    by_class,
    chosen,
    facts,
    marked,
)
from schemas.shared.types import Code, LongText, Part, ShortText

State = Literal[
    "open",
    "scheduled",
    "assigned",
    "on_hold",
    "variation_pending",
    "no_access",
    "complete",
    "closed",
    "cancelled",
    "superseded",
]
STATES: dict[str, str] = {
    "open": "Raised; no day and no operative yet (HACT 60, 80)",
    "scheduled": "It has an appointment or a day (HACT 120)",
    "assigned": "An operative or a contractor has it (HACT 20)",
    "on_hold": "It waits: for money, design, material or a decision (HACT 10, 70, 100, 110, 200)",
    "variation_pending": "Other work than ordered was asked for and waits for approval (HACT 90)",
    "no_access": "The operative came and was not let in",
    "complete": "The work is done (HACT 50)",
    "closed": "Done and settled (HACT 40)",
    "cancelled": "It will not be done (HACT 30)",
    "superseded": "Another work order takes its place (HACT 130)",
}

PriorityLevel = Literal["emergency", "urgent", "routine", "planned"]
PRIORITIES: dict[str, str] = {
    "emergency": "Danger to people or the building (HACT 1 and 2)",
    "urgent": "Within days (HACT 3)",
    "routine": "Within the ordinary time (HACT 4)",
    "planned": "In a programme, or after an inspection (HACT 5)",
}


class Priority(Part):
    """How soon it must be done."""

    level: Annotated[PriorityLevel, marked("none", description="The common level", values=PRIORITIES)]
    code: Annotated[Code | None, marked("none", description="The source's code")] = None
    label: Annotated[ShortText | None, marked("none", description="The source's label")] = None


class SorCode(Part):
    """A line of work from a schedule of rates. Codes keep their leading zeros."""

    code: Annotated[Code, marked("none", description="Schedule of rates code, such as `20060020`")]
    description: Annotated[ShortText | None, marked("none", description="What it stands for")] = None
    quantity: Annotated[
        Annotated[float, Field(ge=0, le=1_000_000)] | None, marked("none", description="How much, in the code's unit")
    ] = None


class Appointment(Part):
    """When somebody has to be at home."""

    starts_at: Annotated[UtcTimestamp, marked("personal", "tenant", "From when")]
    ends_at: Annotated[UtcTimestamp | None, marked("personal", "tenant", "Until when")] = None
    booking_ref: Annotated[CaseRef | None, marked("none", description="The booking's reference")] = None


class Property(Part):
    """The home that is repaired."""

    uprn: Annotated[Uprn | None, marked("personal", "tenant", "Unique Property Reference Number")] = None
    property_ref: Annotated[CaseRef | None, marked("personal", "tenant", "The landlord's reference")] = None


class Tenant(Part):
    """Who lives there, or asked for the repair."""

    name: Annotated[ShortText | None, marked("personal", "tenant", "Name")] = None
    email: Annotated[ShortText | None, marked("personal", "tenant", "E-mail address")] = None
    phone: Annotated[ShortText | None, marked("personal", "tenant", "Telephone number")] = None


class RepairEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "housingrepairs"

    work_order_ref: Annotated[CaseRef, marked("none", description="The work order's reference")]
    priority: Annotated[Priority | None, marked("none", description="How soon it must be done")] = None
    complete_by: Annotated[
        DateText | None, marked("none", description="Last day for doing it, as promised or agreed")
    ] = None
    trade: Annotated[CodedValue | None, marked("none", description="Trade, such as `PL` for plumbing")] = None
    sor_codes: Annotated[tuple[SorCode, ...] | None, marked("none", description="Lines of work")] = None
    description: Annotated[LongText | None, marked("personal", "tenant", "The work, in free text")] = None
    contractor: Annotated[CodedValue | None, marked("none", description="The firm or team that does it")] = None
    property: Annotated[Property | None, marked("personal", "tenant", "The home that is repaired")] = None
    tenant: Annotated[Tenant | None, marked("personal", "tenant", "Who lives there")] = None
    vulnerability: Annotated[
        tuple[CodedValue, ...] | None, marked("special", "tenant", "What operatives must allow for, such as deafness")
    ] = None


class WorkOrderRaised(RepairEvent):
    """A work order exists. Sent when the source first shows it."""

    fact: ClassVar[str] = "work-order-raised"
    state: Annotated[State, marked("none", description="The state it is first seen in", values=STATES)] = "open"


class Scheduled(RepairEvent):
    """A work order has an appointment, or another one than before."""

    fact: ClassVar[str] = "scheduled"
    state: Annotated[
        Literal["scheduled"], marked("none", description="Always `scheduled`", values=chosen(STATES, "scheduled"))
    ] = "scheduled"
    appointment: Annotated[Appointment | None, marked("personal", "tenant", "When somebody comes")] = None


class StatusChanged(RepairEvent):
    """A work order has a state. Sent for every entry of the source's history, even if the state repeats."""

    fact: ClassVar[str] = "status-changed"
    state: Annotated[State, marked("none", description="The state it is in now", values=STATES)]
    reason: Annotated[CodedValue | None, marked("none", description="Why; HACT reason code")] = None


class VariationRequested(RepairEvent):
    """Other or more work is needed than was ordered; it waits for approval. The lines of work are the new ones."""

    fact: ClassVar[str] = "variation-requested"
    state: Annotated[
        Literal["variation_pending"],
        marked("none", description="Always `variation_pending`", values=chosen(STATES, "variation_pending")),
    ] = "variation_pending"


class NoAccess(RepairEvent):
    """The operative came and could not get in."""

    fact: ClassVar[str] = "no-access"
    state: Annotated[
        Literal["no_access"], marked("none", description="Always `no_access`", values=chosen(STATES, "no_access"))
    ] = "no_access"


class Completed(RepairEvent):
    """The work is done."""

    fact: ClassVar[str] = "completed"
    state: Annotated[
        Literal["complete"], marked("none", description="Always `complete`", values=chosen(STATES, "complete"))
    ] = "complete"


class Cancelled(RepairEvent):
    """The work will not be done under this order."""

    fact: ClassVar[str] = "cancelled"
    state: Annotated[
        Literal["cancelled"], marked("none", description="Always `cancelled`", values=chosen(STATES, "cancelled"))
    ] = "cancelled"
    reason: Annotated[CodedValue | None, marked("none", description="Why; HACT reason code")] = None


class Revoked(facts.Revoked):
    """An earlier housing repairs event should not have been sent."""

    family: ClassVar[str] = "housingrepairs"


class Superseded(facts.Superseded):
    """An earlier housing repairs event was wrong; its correction follows."""

    family: ClassVar[str] = "housingrepairs"


class Merged(facts.Merged):
    """Two work orders are one."""

    family: ClassVar[str] = "housingrepairs"


class Erased(facts.Erased):
    """The personal data of a work order is gone."""

    family: ClassVar[str] = "housingrepairs"


EVENTS: tuple[type[Event], ...] = (
    WorkOrderRaised, Scheduled, StatusChanged, VariationRequested, NoAccess, Completed, Cancelled,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
