"""The life of a permit. Immediate works begin before their permit; inspections and penalties come at any time."""

from schemas.shared.lifecycle import Lifecycle
from schemas.streetworks.v1 import (
    FixedPenaltyIssued,
    InspectionRecorded,
    PermitCancelled,
    PermitGranted,
    PermitModificationRequested,
    PermitRefused,
    PermitRevoked,
    PermitSubmitted,
    WorkStarted,
    WorkStartReverted,
    WorkStopped,
    WorkStopReverted,
)

_DECISIONS = (PermitGranted, PermitRefused, PermitModificationRequested)

LIFECYCLE = Lifecycle(
    starts=(PermitSubmitted,),
    joins=(
        *_DECISIONS, PermitRevoked, PermitCancelled, WorkStarted, WorkStartReverted, WorkStopped, WorkStopReverted,
        InspectionRecorded, FixedPenaltyIssued,
    ),
    asides=(InspectionRecorded, FixedPenaltyIssued),
    follows={
        PermitSubmitted: (*_DECISIONS, PermitCancelled, WorkStarted),
        PermitModificationRequested: (PermitSubmitted, PermitGranted, PermitRefused, PermitCancelled, WorkStarted),
        # granted again is an alteration that was granted
        PermitGranted: (WorkStarted, WorkStopped, PermitGranted, PermitModificationRequested, PermitRevoked,
                        PermitCancelled),
        PermitRefused: (PermitSubmitted, PermitGranted, WorkStopped),
        WorkStarted: (WorkStopped, WorkStartReverted, *_DECISIONS, PermitRevoked),
        WorkStartReverted: (WorkStarted, *_DECISIONS, PermitRevoked, PermitCancelled),
        WorkStopped: (WorkStopReverted, PermitGranted),
        WorkStopReverted: (WorkStopped, WorkStartReverted, *_DECISIONS, PermitRevoked),
        PermitRevoked: (WorkStopped, PermitSubmitted),
        PermitCancelled: (),
    },
    ends=(WorkStopped, PermitRefused, PermitRevoked, PermitCancelled),
)  # fmt: skip
