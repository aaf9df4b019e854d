"""The life of a service request. Most sources tell states only, and councils take requests up again."""

from schemas.servicerequests.v1 import STATES, Opened, StatusChanged, Updated
from schemas.shared.lifecycle import Lifecycle

_LIVE = ("open", "for_triage", "investigating", "in_progress", "planned", "action_scheduled", "internal_referral")
_DECIDED = ("fixed", "no_further_action", "not_councils_responsibility", "closed")

LIFECYCLE = Lifecycle(
    starts=(Opened,),
    joins=(StatusChanged,),
    asides=(Updated,),
    follows={Opened: (StatusChanged,), StatusChanged: (StatusChanged,)},
    ends=(StatusChanged,),
    state_field="state",
    transitions={
        **dict.fromkeys(_LIVE, tuple(STATES)),
        # what was decided may be decided otherwise, or be taken up again
        **dict.fromkeys(_DECIDED, (*_DECIDED, *_LIVE)),
        "duplicate": ("duplicate", "closed", *_LIVE),
        "cancelled": ("cancelled", "closed", *_LIVE),
    },
    end_states=(*_DECIDED, "duplicate", "cancelled"),
)
