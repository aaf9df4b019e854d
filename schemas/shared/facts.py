"""The four facts that every family has: an event was wrong, was replaced, its case was merged, its data was erased.

Each family subclasses them, so that they stand on its topic, in order with the events that they are about.
"""

from typing import Annotated, ClassVar, Literal

from schemas.shared.event import Event
from schemas.shared.markings import marked
from schemas.shared.types import Code, OpaqueRef

CorrectionReason = Literal[
    "typographical",
    "quality_assurance",
    "formal_correction",
    "duplicate",
    "cancelled_at_source",
    "sent_in_error",
    "reorganisation",
]
CORRECTION_REASONS: dict[str, str] = {
    "typographical": "A typing error was mended",
    "quality_assurance": "Found wrong when it was checked",
    "formal_correction": "Corrected by a formal procedure",
    "duplicate": "The same fact was announced under another event or case",
    "cancelled_at_source": "The owning system cancelled the record",
    "sent_in_error": "It was never meant to be announced",
    "reorganisation": "Councils or systems were merged or split",
}
LegalGround = Literal["erasure_request", "retention_expired", "court_order", "unlawful_processing"]
LEGAL_GROUNDS: dict[str, str] = {
    "erasure_request": "The person asked for it (UK GDPR Article 17(1)(b) or (c))",
    "retention_expired": "The purpose is served or the retention period is over (Article 17(1)(a))",
    "court_order": "A court or another legal obligation requires it (Article 17(1)(e))",
    "unlawful_processing": "The data should not have been held (Article 17(1)(d))",
}
EventId = Annotated[Code | None, marked("none", description="The id of the event, where it is known")]


class Revoked(Event):
    """An earlier event should not have been sent. Readers undo what they did because of it."""

    fact: ClassVar[str] = "revoked"
    revokes: EventId = None
    reason: Annotated[CorrectionReason, marked("none", description="Why it is taken back", values=CORRECTION_REASONS)]


class Superseded(Event):
    """An earlier event was wrong; the correction follows in the same transaction."""

    fact: ClassVar[str] = "superseded"
    supersedes: EventId = None
    superseded_by: EventId = None
    reason: Annotated[CorrectionReason, marked("none", description="Why it was wrong", values=CORRECTION_REASONS)]


class Merged(Event):
    """The case is now part of another one; later events carry the other's reference."""

    fact: ClassVar[str] = "merged"
    into_case_ref: Annotated[OpaqueRef, marked("none", description="The case that goes on")]
    reason: Annotated[
        CorrectionReason | None, marked("none", description="Why they were merged", values=CORRECTION_REASONS)
    ] = None


class Erased(Event):
    """The data subject's data is gone; the case reference, the time and the legal ground remain.

    The shared fields that could still lead to the person are closed.
    """

    fact: ClassVar[str] = "erased"
    external_refs: Annotated[None, marked("none", description="Always absent")] = None
    source_status: Annotated[None, marked("none", description="Always absent")] = None
    location: Annotated[None, marked("none", description="Always absent")] = None
    legal_ground: Annotated[LegalGround, marked("none", description="Why it had to go", values=LEGAL_GROUNDS)]
