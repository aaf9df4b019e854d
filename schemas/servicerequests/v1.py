"""Service requests, version 1. After Open311 GeoReport v2 with mySociety's extended states."""

from typing import Annotated, ClassVar, Literal

from schemas.servicerequests import examples
from schemas.shared import Event, Example, by_class, facts, marked
from schemas.shared.types import Code, LongText, Part, ShortText, Url

State = Literal[
    "open",
    "investigating",
    "in_progress",
    "planned",
    "action_scheduled",
    "fixed",
    "no_further_action",
    "not_councils_responsibility",
    "internal_referral",
    "duplicate",
    "cancelled",
    "closed",
    "for_triage",
]

STATES: dict[str, str] = {
    "open": "Reported; nobody has looked at it yet",
    "investigating": "Somebody is finding out what it is",
    "in_progress": "Work is under way",
    "planned": "Work is planned, without a date",
    "action_scheduled": "Work has been ordered or has a date",
    "fixed": "The work is done",
    "no_further_action": "Looked at; nothing needs to be done",
    "not_councils_responsibility": "Somebody else's to deal with",
    "internal_referral": "Passed to another team of the council",
    "duplicate": "The same as another request",
    "cancelled": "Withdrawn before it was dealt with",
    "closed": "Closed, without the system saying how",
    "for_triage": "Waits to be sorted",
}
"""What each state means."""


class Reporter(Part):
    """Who reported it."""

    name: Annotated[ShortText | None, marked("personal", "reporter", "Name")] = None
    email: Annotated[ShortText | None, marked("personal", "reporter", "E-mail address")] = None
    phone: Annotated[ShortText | None, marked("personal", "reporter", "Telephone number")] = None


class Defect(Part):
    """What is wrong, as an inspector classed it."""

    type: Annotated[Code, marked("none", description="The council's defect type")]
    priority: Annotated[Code | None, marked("none", description="The council's priority")] = None


class ServiceRequestEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "servicerequests"

    service_code: Annotated[Code | None, marked("none", description="The council's service code")] = None
    service_name: Annotated[ShortText | None, marked("none", description="Its name")] = None
    description: Annotated[LongText | None, marked("personal", "reporter", "Free text")] = None
    media: Annotated[tuple[Url, ...] | None, marked("personal", "reporter", "Links to photographs")] = None
    public_update: Annotated[
        LongText | None, marked("none", description="Text that the council wrote for publication")
    ] = None
    defect: Annotated[Defect | None, marked("none", description="What is wrong")] = None


class Opened(ServiceRequestEvent):
    """A request was recorded. Sent once, when the council's system first offers it."""

    fact: ClassVar[str] = "opened"
    state: Annotated[State, marked("none", description="The state it starts in", values=STATES)] = "open"
    reporter: Annotated[Reporter | None, marked("personal", "reporter", "Who reported it")] = None


class StatusChanged(ServiceRequestEvent):
    """A request has a state. Sent for every entry of the source's history, even if the state repeats."""

    fact: ClassVar[str] = "status-changed"
    state: Annotated[State, marked("none", description="The state it is in now", values=STATES)]


class Updated(ServiceRequestEvent):
    """Something was added to a request without a change of state: a comment, a photograph."""

    fact: ClassVar[str] = "updated"


class Revoked(facts.Revoked):
    """An earlier service-request event should not have been sent."""

    family: ClassVar[str] = "servicerequests"


class Superseded(facts.Superseded):
    """An earlier service-request event was wrong; its correction follows."""

    family: ClassVar[str] = "servicerequests"


class Merged(facts.Merged):
    """A request is now part of another."""

    family: ClassVar[str] = "servicerequests"


class Erased(facts.Erased):
    """The personal data of a request is gone."""

    family: ClassVar[str] = "servicerequests"


EVENTS: tuple[type[Event], ...] = (Opened, StatusChanged, Updated, Revoked, Superseded, Merged, Erased)

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
