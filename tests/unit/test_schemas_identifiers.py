"""Personal identifiers where they must not be: found, refused, never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError
from stdnum.gb import nhs

from schemas.addresses.v1 import Updated
from schemas.counciltax.v1 import AccountOpened
from schemas.servicerequests.v1 import Merged, StatusChanged
from schemas.shared.identifiers import IDENTIFIERS, found_in, is_nhs_number, is_nino, refused

SHARED = {"organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z"}


@given(some.integers(0, 10**10 - 1))
def test_an_nhs_number_is_what_an_independent_library_says(number: int) -> None:
    """The check digit agrees with python-stdnum on every ten digits, right and wrong."""
    text = f"{number:010d}"
    assert is_nhs_number(text) == nhs.is_valid(text)


@given(some.integers(0, 10**9 - 1))
def test_of_ten_check_digits_at_most_one_is_right(nine: int) -> None:
    """Every wrong check digit is told from the right one, which is python-stdnum's."""
    tried = [f"{nine:09d}{digit}" for digit in range(10)]
    right = [text for text in tried if is_nhs_number(text)]
    assert right == [text for text in tried if nhs.is_valid(text)]
    assert len(right) <= 1


@pytest.mark.parametrize("text", ["943 476 5919", "943-476-5919", "9434765919"])
def test_an_nhs_number_may_be_written_in_groups(text: str) -> None:
    """Blanks and hyphens between the groups change nothing."""
    assert is_nhs_number(text)
    assert nhs.is_valid(text)


@pytest.mark.parametrize("text", ["AB123456C", "ab123456c", "AB 12 34 56 C", "JK000001A"])
def test_a_nino_is_found_however_it_is_written(text: str) -> None:
    """Capitals and blanks change nothing."""
    assert is_nino(text)
    assert found_in(f"ref/{text}/1") == ("nino",)


@pytest.mark.parametrize(
    "text", ["QQ123456C", "GB123456A", "AO123456A", "DA123456A", "ZZ123456A", "AB123456E", "AB12345C", "AB1234567C"]
)
def test_what_is_never_a_nino_is_none(text: str) -> None:
    """Letters and prefixes that are not given out, other suffixes and other lengths are something else."""
    assert not is_nino(text)
    assert found_in(text) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("401 023 2137", "nhs-number"),
        ("case of ann@example.org", "e-mail"),
        ("1957-03-04", "date-of-birth"),
        ("born 04/03/1957", "date-of-birth"),
        ("4.3.1957", "date-of-birth"),
    ],
)
def test_other_identifiers_are_found_within_a_text(text: str, kind: str) -> None:
    """Numbers, addresses and dates are named by their kind."""
    assert found_in(text) == (kind,)


@pytest.mark.parametrize(
    "text",
    [
        "700123",
        "31/04567/FUL",
        "22240001,8280",
        "TSR1600000000001-01",
        "SR00061234",
        "8a5e1fd2-9c6b-4f0e-8b7a-0123456789ab",
        "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        "00000001-000000123-00",
        "urn:backbone:E09000099:symology",
        "4010232138",
        "1234567881",
        "12/2031/0099",
    ],
)
def test_ordinary_references_are_left_alone(text: str) -> None:
    """Case references, trace headers and numbers out of the ranges that are given out are nobody's identifier."""
    assert found_in(text) == ()
    assert refused(text) == text


@pytest.mark.parametrize("text", ["AB123456C", "ab 12 34 56 c", "401 023 2137", "4010232137"])
def test_a_case_reference_that_is_somebodys_number_is_refused_without_repeating_it(text: str) -> None:
    """Events and the case that a merged one goes into take no NINO and no NHS number; the error says which rule."""
    for event, field in ((StatusChanged, "case_ref"), (Merged, "into_case_ref")):
        content = {**SHARED, "case_ref": "1", "into_case_ref": "2", field: text}
        if event is StatusChanged:
            content |= {"state": "open"}
            del content["into_case_ref"]
        with pytest.raises(ValidationError) as error:
            event.model_validate(content)
        (fault,) = error.value.errors(include_input=False, include_url=False, include_context=False)
        assert fault["loc"] == (field,)
        assert fault["type"] in IDENTIFIERS
        assert "must not be a" in fault["msg"]
        assert text not in str(fault)


def test_a_uprn_may_look_like_an_nhs_number() -> None:
    """Cases of the address gazetteer are properties: ten digits that pass the check by chance stay."""
    content = {**SHARED, "case_ref": "4010232137", "uprn": "4010232137", "state": "approved"}
    assert Updated.model_validate(content).uprn == "4010232137"


def test_a_personal_case_reference_may_be_any_number() -> None:
    """An account's number is kept out of keys by an HMAC, not by its looks."""
    content = {**SHARED, "case_ref": "4010232137", "account_ref": "4010232137"}
    assert AccountOpened.model_validate(content).account_ref == "4010232137"
