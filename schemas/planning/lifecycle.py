"""The life of a planning application. Registers leave steps out, so later steps may follow early ones, never back."""

from schemas.planning.v1 import (
    AppealDecided,
    AppealLodged,
    ApplicationDecided,
    ApplicationInvalidated,
    ApplicationReturned,
    ApplicationSubmitted,
    ApplicationValidated,
    ApplicationWithdrawn,
    CommitteeScheduled,
    ConsultationEnded,
    ConsultationStarted,
)
from schemas.shared.lifecycle import Lifecycle

_ONWARD = (CommitteeScheduled, ApplicationDecided, ApplicationWithdrawn, AppealLodged)

LIFECYCLE = Lifecycle(
    starts=(ApplicationSubmitted,),
    joins=(
        ApplicationValidated, ApplicationInvalidated, ConsultationStarted, ConsultationEnded, *_ONWARD,
        ApplicationReturned, AppealDecided,
    ),
    follows={
        ApplicationSubmitted: (
            ApplicationValidated, ApplicationInvalidated, ApplicationReturned, ConsultationStarted, *_ONWARD,
        ),
        ApplicationInvalidated: (
            ApplicationValidated, ApplicationInvalidated, ApplicationReturned, ApplicationWithdrawn,
        ),
        ApplicationValidated: (ConsultationStarted, ConsultationEnded, ApplicationInvalidated, *_ONWARD),
        # changed plans are consulted on again
        ConsultationStarted: (ConsultationEnded, ConsultationStarted, *_ONWARD),
        ConsultationEnded: (ConsultationStarted, *_ONWARD),
        CommitteeScheduled: (ConsultationStarted, ConsultationEnded, *_ONWARD),
        ApplicationDecided: (AppealLodged,),
        ApplicationReturned: (ApplicationSubmitted, ApplicationValidated),
        ApplicationWithdrawn: (),
        # an appeal against silence, on which the authority decides after all
        AppealLodged: (AppealDecided, ApplicationDecided),
        AppealDecided: (),
    },
    ends=(ApplicationDecided, ApplicationReturned, ApplicationWithdrawn, AppealDecided),
    state_field="status",
    transitions={
        "undetermined": ("undetermined", "determined", "returned", "withdrawn"),
        "returned": ("undetermined", "returned"),
        "determined": ("determined",),
        "withdrawn": ("withdrawn",),
    },
    end_states=("determined", "returned", "withdrawn"),
    carries={
        ApplicationSubmitted: ("undetermined",),
        ApplicationValidated: ("undetermined",),
        ApplicationInvalidated: ("undetermined",),
        ConsultationStarted: ("undetermined",),
        ConsultationEnded: ("undetermined",),
        CommitteeScheduled: ("undetermined",),
        ApplicationDecided: ("determined",),
        ApplicationReturned: ("returned",),
        # published documents leave the status behind
        ApplicationWithdrawn: ("withdrawn", "undetermined"),
        AppealLodged: ("determined", "undetermined"),
        AppealDecided: ("determined",),
    },
)  # fmt: skip
