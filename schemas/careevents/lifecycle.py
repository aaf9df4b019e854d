"""The life of a care case is nobody's business here: it changes, and changes again."""

from schemas.careevents.v1 import CaseChanged
from schemas.shared.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    starts=(CaseChanged,),
    follows={CaseChanged: (CaseChanged,)},
    ends=(CaseChanged,),
)
