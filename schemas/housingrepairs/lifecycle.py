"""The life of a work order. Some sources tell appointments only, some states only."""

from schemas.housingrepairs.v1 import (
    STATES,
    Cancelled,
    Completed,
    NoAccess,
    Scheduled,
    StatusChanged,
    VariationRequested,
    WorkOrderRaised,
)
from schemas.shared.lifecycle import Lifecycle

_ANY = (Scheduled, Completed, StatusChanged, NoAccess, VariationRequested, Cancelled)
_LIVE = ("open", "scheduled", "assigned", "on_hold", "variation_pending", "no_access")

LIFECYCLE = Lifecycle(
    starts=(WorkOrderRaised,),
    joins=_ANY,
    follows={
        WorkOrderRaised: _ANY,
        Scheduled: _ANY,
        StatusChanged: _ANY,
        VariationRequested: _ANY,
        NoAccess: _ANY,
        # settled, or called back
        Completed: (StatusChanged,),
        Cancelled: (StatusChanged,),
    },
    ends=(Completed, Cancelled, StatusChanged),
    state_field="state",
    transitions={
        **dict.fromkeys(_LIVE, tuple(STATES)),
        "complete": ("complete", "closed", "open"),
        "closed": ("closed", "open"),
        "cancelled": ("cancelled", "closed", "superseded", "open"),
        "superseded": ("superseded", "closed"),
    },
    end_states=("complete", "closed", "cancelled", "superseded"),
)
