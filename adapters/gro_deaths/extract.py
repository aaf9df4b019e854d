"""The daily death extract: registrations and updates, in no order, with a count that must agree."""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from adapters.gro_deaths import codes
from backbone import Adapter, Context, FeedOptions, Identity, OrderWithin, RecordError, UnmappedCodeError
from backbone.formats import RawRecord, XmlLayout
from backbone.times import iso_date, utc_text
from schemas.lifeevents.v1 import Address, DeathRegistered, DeathRegistrationUpdated, Name, UpdateReason
from schemas.shared import PartialDate, SourceStatus

EXTRACT = XmlLayout(
    "death-extract",
    record="DeathRegistrationGroup/DeathRegistration",
    many=("DeceasedAliasName", "DeceasedAliasNameType", "DeceasedMaidenName", "PersonGivenName", "Line"),
    count="DeathRegistrationGroup/RecordCount",
)
POSTCODE: Final = re.compile(r"[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}")
Empty = Literal[""]


class PersonName(TypedDict):
    """A name as GRO prints it; any part may be empty."""

    PersonNameTitle: NotRequired[str]
    PersonGivenName: NotRequired[list[str]]
    PersonFamilyName: NotRequired[str]
    PersonNameSuffix: NotRequired[str]


class DeathDate(TypedDict):
    """A full date of death with its verification level."""

    PersonDeathDate: NotRequired[str]
    VerificationLevel: NotRequired[str]


class BirthDate(TypedDict):
    """A full date of birth with its verification level."""

    PersonBirthDate: NotRequired[str]
    VerificationLevel: NotRequired[str]


class PersonAddress(TypedDict):
    """An address as GRO prints it."""

    Flat: NotRequired[str]
    Building: NotRequired[str]
    Line: NotRequired[list[str]]
    Postcode: NotRequired[str]


class Registration(TypedDict):
    """One registration or update. An element that is there and empty reads as empty text."""

    RegistrationID: str
    RegistrationType: NotRequired[str]
    RecordLockedDateTime: NotRequired[str]
    RecordUpdateDateTime: NotRequired[str]
    RecordUpdateReason: NotRequired[str]
    DeceasedName: PersonName | Empty
    DeceasedAliasName: NotRequired[list[PersonName | Empty]]
    DeceasedAliasNameType: NotRequired[list[str]]
    DeceasedMaidenName: NotRequired[list[str]]
    DeceasedGender: str
    DeceasedDeathDate: NotRequired[DeathDate | Empty]
    PartialMonthOfDeath: NotRequired[str]
    PartialYearOfDeath: NotRequired[str]
    QualifierText: NotRequired[str]
    FreeFormatDeathDate: NotRequired[str]
    DeceasedBirthDate: NotRequired[BirthDate | Empty]
    PartialMonthOfBirth: NotRequired[str]
    PartialYearOfBirth: NotRequired[str]
    FreeFormatBirthDate: NotRequired[str]
    DeceasedAddress: NotRequired[PersonAddress | Empty]


class ExtractOptions(FeedOptions):
    """Options of a death-extract feed.

    ``publish: reference`` sends reference, dates and reason; ``full`` adds names, sex, birth and address, which is
    right only where an agreement covers every reader of the topic.
    """

    publish: Literal["reference", "full"] = "reference"
    update_reasons: dict[str, UpdateReason] = Field(default=codes.UPDATE_REASONS)


def kind_of(raw: RawRecord) -> tuple[str, str]:
    """Return ``update`` or ``locked`` and its time as printed; with both present it is an update."""
    for kind, name in (("update", "RecordUpdateDateTime"), ("locked", "RecordLockedDateTime")):
        if raw.get(name):
            return kind, str(raw[name])
    message = "neither RecordLockedDateTime nor RecordUpdateDateTime is there"
    raise RecordError(message, code="record.missing-required", field="RecordLockedDateTime")


def identity_of(raw: RawRecord) -> str:
    """Return registration, kind and time: one registration may occur several times in a file."""
    kind, moment = kind_of(raw)
    return f"{raw['RegistrationID']}|{kind}|{moment}"


def case_of(raw: RawRecord) -> str:
    """Return the registration."""
    return str(raw["RegistrationID"]).lstrip("0")


def translate(record: Registration, context: Context[ExtractOptions]) -> DeathRegistered | DeathRegistrationUpdated:
    """Map one registration or update; a reason outside of the list is a reject with the reason in it."""
    kind, printed = kind_of(record)
    moment = utc_text(printed, "RecordUpdateDateTime" if kind == "update" else "RecordLockedDateTime")
    reference = record["RegistrationID"].strip().lstrip("0")
    if not reference.isdigit():
        raise RecordError("RegistrationID is not a number", code="record.bad-reference", field="RegistrationID")
    shared: dict[str, Any] = {
        "case_ref": reference,
        "registration_ref": reference,
        "organisation": context.organisation,
        "occurred_at": moment,
        "registration_type": record.get("RegistrationType") or None,
        **_death(record),
    }
    if context.options.publish == "full":
        shared |= _person(record)
    if kind == "locked":
        return DeathRegistered(**shared, registered_on=moment[:10])
    code = record.get("RecordUpdateReason", "")
    reasons = context.options.update_reasons
    reason = reasons.get(code, reasons.get("*"))
    if reason is None:
        raise UnmappedCodeError("RecordUpdateReason", code, table="update_reasons")
    return DeathRegistrationUpdated(**shared, reason=reason, source_status=SourceStatus(code=code or "-"))


def _death(record: Registration) -> dict[str, Any]:
    """Return the date of death as exactly as it is known; one must be known in some way."""
    full = record.get("DeceasedDeathDate") or {}
    date = _date(
        full.get("PersonDeathDate", ""), record.get("PartialYearOfDeath", ""), record.get("PartialMonthOfDeath", ""),
        record.get("FreeFormatDeathDate", ""), "DeceasedDeathDate",
    )  # fmt: skip
    if date is None and not record.get("FreeFormatDeathDate"):
        message = "there is no date of death of any kind"
        raise RecordError(message, code="record.missing-required", field="DeceasedDeathDate")
    qualifier = record.get("QualifierText") or (record.get("FreeFormatDeathDate") if date is None else None)
    return {
        "date_of_death": date,
        "date_of_death_verification": full.get("VerificationLevel") or None,
        "qualifier": qualifier or None,
    }


def _date(full: str, year: str, month: str, free: str, name: str) -> PartialDate | None:
    text = free or None
    if full:
        iso = iso_date(full, name)
        return PartialDate(year=int(iso[:4]), month=int(iso[5:7]), day=int(iso[8:]), source_text=text)
    if not year:
        return None
    if not year.isdigit() or (month and not month.isdigit()):
        raise RecordError(f"the partial {name} is not a number", code="record.bad-date", field=name)
    return PartialDate(year=int(year), month=int(month) if month else None, source_text=text)


def _person(record: Registration) -> dict[str, Any]:
    sex = codes.SEXES.get(record["DeceasedGender"])
    if sex is None:
        raise UnmappedCodeError("DeceasedGender", record["DeceasedGender"])
    birth = record.get("DeceasedBirthDate") or {}
    return {
        "names": _names(record),
        "sex": sex,
        "date_of_birth": _date(
            birth.get("PersonBirthDate", ""), record.get("PartialYearOfBirth", ""),
            record.get("PartialMonthOfBirth", ""), record.get("FreeFormatBirthDate", ""), "DeceasedBirthDate",
        ),
        "date_of_birth_verification": birth.get("VerificationLevel") or None,
        "address": _address(record.get("DeceasedAddress") or {}),
    }  # fmt: skip


def _names(record: Registration) -> tuple[Name, ...]:
    """Return the registered name, the aliases with the type of the same position, and a name for each maiden name."""
    registered = record["DeceasedName"] or PersonName()
    types = record.get("DeceasedAliasNameType", [])
    names = [_name(registered, "registered")]
    for position, alias in enumerate(record.get("DeceasedAliasName", [])):
        kind = types[position] if position < len(types) else ""
        names.append(_name(alias or PersonName(), "alias", alias_type=kind or None))
    names += [
        Name(kind="before_marriage", given_names=_given(registered), family_name=maiden)
        for maiden in record.get("DeceasedMaidenName", [])
        if maiden
    ]
    return tuple(names)


def _name(name: PersonName, kind: Literal["registered", "alias"], alias_type: str | None = None) -> Name:
    return Name(
        kind=kind,
        title=name.get("PersonNameTitle") or None,
        given_names=_given(name),
        family_name=name.get("PersonFamilyName") or None,
        suffix=name.get("PersonNameSuffix") or None,
        alias_type=alias_type,
    )


def _given(name: PersonName) -> tuple[str, ...] | None:
    return tuple(given for given in name.get("PersonGivenName", []) if given) or None


def _address(address: PersonAddress) -> Address | None:
    parts: Sequence[str] = (address.get("Flat", ""), address.get("Building", ""), *address.get("Line", []))
    lines = tuple(part for part in parts if part) or None
    postcode = " ".join(address.get("Postcode", "").upper().split())
    if not POSTCODE.fullmatch(postcode):
        postcode = ""
    return Address(lines=lines, postcode=postcode or None) if lines or postcode else None


def _moment(raw: RawRecord) -> str:
    return kind_of(raw)[1][:19]


adapter = Adapter(
    name="gro-deaths",
    version="1.0.0",
    layouts=(EXTRACT,),
    record=Registration,
    identity=Identity(record=identity_of, case=case_of),
    emits=(DeathRegistered, DeathRegistrationUpdated),
    translate=translate,
    options=ExtractOptions,
    order_within=OrderWithin(key=case_of, time=_moment),
)
