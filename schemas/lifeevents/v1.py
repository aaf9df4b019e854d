"""Life events, version 1. After the GRO death extract and the GDS life-events platform.

The dead are outside the UK GDPR, but a registration is confidential, and names and addresses identify living
relatives: they are marked as personal data of the deceased, and go out only under an agreement.
"""

from typing import Annotated, ClassVar, Literal

from schemas.lifeevents import examples
from schemas.shared import Classification, DateText, Event, Example, PartialDate, by_class, facts, marked
from schemas.shared.types import Code, Part, Postcode, ShortText

State = Literal["registered"]
STATES: dict[str, str] = {"registered": "The death has been registered"}

UpdateReason = Literal["formal_correction", "quality_assurance", "typographical", "cancelled", "cancellation_removed"]
UPDATE_REASONS: dict[str, str] = {
    "formal_correction": "The entry was formally corrected",
    "quality_assurance": "Found wrong when it was checked",
    "typographical": "A typing error was mended",
    "cancelled": "The registration was cancelled",
    "cancellation_removed": "The registration stands again",
}
"""Why a registration changed, after GRO's reasons 1 to 5."""

Sex = Literal["male", "female", "indeterminate"]
SEXES: dict[str, str] = {
    "male": "Registered as male",
    "female": "Registered as female",
    "indeterminate": "Registered as neither",
}

NameKind = Literal["registered", "alias", "before_marriage"]
NAME_KINDS: dict[str, str] = {
    "registered": "The name in the entry itself",
    "alias": "A name also used; the register may say how it calls it",
    "before_marriage": "The given names with a family name from before a marriage",
}

Verification = Literal["00", "01", "02", "03"]
VERIFICATIONS: dict[str, str] = {
    level: f"GovTalk verification level {int(level)}" for level in ("00", "01", "02", "03")
}


class Name(Part):
    """One name that the deceased had."""

    kind: Annotated[NameKind, marked("none", description="Which of the names it is", values=NAME_KINDS)]
    title: Annotated[ShortText | None, marked("personal", "deceased", "Title")] = None
    given_names: Annotated[tuple[ShortText, ...] | None, marked("personal", "deceased", "Given names, in order")] = None
    family_name: Annotated[ShortText | None, marked("personal", "deceased", "Family name")] = None
    suffix: Annotated[ShortText | None, marked("personal", "deceased", "Suffix")] = None
    alias_type: Annotated[ShortText | None, marked("none", description="How the register calls the alias")] = None


class Address(Part):
    """Usual address, as registered."""

    lines: Annotated[tuple[ShortText, ...] | None, marked("personal", "deceased", "Address lines, in order")] = None
    postcode: Annotated[Postcode | None, marked("personal", "deceased", "Postcode")] = None


class DeathEvent(Event):
    """Fields that both events share. ``case_ref`` equals ``registration_ref``."""

    family: ClassVar[str] = "lifeevents"
    classification: ClassVar[Classification] = "official-sensitive"

    registration_ref: Annotated[Code, marked("none", description="GRO registration id, unpadded")]
    registration_type: Annotated[Code | None, marked("none", description="GRO registration type")] = None
    state: Annotated[State, marked("none", description="The state of the registration", values=STATES)] = "registered"
    registered_on: Annotated[DateText | None, marked("none", description="Date of registration")] = None
    date_of_death: Annotated[PartialDate | None, marked("personal", "deceased", "As exact as it is known")] = None
    date_of_death_verification: Annotated[
        Verification | None, marked("none", description="How well the date was verified", values=VERIFICATIONS)
    ] = None
    qualifier: Annotated[ShortText | None, marked("personal", "deceased", "Such as `On or about`")] = None
    names: Annotated[tuple[Name, ...] | None, marked("personal", "deceased", "Registered name first")] = None
    sex: Annotated[Sex | None, marked("personal", "deceased", "Sex, as registered", values=SEXES)] = None
    date_of_birth: Annotated[PartialDate | None, marked("personal", "deceased", "As exact as it is known")] = None
    date_of_birth_verification: Annotated[
        Verification | None, marked("none", description="How well the date was verified", values=VERIFICATIONS)
    ] = None
    address: Annotated[Address | None, marked("personal", "deceased", "Usual address")] = None


class DeathRegistered(DeathEvent):
    """A death was registered. Sent once for a registration."""

    fact: ClassVar[str] = "death-registered"


class DeathRegistrationUpdated(DeathEvent):
    """A registration changed; the event holds it as it is now. It may come without the registration before it."""

    fact: ClassVar[str] = "death-registration-updated"
    reason: Annotated[
        UpdateReason, marked("none", description="Why it changed; `cancelled` deletes nothing", values=UPDATE_REASONS)
    ]


class Revoked(facts.Revoked):
    """An earlier life event should not have been sent."""

    family: ClassVar[str] = "lifeevents"


class Superseded(facts.Superseded):
    """An earlier life event was wrong; its correction follows."""

    family: ClassVar[str] = "lifeevents"


class Merged(facts.Merged):
    """Two registrations are one."""

    family: ClassVar[str] = "lifeevents"


class Erased(facts.Erased):
    """The personal data of a registration is gone."""

    family: ClassVar[str] = "lifeevents"


EVENTS: tuple[type[Event], ...] = (DeathRegistered, DeathRegistrationUpdated, Revoked, Superseded, Merged, Erased)

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)
