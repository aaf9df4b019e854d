"""Street works, version 1. After DfT Street Manager's event notifications and API.

A case is a permit; ``case_ref`` equals ``permit_ref``. The type of an event says what happened; ``permit_status``
and ``work_status`` say what Street Manager showed at that moment, and may lag behind. The open notifications carry
no inspection, fixed penalty or request for modification: those come from an authority's own access.
"""

from typing import Annotated, ClassVar

from schemas.shared import CaseRef, Classification, CodedValue, DateText, Event, Example, Money, by_class, facts, marked
from schemas.shared.types import Code, LongText, Part, ShortText, Usrn, UtcTimestamp
from schemas.streetworks import examples
from schemas.streetworks.codes import (
    FIXED_PENALTY_STATUSES,
    INSPECTION_OUTCOMES,
    INSPECTION_TYPES,
    OFFENCE_CODES,
    PERMIT_STATUSES,
    TRAFFIC_MANAGEMENT,
    WORK_CATEGORIES,
    WORK_STATUSES,
    FixedPenaltyStatus,
    InspectionOutcome,
    InspectionType,
    OffenceCode,
    PermitStatus,
    TrafficManagement,
    WorkCategory,
    WorkStatus,
)


class Undertaker(Part):
    """An organisation as street works know it."""

    swa_code: Annotated[Code, marked("none", description="Street works (SWA) code, such as `7210`")]
    name: Annotated[ShortText | None, marked("none", description="Its name")] = None


class Inspection(Part):
    """An inspection by the highway authority."""

    type: Annotated[InspectionType, marked("none", description="What was inspected", values=INSPECTION_TYPES)]
    outcome: Annotated[InspectionOutcome, marked("none", description="What was found", values=INSPECTION_OUTCOMES)]
    category: Annotated[CodedValue | None, marked("none", description="Street Manager's inspection category")] = None
    reference: Annotated[Code | None, marked("none", description="The inspection's reference")] = None


class FixedPenalty(Part):
    """A fixed penalty notice to a promoter."""

    reference: Annotated[Code, marked("none", description="The notice's reference")]
    status: Annotated[
        FixedPenaltyStatus, marked("none", description="Where it stands", values=FIXED_PENALTY_STATUSES)
    ] = "issued"
    offence_code: Annotated[
        OffenceCode | None, marked("none", description="For which offence", values=OFFENCE_CODES)
    ] = None
    amount: Annotated[Money | None, marked("none", description="How much, without discount")] = None


class StreetWorksEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "streetworks"
    classification: ClassVar[Classification] = "open"

    permit_ref: Annotated[CaseRef, marked("none", description="Permit reference, such as `TSR1600000000001-01`")]
    works_ref: Annotated[CaseRef | None, marked("none", description="The works that the permit is for")] = None
    promoter: Annotated[Undertaker | None, marked("none", description="Who has the works done")] = None
    highway_authority: Annotated[Undertaker | None, marked("none", description="Who looks after the street")] = None
    usrn: Annotated[Usrn | None, marked("none", description="The street")] = None
    street_name: Annotated[ShortText | None, marked("none", description="Its name")] = None
    area_name: Annotated[ShortText | None, marked("none", description="Area")] = None
    town: Annotated[ShortText | None, marked("none", description="Town")] = None
    category: Annotated[
        WorkCategory | None, marked("none", description="Category of the works", values=WORK_CATEGORIES)
    ] = None
    activity_type: Annotated[Code | None, marked("none", description="Street Manager's activity type")] = None
    traffic_management: Annotated[
        TrafficManagement | None, marked("none", description="What it does to traffic", values=TRAFFIC_MANAGEMENT)
    ] = None
    permit_status: Annotated[
        PermitStatus | None, marked("none", description="Status of the permit as shown", values=PERMIT_STATUSES)
    ] = None
    work_status: Annotated[
        WorkStatus | None, marked("none", description="Status of the works as shown", values=WORK_STATUSES)
    ] = None
    starts_on: Annotated[DateText | None, marked("none", description="Proposed first day")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Proposed last day")] = None
    starts_at: Annotated[UtcTimestamp | None, marked("none", description="Start, where the time is known")] = None
    ends_at: Annotated[UtcTimestamp | None, marked("none", description="End, where the time is known")] = None
    geometry: Annotated[LongText | None, marked("none", description="Place as WKT, EPSG:27700")] = None
    location_types: Annotated[
        tuple[ShortText, ...] | None, marked("none", description="Carriageway, footway, verge and so on")
    ] = None
    permit_conditions: Annotated[tuple[Code, ...] | None, marked("none", description="Such as `NCT01a`")] = None
    road_category: Annotated[Code | None, marked("none", description="`0` to `10`")] = None
    traffic_sensitive: Annotated[bool | None, marked("none", description="Whether the street is traffic-sensitive")] = (
        None
    )
    traffic_order_required: Annotated[
        bool | None, marked("none", description="Whether a temporary traffic regulation order is needed")
    ] = None
    deemed: Annotated[
        bool | None,
        marked("none", description="Whether it counts as decided as the authority was silent"),
    ] = None


class PermitSubmitted(StreetWorksEvent):
    """A promoter asked for a permit."""

    fact: ClassVar[str] = "permit-submitted"


class PermitGranted(StreetWorksEvent):
    """A permit, or an alteration of one, was granted."""

    fact: ClassVar[str] = "permit-granted"
    alteration: Annotated[bool | None, marked("none", description="Whether it is an alteration that was granted")] = (
        None
    )


class PermitRefused(StreetWorksEvent):
    """The authority refused a permit."""

    fact: ClassVar[str] = "permit-refused"
    reason: Annotated[CodedValue | None, marked("none", description="Why")] = None


class PermitModificationRequested(StreetWorksEvent):
    """The authority asks the promoter to change the application before it decides."""

    fact: ClassVar[str] = "permit-modification-requested"


class PermitRevoked(StreetWorksEvent):
    """The authority took a permit away."""

    fact: ClassVar[str] = "permit-revoked"
    reason: Annotated[CodedValue | None, marked("none", description="Why")] = None


class PermitCancelled(StreetWorksEvent):
    """The promoter took the application or the permit back."""

    fact: ClassVar[str] = "permit-cancelled"


class WorkStarted(StreetWorksEvent):
    """Works began; ``starts_at`` says when."""

    fact: ClassVar[str] = "work-started"


class WorkStartReverted(StreetWorksEvent):
    """The works had not begun after all. The earlier event stands in the log; this one corrects it."""

    fact: ClassVar[str] = "work-start-reverted"


class WorkStopped(StreetWorksEvent):
    """Works ended; ``ends_at`` says when."""

    fact: ClassVar[str] = "work-stopped"


class WorkStopReverted(StreetWorksEvent):
    """The works had not ended after all. The earlier event stands in the log; this one corrects it."""

    fact: ClassVar[str] = "work-stop-reverted"


class InspectionRecorded(StreetWorksEvent):
    """The authority inspected the works or what they left behind."""

    fact: ClassVar[str] = "inspection-recorded"
    inspection: Annotated[Inspection, marked("none", description="What was inspected and found")]


class FixedPenaltyIssued(StreetWorksEvent):
    """The authority gave the promoter a fixed penalty notice."""

    fact: ClassVar[str] = "fixed-penalty-issued"
    fixed_penalty: Annotated[FixedPenalty, marked("none", description="The notice")]


class Revoked(facts.Revoked):
    """An earlier street works event should not have been sent. A permit that is taken away is `permit-revoked`."""

    family: ClassVar[str] = "streetworks"
    classification: ClassVar[Classification] = "open"


class Superseded(facts.Superseded):
    """An earlier street works event was wrong; its correction follows."""

    family: ClassVar[str] = "streetworks"
    classification: ClassVar[Classification] = "open"


class Merged(facts.Merged):
    """A permit goes on under another reference."""

    family: ClassVar[str] = "streetworks"
    classification: ClassVar[Classification] = "open"


class Erased(facts.Erased):
    """The personal data of a permit is gone."""

    family: ClassVar[str] = "streetworks"
    classification: ClassVar[Classification] = "open"


EVENTS: tuple[type[Event], ...] = (
    PermitSubmitted, PermitGranted, PermitRefused, PermitModificationRequested, PermitRevoked, PermitCancelled,
    WorkStarted, WorkStartReverted, WorkStopped, WorkStopReverted, InspectionRecorded, FixedPenaltyIssued,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
