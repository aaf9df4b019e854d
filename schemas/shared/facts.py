"""The four facts that every family has: an event was wrong, was replaced, its case was merged, its data was erased.

Each family subclasses them, so that they stand on its topic, in order with the events that they are about.
"""

from typing import Annotated, ClassVar, Literal

from schemas.shared.event import Event
from schemas.shared.markings import marked
from schemas.shared.types import CaseRef, Code

CorrectionReason = Literal[
    "typographical",
    "quality_assurance",
    "formal_correction",
    "duplicate",
    "cancelled_at_source",
    "sent_in_error",
    "reorganisation",
]
EventId = Annotated[Code | None, marked("none", description="The id of the event, where it is known")]


class Revoked(Event):
    """An earlier event should not have been sent. Readers undo what they did because of it."""

    fact: ClassVar[str] = "revoked"
    revokes: EventId = None
    reason: Annotated[CorrectionReason, marked("none", description="Why it is taken back")]


class Superseded(Event):
    """An earlier event was wrong; the correction follows in the same transaction."""

    fact: ClassVar[str] = "superseded"
    supersedes: EventId = None
    superseded_by: EventId = None
    reason: Annotated[CorrectionReason, marked("none", description="Why it was wrong")]


class Merged(Event):
    """The case is now part of another one; later events carry the other's reference."""

    fact: ClassVar[str] = "merged"
    into_case_ref: Annotated[CaseRef, marked("none", description="The case that goes on")]
    reason: Annotated[CorrectionReason | None, marked("none", description="Why they were merged")] = None


class Erased(Event):
    """The data subject's data is gone; the case reference, the time and the legal ground remain."""

    fact: ClassVar[str] = "erased"
    legal_ground: Annotated[
        Literal["erasure_request", "retention_expired", "court_order", "unlawful_processing"],
        marked("none", description="UK GDPR Article 17, or the retention schedule"),
    ]
