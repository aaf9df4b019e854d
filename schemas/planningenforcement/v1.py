"""Planning enforcement, version 1. After the Open Digital Planning enforcement schema and the planning Acts.

The kinds of notices are those that the local land charges search asks for (CON29, question 3.9) and that the Town
and Country Planning Act 1990 and the Planning (Listed Buildings and Conservation Areas) Act 1990 name. Open Digital
Planning describes a report of a breach; the states come from councils' back offices.

A breach is alleged until it is found, and some breaches are offences: descriptions are marked as criminal offence
data. Who complained is never shared onward, under any agreement.
"""

from typing import Annotated, ClassVar, Literal

from schemas.planningenforcement import examples
from schemas.shared import Classification, CodedValue, DateText, Event, Example, by_class, chosen, facts, marked
from schemas.shared.types import Code, LongText, Part, ShortText

State = Literal["not_started", "under_investigation", "notice_served", "appealed", "closed"]
STATES: dict[str, str] = {
    "not_started": "Recorded; nobody has looked into it yet",
    "under_investigation": "An officer is finding out whether there is a breach",
    "notice_served": "A notice demands that it ends",
    "appealed": "The notice is before the Planning Inspectorate",
    "closed": "Nothing more will be done",
}

NoticeType = Literal[
    "planning_contravention_notice",
    "enforcement_warning_notice",
    "enforcement_notice",
    "breach_of_condition_notice",
    "stop_notice",
    "temporary_stop_notice",
    "listed_building_enforcement_notice",
    "section_215_notice",
    "tree_replacement_notice",
    "discontinuance_notice",
    "other",
]
NOTICE_TYPES: dict[str, str] = {
    "planning_contravention_notice": "Asks for information about what is being done (1990 Act, section 171C)",
    "enforcement_warning_notice": "Invites an application that may make it lawful (section 172ZA)",
    "enforcement_notice": "Demands that a breach of planning control is remedied (section 172)",
    "breach_of_condition_notice": "Demands that a condition of a permission is kept (section 187A)",
    "stop_notice": "Forbids an activity before an enforcement notice takes effect (section 183)",
    "temporary_stop_notice": "Forbids an activity at once, for a limited time (section 171E)",
    "listed_building_enforcement_notice": "Demands that works to a listed building are put right (Listed Buildings "
    "Act, section 38)",
    "section_215_notice": "Demands that untidy land is cleaned up (section 215)",
    "tree_replacement_notice": "Demands that a protected tree is replaced (section 207)",
    "discontinuance_notice": "Demands that an advertisement is taken down (2007 Regulations, regulation 8)",
    "other": "Another notice relating to a breach of planning control",
}


class Breach(Part):
    """What is said to be wrong."""

    code: Annotated[Code, marked("none", description="ODP breach type, or the council's code")]
    label: Annotated[ShortText | None, marked("none", description="Its label")] = None


class Site(Part):
    """Where the breach is said to be, beside ``location``."""

    address: Annotated[LongText | None, marked("personal", "resident", "Address in words")] = None
    geometry: Annotated[LongText | None, marked("none", description="Boundary as WKT, EPSG:4326")] = None


class Complainant(Part):
    """Who reported it. For the council alone."""

    name: Annotated[ShortText | None, marked("personal", "reporter", "Name", never_shared=True)] = None
    address: Annotated[LongText | None, marked("personal", "reporter", "Address", never_shared=True)] = None
    email: Annotated[ShortText | None, marked("personal", "reporter", "E-mail address", never_shared=True)] = None
    phone: Annotated[ShortText | None, marked("personal", "reporter", "Telephone number", never_shared=True)] = None


class Notice(Part):
    """A notice that was served."""

    type: Annotated[NoticeType, marked("none", description="Which notice", values=NOTICE_TYPES, open_list=True)]
    reference: Annotated[Code | None, marked("none", description="The notice's own reference")] = None
    issued_on: Annotated[DateText | None, marked("none", description="Date of issue")] = None
    effective_on: Annotated[DateText | None, marked("none", description="Day from which it binds")] = None
    comply_by: Annotated[DateText | None, marked("none", description="Last day for doing what it demands")] = None


class EnforcementEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "planningenforcement"
    classification: ClassVar[Classification] = "official-sensitive"

    breach: Annotated[Breach | None, marked("none", description="What is said to be wrong")] = None
    site: Annotated[Site | None, marked("personal", "resident", "Where it is said to be")] = None
    description: Annotated[
        LongText | None, marked("criminal", "resident", "Free text; may tell of an alleged offence")
    ] = None
    complainant: Annotated[
        Complainant | None, marked("personal", "reporter", "Who reported it; never shared onward", never_shared=True)
    ] = None


class CaseOpened(EnforcementEvent):
    """A report of a breach became a case."""

    fact: ClassVar[str] = "case-opened"
    state: Annotated[
        Literal["not_started", "under_investigation"],
        marked(
            "none",
            description="The state it starts in",
            values=chosen(STATES, "not_started", "under_investigation"),
        ),
    ] = "not_started"


class StatusChanged(EnforcementEvent):
    """A case has a state. Sent for every entry of the source's history, even if the state repeats."""

    fact: ClassVar[str] = "status-changed"
    state: Annotated[State, marked("none", description="The state it is in now", values=STATES)]


class NoticeServed(EnforcementEvent):
    """A notice was served on those who own, occupy or use the land."""

    fact: ClassVar[str] = "notice-served"
    state: Annotated[
        Literal["notice_served"],
        marked("none", description="Always `notice_served`", values=chosen(STATES, "notice_served")),
    ] = "notice_served"
    notice: Annotated[Notice, marked("none", description="The notice")]


class CaseClosed(EnforcementEvent):
    """A case was closed: no breach, not worth acting on, put right, or permitted."""

    fact: ClassVar[str] = "case-closed"
    state: Annotated[
        Literal["closed"], marked("none", description="Always `closed`", values=chosen(STATES, "closed"))
    ] = "closed"
    outcome: Annotated[CodedValue | None, marked("none", description="How it ended; the council's code")] = None


class Revoked(facts.Revoked):
    """An earlier enforcement event should not have been sent."""

    family: ClassVar[str] = "planningenforcement"
    classification: ClassVar[Classification] = "official-sensitive"


class Superseded(facts.Superseded):
    """An earlier enforcement event was wrong; its correction follows."""

    family: ClassVar[str] = "planningenforcement"
    classification: ClassVar[Classification] = "official-sensitive"


class Merged(facts.Merged):
    """Two reports are about the same breach; one case goes on."""

    family: ClassVar[str] = "planningenforcement"
    classification: ClassVar[Classification] = "official-sensitive"


class Erased(facts.Erased):
    """The personal data of an enforcement case is gone."""

    family: ClassVar[str] = "planningenforcement"
    classification: ClassVar[Classification] = "official-sensitive"


EVENTS: tuple[type[Event], ...] = (
    CaseOpened, StatusChanged, NoticeServed, CaseClosed, Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
