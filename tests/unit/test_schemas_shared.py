"""The shared field types, markings and facts, each against its standard."""

from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.planning.v1 import ApplicationSubmitted, Erased
from schemas.servicerequests.v1 import EXAMPLES, Opened, StatusChanged
from schemas.shared import (
    CaseRef,
    DateText,
    Event,
    Location,
    Money,
    Organisation,
    Postcode,
    Usrn,
    UtcTimestamp,
    categories,
)
from schemas.shared import marked as mark
from schemas.shared.types import Part

CANARY = "Zebedee-Canary-9931"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (UtcTimestamp, "2031-06-14T08:05:00Z"),
        (UtcTimestamp, "2031-06-14T08:05:00.9722472Z"),
        (UtcTimestamp, "2032-02-29T23:59:59Z"),
        (DateText, "2000-02-29"),
        (CaseRef, "31/04567/FUL"),
        (CaseRef, "A 1"),
        (Organisation, "E09000099"),
        (Organisation, "general-register-office"),
        (Usrn, "1"),
        (Postcode, "ZZ1A 1ZZ"),
    ],
)
def test_a_right_value_is_taken_as_it_is(kind: Any, text: str) -> None:
    """What the standard allows goes on the wire unchanged."""
    assert TypeAdapter(kind).validate_python(text) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (UtcTimestamp, "2031-06-14T08:05:00"),
        (UtcTimestamp, "2031-06-14T08:05:00+01:00"),
        (UtcTimestamp, "2031-06-14 08:05:00Z"),
        (UtcTimestamp, "2031-06-14T24:00:00Z"),
        (UtcTimestamp, "2031-06-14T08:05:60Z"),
        (UtcTimestamp, "2031-06-14T08:05:00Z\n"),
        (UtcTimestamp, "2031-02-29T08:05:00Z"),
        (UtcTimestamp, "\u0662\u0660\u0663\u0661-06-14T08:05:00Z"),
        (DateText, "2100-02-29"),
        (DateText, "2031-04-31"),
        (DateText, "2031-13-01"),
        (DateText, "2031-6-1"),
        (CaseRef, ""),
        (CaseRef, " 700123"),
        (CaseRef, "700123 "),
        (CaseRef, "700\n123"),
        (Organisation, "X09000099"),
        (Organisation, "E0900009"),
        (Usrn, "012"),
        (Usrn, "\u0661\u0662"),
        (Postcode, "zz1 1zz"),
    ],
)
def test_a_wrong_value_is_refused(kind: Any, text: str) -> None:
    """Days that do not exist, zones, padding and digits of other scripts are refused at the edge."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize("year", range(1896, 2105))
def test_29_february_exists_in_leap_years_only(year: int) -> None:
    """The pattern knows the Gregorian rule, centuries included."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    try:
        TypeAdapter(DateText).validate_python(f"{year}-02-29")
    except ValidationError:
        assert not leap
    else:
        assert leap


def test_a_point_has_two_coordinates() -> None:
    """Half a point is refused in both systems, and a whole one is taken."""
    for half in ({"easting": 400_001.0}, {"northing": 300_001.0}, {"latitude": 52.1}, {"longitude": -1.9}):
        with pytest.raises(ValidationError, match="come together"):
            Location.model_validate(half)
    assert Location(easting=400_001.0, northing=300_001.0).easting == 400_001.0


def test_money_is_in_a_currency_that_exists() -> None:
    """ISO 4217 codes are taken, other capitals are not, and pounds are the rule."""
    assert Money(amount_minor=-1).currency == "GBP"
    assert Money(amount_minor=1, currency="EUR").amount_minor == 1
    with pytest.raises(ValidationError):
        Money(amount_minor=1, currency="ABC")


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (StatusChanged, {"state": CANARY}),
        (StatusChanged, {"case_ref": f" {CANARY} "}),
        (StatusChanged, {"description": [CANARY]}),
        (StatusChanged, {"occurred_at": CANARY}),
        (StatusChanged, {"occurred_at": {"year": 2031, "month": 2, "day": 30, "source_text": CANARY}}),
        (StatusChanged, {"location": {"uprn": CANARY}}),
        (StatusChanged, {"location": {"easting": 5.0, "source_crs": CANARY}}),
        (Opened, {"reporter": CANARY}),
        (Opened, {"reporter": {"name": CANARY * 50}}),
        (ApplicationSubmitted, {"applicant": {"name": {"first": CANARY}}}),
    ],
)
def test_an_error_never_repeats_a_value(event: type[Event], content: dict[str, Any]) -> None:
    """Formatted as the product formats it, an error names field and rule, and not what stood there."""
    with pytest.raises(ValidationError) as refused:
        event.model_validate({**EXAMPLES[Opened][0], **content})
    assert CANARY not in str(refused.value.errors(include_input=False, include_url=False, include_context=False))
    assert CANARY not in str(refused.value.errors(include_input=False, include_url=False))


def test_an_erased_event_has_no_room_for_what_leads_to_the_person() -> None:
    """Only the reference, the time and the legal ground remain."""
    content = {
        "case_ref": "a",
        "organisation": "E09000099",
        "occurred_at": {"year": 2031},
        "legal_ground": "court_order",
    }
    assert Erased.model_validate(content).legal_ground == "court_order"
    assert categories(Erased) == ()
    for more in ({"location": {"usrn": "1"}}, {"external_refs": [{"system": "crm", "value": "1"}]}):
        with pytest.raises(ValidationError):
            Erased.model_validate({**content, **more})


class Deep(Part):
    """A part that holds sensitive data one level further down."""

    health: Annotated[str | None, mark("special", "tenant")] = None


class Holder(Part):
    """A part with fields of every kind."""

    deep: Annotated[Deep | None, mark("none")] = None
    plain: Annotated[str | None, mark("none")] = None


class Marked(Event):
    """An event that is marked in every way that there is."""

    family: ClassVar[str] = "invented"
    fact: ClassVar[str] = "marked"
    listed: Annotated[tuple[Deep, ...] | None, mark("none")] = None
    held: Annotated[Holder | None, mark("none")] = None
    understated: Annotated[Deep | None, mark("personal", "tenant")] = None
    offence: Annotated[str | None, mark("criminal", "officer")] = None


def test_a_category_is_never_too_low() -> None:
    """Markings in lists, two levels down, or under a lower one count; unmarked neighbours do not."""
    assert categories(Marked) == (
        (("location", "uprn"), "personal"),
        (("listed",), "special-category"),
        (("held", "deep"), "special-category"),
        (("understated",), "special-category"),
        (("offence",), "criminal-offence"),
    )


def test_events_are_frozen_and_closed() -> None:
    """An event cannot be changed once it is made, and an unknown field is refused on writing."""
    event = StatusChanged.model_validate({**EXAMPLES[Opened][0], "state": "open"})
    with pytest.raises(ValidationError, match="frozen"):
        event.case_ref = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra_forbidden"):
        StatusChanged.model_validate({**EXAMPLES[Opened][0], "state": "open", "unheard_of": 1})


def test_absent_fields_are_not_on_the_wire() -> None:
    """The encoder leaves out what is None, and nothing else has an empty form."""
    event: BaseModel = StatusChanged.model_validate({**EXAMPLES[Opened][0], "state": "open"})
    assert set(event.model_dump(exclude_none=True)) == {"case_ref", "organisation", "occurred_at", "state"}
