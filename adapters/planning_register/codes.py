"""The register's codes as data: what each timeline code means, in the order of an application's life."""

from dataclasses import dataclass
from typing import Final

from schemas.planning import v1
from schemas.planning.v1 import DecisionCode, PlanningEvent, Stage, Status


@dataclass(frozen=True, slots=True)
class Step:
    """A code of the timeline: its event, or None for one that is a note only; stage and status after it."""

    event: type[PlanningEvent] | None
    stage: Stage
    status: Status = "undetermined"


TIMELINE: Final[dict[str, Step]] = {
    "application-submitted": Step(v1.ApplicationSubmitted, "submission"),
    "invalid-from": Step(v1.ApplicationInvalidated, "validation"),
    "valid-from": Step(v1.ApplicationValidated, "validation"),
    "validation-completed": Step(None, "validation"),
    "application-published": Step(None, "validation"),
    "publicity-start": Step(None, "consultation"),
    "additional-information-requested": Step(None, "validation"),
    "additional-information-received": Step(None, "validation"),
    "consultation-start": Step(v1.ConsultationStarted, "consultation"),
    "consultees-contacted": Step(None, "consultation"),
    "consultation-end": Step(v1.ConsultationEnded, "consultation"),
    "call-in-direction-issued": Step(None, "assessment"),
    "committee-date": Step(v1.CommitteeScheduled, "assessment"),
    "resolution-to-grant": Step(None, "assessment"),
    "resolution-to-refuse": Step(None, "assessment"),
    "time-extension-agreed": Step(None, "assessment"),
}
TIMELINE_EVENTS: Final = tuple(step.event for step in TIMELINE.values() if step.event is not None)
LIFECYCLE: Final = {code: position for position, code in enumerate(TIMELINE)}

DECISIONS: Final[dict[str, DecisionCode]] = {"granted": "granted", "refused": "refused"}

APPLICATION_TYPES: Final = frozenset({
    "full", "lbc", "outline-some", "outline-all", "reserved-matters", "approval-condition", "s73",
    "non-material-amendment", "ldc-proposed-work-lb", "pip", "advertising", "demolition-con-area", "part",
})  # fmt: skip
SCALES: Final = frozenset({"", "major", "minor"})
FLAGS: Final = frozenset({"", "true", "false"})
DECISION_MAKERS: Final = frozenset({"", "planning-officer", "committee", "secretary-of-state", "pins", "mayor"})
