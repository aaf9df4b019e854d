"""Waste collections, version 1. After the collection tasks of Echo, Bartec and Whitespace.

A case is one collection: one container stream at one place on one day. There is no national standard for them; the
names are those of the three systems that most councils use. A resident's report of a missed collection is an event
here; what the council then does about it is a service request.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.shared import CaseRef, CodedValue, DateText, Event, Example, Uprn, by_class, chosen, facts, marked
from schemas.shared.types import Code, Part, ShortText
from schemas.wastecollections import examples

State = Literal["scheduled", "completed", "not_completed", "rescheduled"]
STATES: dict[str, str] = {
    "scheduled": "It has a day",
    "completed": "The crew collected it",
    "not_completed": "The crew came and did not collect, or did not come",
    "rescheduled": "It has another day than it had",
}

Service = Literal["residual", "recycling", "food", "garden", "paper", "glass", "clinical", "bulky", "other"]
SERVICES: dict[str, str] = {
    "residual": "What cannot be recycled",
    "recycling": "Mixed dry recycling",
    "food": "Food waste",
    "garden": "Garden waste",
    "paper": "Paper and card, collected apart",
    "glass": "Glass, collected apart",
    "clinical": "Clinical waste: tells that somebody there is being treated",
    "bulky": "Large items, collected by appointment",
    "other": "A stream that the list does not name",
}


class Container(Part):
    """What the waste stands in."""

    type: Annotated[Code, marked("none", description="The council's container type")]
    label: Annotated[ShortText | None, marked("none", description="What it is called, such as `240 l bin`")] = None
    quantity: Annotated[Annotated[int, Field(ge=1, le=999)] | None, marked("none", description="How many")] = None


class WasteCollectionEvent(Event):
    """Fields that the events of this family share. ``case_ref`` equals ``task_ref`` where there is one.

    ``service`` and what goes with it count as special category: clinical waste tells of somebody's health.
    """

    family: ClassVar[str] = "wastecollections"

    service: Annotated[
        Service, marked("special", "resident", "Which waste; `clinical` tells of somebody's health", values=SERVICES)
    ]
    task_ref: Annotated[CaseRef | None, marked("none", description="The collection, as the waste system calls it")] = (
        None
    )
    round: Annotated[ShortText | None, marked("none", description="The round that the collection belongs to")] = None
    source_service: Annotated[
        CodedValue | None, marked("special", "resident", "The council's own service, beside the common one")
    ] = None
    container: Annotated[Container | None, marked("special", "resident", "What the waste stands in")] = None
    due_on: Annotated[DateText | None, marked("none", description="The day it is due, in the United Kingdom")] = None
    assisted: Annotated[
        bool | None, marked("special", "resident", "Whether the crew fetches it from the door: tells of a disability")
    ] = None
    uprn: Annotated[Uprn | None, marked("personal", "resident", "The home that it is for")] = None


class Scheduled(WasteCollectionEvent):
    """A collection has a day. Sent when the waste system first shows it."""

    fact: ClassVar[str] = "scheduled"
    state: Annotated[
        Literal["scheduled"],
        marked("none", description="Always `scheduled`", values=chosen(STATES, "scheduled")),
    ] = "scheduled"
    due_on: Annotated[DateText, marked("none", description="The day it is due, in the United Kingdom")]


class Completed(WasteCollectionEvent):
    """The crew collected it."""

    fact: ClassVar[str] = "completed"
    state: Annotated[
        Literal["completed"],
        marked("none", description="Always `completed`", values=chosen(STATES, "completed")),
    ] = "completed"
    resolution: Annotated[
        CodedValue | None, marked("none", description="What the crew recorded; the council's code")
    ] = None


class NotCompleted(WasteCollectionEvent):
    """The crew did not collect it: contaminated, not presented, no access, or not reached."""

    fact: ClassVar[str] = "not-completed"
    state: Annotated[
        Literal["not_completed"],
        marked("none", description="Always `not_completed`", values=chosen(STATES, "not_completed")),
    ] = "not_completed"
    resolution: Annotated[CodedValue | None, marked("none", description="Why, as the crew recorded it")] = None


class Rescheduled(WasteCollectionEvent):
    """The collection has another day than the one announced."""

    fact: ClassVar[str] = "rescheduled"
    state: Annotated[
        Literal["rescheduled"],
        marked("none", description="Always `rescheduled`", values=chosen(STATES, "rescheduled")),
    ] = "rescheduled"
    due_on: Annotated[DateText, marked("none", description="The new day")]
    original_due_on: Annotated[DateText | None, marked("none", description="The day that it had")] = None


class ReportedMissed(WasteCollectionEvent):
    """A resident says that it was not collected. Whether that is so, nobody has checked yet."""

    fact: ClassVar[str] = "reported-missed"


class Revoked(facts.Revoked):
    """An earlier waste collection event should not have been sent."""

    family: ClassVar[str] = "wastecollections"


class Superseded(facts.Superseded):
    """An earlier waste collection event was wrong; its correction follows."""

    family: ClassVar[str] = "wastecollections"


class Merged(facts.Merged):
    """A collection is now part of another."""

    family: ClassVar[str] = "wastecollections"


class Erased(facts.Erased):
    """The personal data of a collection is gone."""

    family: ClassVar[str] = "wastecollections"


EVENTS: tuple[type[Event], ...] = (
    Scheduled, Completed, NotCompleted, Rescheduled, ReportedMissed, Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
