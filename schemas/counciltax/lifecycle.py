"""The life of an account. Payments come from other files than accounts, at any time, also after the closing."""

from schemas.counciltax.v1 import AccountClosed, AccountOpened, LiabilityChanged, PaymentReceived, PaymentReversed
from schemas.shared.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    starts=(AccountOpened,),
    joins=(LiabilityChanged, AccountClosed, PaymentReceived, PaymentReversed),
    asides=(PaymentReceived, PaymentReversed),
    follows={
        AccountOpened: (LiabilityChanged, AccountClosed),
        LiabilityChanged: (LiabilityChanged, AccountClosed),
        # liable again, or the days of the last liability corrected
        AccountClosed: (AccountOpened, LiabilityChanged),
    },
    ends=(AccountClosed,),
    state_field="state",
    transitions={"open": ("open", "closed"), "closed": ("open",)},
    end_states=("closed",),
)
