"""Benefits that councils run, version 1: housing benefit, council tax reduction, discretionary payments.

After Academy's claims. A case is a claim; ``case_ref`` equals ``claim_ref``. National Insurance numbers stay in the
council's system: they are in no field, and a case reference that is one is refused.
"""

from typing import Annotated, ClassVar, Literal

from schemas.benefits import examples
from schemas.shared import (
    CaseRef,
    Classification,
    CodedValue,
    DateText,
    Event,
    Example,
    Money,
    by_class,
    chosen,
    facts,
    marked,
)
from schemas.shared.types import LongText, Part, ShortText

State = Literal["received", "assessed", "awarded", "suspended", "ended", "refused"]
STATES: dict[str, str] = {
    "received": "The council has the claim",
    "assessed": "Worked out; the award may follow",
    "awarded": "It is being paid, or taken off the bill",
    "suspended": "Held back until something is cleared up",
    "ended": "Nothing more is paid",
    "refused": "There is no entitlement",
}

Scheme = Literal["housing_benefit", "council_tax_reduction", "discretionary"]
SCHEMES: dict[str, str] = {
    "housing_benefit": "Housing benefit (Social Security Contributions and Benefits Act 1992, section 130)",
    "council_tax_reduction": "The council's own scheme (Local Government Finance Act 1992, section 13A)",
    "discretionary": "Discretionary housing or hardship payment",
}


class Claimant(Part):
    """Who claims."""

    name: Annotated[ShortText | None, marked("personal", "applicant", "Name")] = None
    address: Annotated[LongText | None, marked("personal", "applicant", "Address")] = None
    person_ref: Annotated[
        CaseRef | None, marked("personal", "applicant", "The benefit system's reference, not a public number")
    ] = None


class BenefitEvent(Event):
    """Fields that the events of this family share."""

    family: ClassVar[str] = "benefits"
    classification: ClassVar[Classification] = "official-sensitive"

    claim_ref: Annotated[CaseRef, marked("none", description="The claim's reference")]
    scheme: Annotated[Scheme, marked("none", description="Which benefit", values=SCHEMES)]
    starts_on: Annotated[DateText | None, marked("none", description="First day of the entitlement")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Last day of the entitlement")] = None
    claimant: Annotated[Claimant | None, marked("personal", "applicant", "Who claims")] = None
    weekly_amount: Annotated[Money | None, marked("personal", "applicant", "What a week is worth")] = None
    reason: Annotated[CodedValue | None, marked("personal", "applicant", "Why; the council's code")] = None


class ClaimReceived(BenefitEvent):
    """A claim reached the council."""

    fact: ClassVar[str] = "claim-received"
    state: Annotated[
        Literal["received"], marked("none", description="Always `received`", values=chosen(STATES, "received"))
    ] = "received"


class ClaimAssessed(BenefitEvent):
    """A claim was worked out; it was refused, or an award may follow."""

    fact: ClassVar[str] = "claim-assessed"
    state: Annotated[
        Literal["assessed", "refused"],
        marked("none", description="How it came out", values=chosen(STATES, "assessed", "refused")),
    ] = "assessed"


class AwardStarted(BenefitEvent):
    """The first award of a claim began, or one began anew after a suspension."""

    fact: ClassVar[str] = "award-started"
    state: Annotated[
        Literal["awarded"], marked("none", description="Always `awarded`", values=chosen(STATES, "awarded"))
    ] = "awarded"


class AwardChanged(BenefitEvent):
    """The amount or the days of an award changed; the event holds them as they are now."""

    fact: ClassVar[str] = "award-changed"
    state: Annotated[
        Literal["awarded"], marked("none", description="Always `awarded`", values=chosen(STATES, "awarded"))
    ] = "awarded"


class AwardSuspended(BenefitEvent):
    """Payments are held back."""

    fact: ClassVar[str] = "award-suspended"
    state: Annotated[
        Literal["suspended"], marked("none", description="Always `suspended`", values=chosen(STATES, "suspended"))
    ] = "suspended"


class AwardEnded(BenefitEvent):
    """The award ended, or the claim was withdrawn or cancelled."""

    fact: ClassVar[str] = "award-ended"
    state: Annotated[Literal["ended"], marked("none", description="Always `ended`", values=chosen(STATES, "ended"))] = (
        "ended"
    )


class Revoked(facts.Revoked):
    """An earlier benefits event should not have been sent."""

    family: ClassVar[str] = "benefits"
    classification: ClassVar[Classification] = "official-sensitive"


class Superseded(facts.Superseded):
    """An earlier benefits event was wrong; its correction follows."""

    family: ClassVar[str] = "benefits"
    classification: ClassVar[Classification] = "official-sensitive"


class Merged(facts.Merged):
    """Two claims are one."""

    family: ClassVar[str] = "benefits"
    classification: ClassVar[Classification] = "official-sensitive"


class Erased(facts.Erased):
    """The personal data of a claim is gone."""

    family: ClassVar[str] = "benefits"
    classification: ClassVar[Classification] = "official-sensitive"


EVENTS: tuple[type[Event], ...] = (
    ClaimReceived, ClaimAssessed, AwardStarted, AwardChanged, AwardSuspended, AwardEnded,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
