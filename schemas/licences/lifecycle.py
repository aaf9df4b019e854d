"""The life of a licence, from the application to its end; it may be renewed, or given back on appeal."""

from schemas.licences.v1 import Applied, Expired, Issued, RevokedByAuthority, Surrendered, Suspended, Varied
from schemas.shared.lifecycle import Lifecycle

_FROM_FORCE = (Varied, Expired, Issued, Surrendered, Suspended, RevokedByAuthority, Applied)

LIFECYCLE = Lifecycle(
    starts=(Applied,),
    joins=(Issued, Varied, Suspended, RevokedByAuthority, Expired, Surrendered),
    follows={
        Applied: (Issued, Varied, Expired),
        Issued: _FROM_FORCE,
        Varied: _FROM_FORCE,
        Suspended: (Issued, Varied, RevokedByAuthority, Expired, Surrendered),
        RevokedByAuthority: (Issued,),
        Expired: (Issued, Applied),
        Surrendered: (),
    },
    ends=(RevokedByAuthority, Expired, Surrendered),
    state_field="state",
    transitions={
        "applied": ("issued", "varied", "expired"),
        "issued": ("varied", "suspended", "revoked", "expired", "surrendered", "issued", "applied"),
        "varied": ("varied", "suspended", "revoked", "expired", "surrendered", "issued", "applied"),
        "suspended": ("issued", "varied", "revoked", "expired", "surrendered"),
        "revoked": ("issued",),
        "expired": ("issued", "applied"),
        "surrendered": (),
    },
    end_states=("revoked", "expired", "surrendered"),
)
