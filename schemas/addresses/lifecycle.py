"""The life of a property in the gazetteer; what left a supply may come back."""

from schemas.addresses.v1 import Created, Retired, Updated
from schemas.shared.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    starts=(Created,),
    joins=(Updated, Retired),
    follows={
        Created: (Updated, Retired),
        Updated: (Updated, Retired),
        Retired: (Created, Updated),
    },
    ends=(Retired,),
    state_field="state",
    transitions={
        "provisional": ("provisional", "approved", "historic", "rejected"),
        "approved": ("approved", "historic", "provisional"),
        "historic": ("historic", "approved", "provisional"),
        "rejected": ("rejected", "provisional", "approved", "historic"),
    },
    end_states=("historic", "rejected"),
)
