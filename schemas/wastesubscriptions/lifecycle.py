"""The life of a contract, from its making to its end; it may be renewed late."""

from schemas.shared.lifecycle import Lifecycle
from schemas.wastesubscriptions.v1 import Amended, Created, Ended, Renewed

LIFECYCLE = Lifecycle(
    starts=(Created,),
    joins=(Renewed, Amended, Ended),
    follows={
        Created: (Amended, Renewed, Ended),
        Amended: (Amended, Renewed, Ended),
        Renewed: (Amended, Renewed, Ended),
        Ended: (Renewed,),
    },
    ends=(Ended,),
    state_field="state",
    transitions={
        "pending": ("pending", "active", "ended"),
        "active": ("active", "ended"),
        "ended": ("active",),
    },
    end_states=("ended",),
)
