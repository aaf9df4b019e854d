"""Planning, version 1. After the MHCLG planning application specification and the Open Digital Planning schemas.

Registers know dates, not instants: ``occurred_at`` is then a PartialDate with year, month and day.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from schemas.planning import examples
from schemas.shared import CaseRef, CodedValue, DateText, Event, Example, by_class, facts, marked
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

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
