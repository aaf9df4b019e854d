"""The life of an enforcement case, from the report to its closing; it may be opened again."""

from schemas.planningenforcement.v1 import STATES, CaseClosed, CaseOpened, NoticeServed, StatusChanged
from schemas.shared.lifecycle import Lifecycle

_ANY = (StatusChanged, NoticeServed, CaseClosed)

LIFECYCLE = Lifecycle(
    starts=(CaseOpened,),
    joins=_ANY,
    follows={
        CaseOpened: _ANY,
        StatusChanged: _ANY,
        NoticeServed: _ANY,
        CaseClosed: (StatusChanged,),
    },
    ends=(CaseClosed, StatusChanged),
    state_field="state",
    transitions={
        "not_started": ("not_started", "under_investigation", "notice_served", "closed"),
        "under_investigation": ("under_investigation", "notice_served", "closed"),
        "notice_served": tuple(state for state in STATES if state != "not_started"),
        "appealed": tuple(state for state in STATES if state != "not_started"),
        "closed": ("closed", "under_investigation"),
    },
    end_states=("closed",),
)
