"""Waste subscriptions, version 1. After the garden waste contracts of the usual waste systems.

A case is one contract for one place; ``case_ref`` equals ``contract_ref``.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.shared import CaseRef, CodedValue, DateText, Event, Example, by_class, chosen, facts, marked
from schemas.shared.types import Code, Part, ShortText
from schemas.wastesubscriptions import examples

State = Literal["active", "pending", "ended"]
STATES: dict[str, str] = {
    "active": "Paid for, and collections are due",
    "pending": "Ordered; waits for its first day, its payment or its container",
    "ended": "Run out, cancelled or taken back",
}


class SubscribedContainer(Part):
    """One kind of container of a contract."""

    type: Annotated[Code, marked("none", description="The council's container type, such as `bin` or `sack`")]
    size: Annotated[ShortText | None, marked("none", description="Its size, such as `240 l`")] = None
    quantity: Annotated[Annotated[int, Field(ge=1, le=999)], marked("none", description="How many")] = 1


class WasteSubscriptionEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "wastesubscriptions"

    contract_ref: Annotated[CaseRef, marked("none", description="The contract's reference")]
    service: Annotated[CodedValue | None, marked("none", description="What is subscribed to; the council's code")] = (
        None
    )
    containers: Annotated[
        tuple[SubscribedContainer, ...] | None, marked("none", description="The containers of the contract")
    ] = None
    starts_on: Annotated[DateText | None, marked("none", description="First day")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Last day; absent when it runs on")] = None
    payment_ref: Annotated[CaseRef | None, marked("personal", "resident", "How the payment is known")] = None


class Created(WasteSubscriptionEvent):
    """A contract was made. Sent once a contract, also when it was made in another system first."""

    fact: ClassVar[str] = "created"
    state: Annotated[
        Literal["active", "pending"],
        marked("none", description="The state it starts in", values=chosen(STATES, "active", "pending")),
    ] = "active"


class Renewed(WasteSubscriptionEvent):
    """A contract goes on for another term; ``ends_on`` is the new last day."""

    fact: ClassVar[str] = "renewed"
    state: Annotated[
        Literal["active"], marked("none", description="Always `active`", values=chosen(STATES, "active"))
    ] = "active"


class Amended(WasteSubscriptionEvent):
    """Containers or dates of a contract changed; the event holds them as they are now."""

    fact: ClassVar[str] = "amended"
    state: Annotated[
        Literal["active", "pending"],
        marked("none", description="The state it is in now", values=chosen(STATES, "active", "pending")),
    ] = "active"


class Ended(WasteSubscriptionEvent):
    """A contract ran out, or was cancelled by the resident or the council."""

    fact: ClassVar[str] = "ended"
    state: Annotated[Literal["ended"], marked("none", description="Always `ended`", values=chosen(STATES, "ended"))] = (
        "ended"
    )
    reason: Annotated[CodedValue | None, marked("none", description="Why; the council's code")] = None


class Revoked(facts.Revoked):
    """An earlier waste subscription event should not have been sent."""

    family: ClassVar[str] = "wastesubscriptions"


class Superseded(facts.Superseded):
    """An earlier waste subscription event was wrong; its correction follows."""

    family: ClassVar[str] = "wastesubscriptions"


class Merged(facts.Merged):
    """Two contracts are one."""

    family: ClassVar[str] = "wastesubscriptions"


class Erased(facts.Erased):
    """The personal data of a contract is gone."""

    family: ClassVar[str] = "wastesubscriptions"


EVENTS: tuple[type[Event], ...] = (Created, Renewed, Amended, Ended, Revoked, Superseded, Merged, Erased)

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
