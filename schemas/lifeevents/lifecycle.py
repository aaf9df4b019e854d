"""The life of a registration: it is made once, and may be corrected; an update may be the first that is heard."""

from schemas.lifeevents.v1 import DeathRegistered, DeathRegistrationUpdated
from schemas.shared.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    starts=(DeathRegistered,),
    joins=(DeathRegistrationUpdated,),
    follows={
        DeathRegistered: (DeathRegistrationUpdated,),
        DeathRegistrationUpdated: (DeathRegistrationUpdated,),
    },
    ends=(DeathRegistered, DeathRegistrationUpdated),
    state_field="state",
    transitions={"registered": ("registered",)},
    end_states=("registered",),
)
