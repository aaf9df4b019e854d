"""The life of a claim, from its receipt to the end of the award; a decision may be revised."""

from schemas.benefits.v1 import (
    AwardChanged,
    AwardEnded,
    AwardStarted,
    AwardSuspended,
    ClaimAssessed,
    ClaimReceived,
)
from schemas.shared.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    starts=(ClaimReceived,),
    joins=(ClaimAssessed, AwardStarted, AwardChanged, AwardSuspended, AwardEnded),
    follows={
        ClaimReceived: (ClaimAssessed, AwardStarted, AwardEnded),
        ClaimAssessed: (ClaimAssessed, AwardStarted, AwardEnded),
        AwardStarted: (AwardChanged, AwardSuspended, AwardEnded),
        AwardChanged: (AwardChanged, AwardSuspended, AwardEnded),
        AwardSuspended: (AwardStarted, AwardChanged, AwardEnded),
        AwardEnded: (AwardStarted, ClaimAssessed),
    },
    ends=(AwardEnded, ClaimAssessed),
    state_field="state",
    transitions={
        "received": ("assessed", "refused", "awarded", "ended"),
        "assessed": ("assessed", "refused", "awarded", "ended"),
        "refused": ("assessed", "awarded", "refused"),
        "awarded": ("awarded", "suspended", "ended"),
        "suspended": ("awarded", "ended"),
        "ended": ("awarded", "assessed", "refused"),
    },
    end_states=("ended", "refused"),
)
