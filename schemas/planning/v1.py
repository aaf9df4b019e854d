"""Planning, version 1. After the MHCLG planning application specification and the Open Digital Planning schemas.

Registers know dates, not instants: ``occurred_at`` is then a PartialDate with year, month and day.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import StringConstraints

from schemas.shared import CaseRef, CodedValue, DateText, Event, facts, marked
from schemas.shared.types import Code, LongText, Part, ShortText, Url

Stage = Literal["submission", "validation", "consultation", "assessment", "appeal", "highCourtAppeal"]
Status = Literal["undetermined", "determined", "returned", "withdrawn"]
DecisionCode = Literal["granted", "refused", "allowed", "dismissed", "splitDecision", "withdrawn"]
DecisionMaker = Literal["planning-officer", "committee", "secretary-of-state", "pins", "mayor"]

STAGES: dict[str, str] = {
    "submission": "Handed in",
    "validation": "Checked for completeness",
    "consultation": "Open for comments",
    "assessment": "Weighed by officers or a committee",
    "appeal": "Before the Planning Inspectorate",
    "highCourtAppeal": "Before the High Court",
}
STATUSES: dict[str, str] = {
    "undetermined": "No decision yet",
    "determined": "Decided",
    "returned": "Sent back to the applicant",
    "withdrawn": "Taken back by the applicant",
}
DECISIONS: dict[str, str] = {
    "granted": "Permission was given",
    "refused": "Permission was refused",
    "allowed": "The appeal succeeded",
    "dismissed": "The appeal failed",
    "splitDecision": "The appeal succeeded in part",
    "withdrawn": "The appeal was taken back",
}
DECISION_MAKERS: dict[str, str] = {
    "planning-officer": "An officer under delegated powers",
    "committee": "The authority's planning committee",
    "secretary-of-state": "The Secretary of State",
    "pins": "The Planning Inspectorate",
    "mayor": "An elected mayor with planning powers",
}
Authority = Annotated[
    str, StringConstraints(pattern="^([EWSN][0-9]{8}|local-authority:[A-Z]{3}|[a-z][a-z0-9-]{1,62})$")
]
"""GSS code, the code of the planning register, or a registered slug."""


class Decision(Part):
    """What was decided, when and by whom."""

    code: Annotated[DecisionCode, marked("none", description="MHCLG decision code list", values=DECISIONS)]
    label: Annotated[ShortText | None, marked("none", description="Its label, as the source has it")] = None
    decided_on: Annotated[DateText | None, marked("none", description="Date of the decision")] = None
    decision_maker_role: Annotated[
        DecisionMaker | None, marked("none", description="Who decided, as a role", values=DECISION_MAKERS)
    ] = None


class Applicant(Part):
    """Who applies."""

    name: Annotated[ShortText | None, marked("personal", "applicant", "Name")] = None
    address: Annotated[LongText | None, marked("personal", "applicant", "Address")] = None
    email: Annotated[ShortText | None, marked("personal", "applicant", "E-mail address")] = None
    phone: Annotated[ShortText | None, marked("personal", "applicant", "Telephone number")] = None


class Agent(Part):
    """Who acts for the applicant, usually as a business."""

    name: Annotated[ShortText | None, marked("personal", "business", "Name")] = None
    address: Annotated[LongText | None, marked("personal", "business", "Address")] = None
    email: Annotated[ShortText | None, marked("personal", "business", "E-mail address")] = None
    phone: Annotated[ShortText | None, marked("personal", "business", "Telephone number")] = None


class PlanningDocument(Part):
    """A document of the application."""

    url: Annotated[Url, marked("none", description="Where it is published")]
    name: Annotated[ShortText | None, marked("none", description="Its title")] = None


class PlanningEvent(Event):
    """Fields that the events of this family share. ``case_ref`` equals ``reference``."""

    family: ClassVar[str] = "planning"

    reference: Annotated[CaseRef, marked("none", description="The application's reference; may hold `/`")]
    planning_authority: Annotated[Authority | None, marked("none", description="Who decides")] = None
    stage: Annotated[Stage, marked("none", description="MHCLG stage", values=STAGES)]
    status: Annotated[Status, marked("none", description="MHCLG status", values=STATUSES)]
    application_type: Annotated[
        tuple[Code, ...] | None, marked("none", description="MHCLG application types; one application may have several")
    ] = None
    description: Annotated[LongText | None, marked("personal", "applicant", "Proposal, in free text")] = None
    geometry: Annotated[LongText | None, marked("none", description="Site as WKT, EPSG:4326")] = None
    applicant: Annotated[Applicant | None, marked("personal", "applicant", "Who applies")] = None
    agent: Annotated[Agent | None, marked("personal", "business", "Who acts for the applicant")] = None
    documents: Annotated[tuple[PlanningDocument, ...] | None, marked("none", description="Published documents")] = None


class ApplicationSubmitted(PlanningEvent):
    """An application was handed in. Sent when the register first shows it."""

    fact: ClassVar[str] = "application-submitted"


class ApplicationValidated(PlanningEvent):
    """The application is complete; the time for deciding begins."""

    fact: ClassVar[str] = "application-validated"


class ApplicationInvalidated(PlanningEvent):
    """The application is incomplete; the authority waits for the applicant."""

    fact: ClassVar[str] = "application-invalidated"


class ConsultationStarted(PlanningEvent):
    """Comments may be made."""

    fact: ClassVar[str] = "consultation-started"
    ends_on: Annotated[DateText | None, marked("none", description="Last day for comments")] = None


class ConsultationEnded(PlanningEvent):
    """The time for comments is over."""

    fact: ClassVar[str] = "consultation-ended"


class CommitteeScheduled(PlanningEvent):
    """A committee is going to decide."""

    fact: ClassVar[str] = "committee-scheduled"
    committee_on: Annotated[DateText | None, marked("none", description="Date of the meeting")] = None


class ApplicationDecided(PlanningEvent):
    """The application was granted or refused."""

    fact: ClassVar[str] = "application-decided"
    decision: Annotated[Decision, marked("none", description="What was decided")]


class ApplicationWithdrawn(PlanningEvent):
    """The applicant took the application back."""

    fact: ClassVar[str] = "application-withdrawn"
    reason: Annotated[CodedValue | None, marked("none", description="Why, where the register says so")] = None


class ApplicationReturned(PlanningEvent):
    """The authority sent the application back as it stayed invalid."""

    fact: ClassVar[str] = "application-returned"


class AppealLodged(PlanningEvent):
    """The applicant appealed against the decision, or against there being none."""

    fact: ClassVar[str] = "appeal-lodged"


class AppealDecided(PlanningEvent):
    """The appeal was decided."""

    fact: ClassVar[str] = "appeal-decided"
    decision: Annotated[Decision, marked("none", description="What was decided")]


class Revoked(facts.Revoked):
    """An earlier planning event should not have been sent."""

    family: ClassVar[str] = "planning"


class Superseded(facts.Superseded):
    """An earlier planning event was wrong; its correction follows."""

    family: ClassVar[str] = "planning"


class Merged(facts.Merged):
    """An application goes on under another reference."""

    family: ClassVar[str] = "planning"


class Erased(facts.Erased):
    """The personal data of an application is gone."""

    family: ClassVar[str] = "planning"


EVENTS: tuple[type[Event], ...] = (
    ApplicationSubmitted, ApplicationValidated, ApplicationInvalidated, ConsultationStarted, ConsultationEnded,
    CommitteeScheduled, ApplicationDecided, ApplicationWithdrawn, ApplicationReturned, AppealLodged, AppealDecided,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

_SHARED: dict[str, Any] = {
    "case_ref": "31/04567/FUL",
    "organisation": "E09000099",
    "occurred_at": {"year": 2031, "month": 3, "day": 4},
}
_MINIMAL: dict[str, Any] = {**_SHARED, "reference": "31/04567/FUL"}
_FULL: dict[str, Any] = {
    **_MINIMAL,
    "external_refs": [{"system": "planning-portal", "value": "PT-10099999"}],
    "logged_at": "2031-03-04T09:30:00Z",
    "source_status": {"code": "valid-from"},
    "location": {"uprn": "100000000001", "latitude": 52.1, "longitude": -1.9, "source_crs": "EPSG:4326"},
    "lgsl": 484,
    "planning_authority": "local-authority:ZZZ",
    "application_type": ["full", "lbc"],
    "description": "Invented rear extension at an invented house",
    "geometry": "POINT (-1.9 52.1)",
    "applicant": {"name": "Ann Example", "address": "1 Invented Row"},
    "agent": {"name": "Example Plans Ltd"},
    "documents": [{"url": "https://planning.example.org/31-04567/plan.pdf", "name": "Plan"}],
}


def _pair(stage: str, status: str, **more: Any) -> tuple[dict[str, Any], ...]:
    """Return a minimal and a full example."""
    both = {"stage": stage, "status": status, **more}
    return {**_MINIMAL, **both}, {**_FULL, **both}


EXAMPLES: dict[type[Event], tuple[dict[str, Any], ...]] = {
    ApplicationSubmitted: _pair("submission", "undetermined"),
    ApplicationValidated: _pair("validation", "undetermined"),
    ApplicationInvalidated: _pair("validation", "undetermined"),
    ConsultationStarted: _pair("consultation", "undetermined", ends_on="2031-03-25"),
    ConsultationEnded: _pair("consultation", "undetermined"),
    CommitteeScheduled: _pair("assessment", "undetermined", committee_on="2031-04-20"),
    ApplicationDecided: _pair(
        "assessment",
        "determined",
        decision={"code": "granted", "decided_on": "2031-04-20", "decision_maker_role": "committee"},
    ),
    ApplicationWithdrawn: _pair("consultation", "withdrawn", reason={"code": "applicant", "label": "At request"}),
    ApplicationReturned: _pair("validation", "returned"),
    AppealLodged: _pair("appeal", "determined"),
    AppealDecided: _pair("appeal", "determined", decision={"code": "allowed", "decision_maker_role": "pins"}),
    Revoked: ({**_SHARED, "reason": "sent_in_error"}, {**_SHARED, "revokes": "0" * 32, "reason": "duplicate"}),
    Superseded: (
        {**_SHARED, "reason": "typographical"},
        {**_SHARED, "supersedes": "0" * 32, "superseded_by": "1" * 32, "reason": "formal_correction"},
    ),
    Merged: ({**_SHARED, "into_case_ref": "31/04568/FUL"}, {**_SHARED, "into_case_ref": "A", "reason": "duplicate"}),
    Erased: (
        {**_SHARED, "legal_ground": "erasure_request"},
        {**_SHARED, "logged_at": "2031-06-14T08:06:00Z", "legal_ground": "retention_expired"},
    ),
}
