"""Service requests, version 1. After Open311 GeoReport v2 with mySociety's extended states."""

from typing import Annotated, Any, ClassVar, Literal

from schemas.shared import Event, facts, marked
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

_SHARED: dict[str, Any] = {
    "case_ref": "700123",
    "organisation": "E09000099",
    "occurred_at": "2031-06-14T08:05:00Z",
}
_FULL: dict[str, Any] = {
    **_SHARED,
    "external_refs": [{"system": "fixmystreet", "value": "990017"}],
    "logged_at": "2031-06-14T08:06:00Z",
    "source_status": {"code": "RES", "label": "Responded"},
    "location": {"usrn": "47100001", "easting": 400001.0, "northing": 300001.0, "source_crs": "EPSG:27700"},
    "lgsl": 574,
    "service_code": "HP03",
    "service_name": "Pothole",
    "description": "Deep hole outside the invented shop",
    "media": ["https://media.example.org/1.jpg"],
    "public_update": "We will repair this within 28 days.",
    "defect": {"type": "CW-POT", "priority": "P2"},
}

EXAMPLES: dict[type[Event], tuple[dict[str, Any], ...]] = {
    Opened: (_SHARED, {**_FULL, "state": "for_triage", "reporter": {"name": "Ann Example"}}),
    StatusChanged: ({**_SHARED, "state": "investigating"}, {**_FULL, "state": "action_scheduled"}),
    Updated: (_SHARED, _FULL),
    Revoked: (
        {**_SHARED, "reason": "sent_in_error"},
        {**_SHARED, "revokes": "0123456789abcdef0123456789abcdef", "reason": "duplicate"},
    ),
    Superseded: (
        {**_SHARED, "reason": "typographical"},
        {
            **_SHARED,
            "supersedes": "0123456789abcdef0123456789abcdef",
            "superseded_by": "fedcba9876543210fedcba9876543210",
            "reason": "formal_correction",
        },
    ),
    Merged: ({**_SHARED, "into_case_ref": "700124"}, {**_SHARED, "into_case_ref": "700124", "reason": "duplicate"}),
    Erased: (
        {**_SHARED, "legal_ground": "erasure_request"},
        {**_SHARED, "logged_at": "2031-06-14T08:06:00Z", "legal_ground": "retention_expired"},
    ),
}
