"""Personal identifiers that must not stand where everybody sees them: keys, subjects, headers, case references.

What is found is named by its kind and never repeated. The rules: HMRC's NIM39110 for National Insurance numbers,
which have no check digit; the NHS Data Dictionary for NHS numbers, whose tenth digit is one (modulus 11).
"""

import re
from typing import Final, Literal

from pydantic_core import PydanticCustomError

Identifier = Literal["nino", "nhs-number", "e-mail", "date-of-birth"]

IDENTIFIERS: dict[Identifier, str] = {
    "nino": "a National Insurance number",
    "nhs-number": "an NHS number",
    "e-mail": "an e-mail address",
    "date-of-birth": "a date such as a date of birth",
}
"""What each kind is called in a message."""

NOT_ALLOCATED: Final = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
"""Prefixes that HMRC does not give out; ``ZZ`` marks invented data."""

_NINO = re.compile(
    r"(?<![A-Z0-9])([A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]) ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D](?![A-Z0-9])",
    re.IGNORECASE | re.ASCII,
)
_TEN_DIGITS = re.compile(r"(?<![A-Z0-9])([0-9]{3})([ -]?)([0-9]{3})\2([0-9]{4})(?![A-Z0-9])", re.IGNORECASE | re.ASCII)
_E_MAIL = re.compile(r"[A-Z0-9._%+'-]+@[A-Z0-9-]+(\.[A-Z0-9-]+)+", re.IGNORECASE | re.ASCII)
_DAY = "(0?[1-9]|[12][0-9]|3[01])"
_MONTH = "(0?[1-9]|1[0-2])"
_YEAR = "(19|20)[0-9]{2}"
_DATE = re.compile(
    rf"(?<![A-Z0-9])({_YEAR}(?P<one>[-/.]){_MONTH}(?P=one){_DAY}|{_DAY}(?P<two>[-/.]){_MONTH}(?P=two){_YEAR})(?![0-9])",
    re.IGNORECASE | re.ASCII,
)


def is_nino(text: str) -> bool:
    """Return whether a text is a National Insurance number: a prefix that is given out, six digits, A to D."""
    found = _NINO.fullmatch(text)
    return found is not None and found[1].upper() not in NOT_ALLOCATED


def is_nhs_number(text: str) -> bool:
    """Return whether a text is an NHS number: ten digits, also as 3-3-4, of which the last checks the others.

    >>> is_nhs_number("943 476 5870"), is_nhs_number("943 476 5871")
    (True, False)
    """
    found = _TEN_DIGITS.fullmatch(text)
    return found is not None and _digit_is_right(found[1] + found[3] + found[4])


def found_in(text: str) -> tuple[Identifier, ...]:
    """Return the kinds of personal identifiers that a text is or holds, each once."""
    kinds: list[Identifier] = []
    if any(match[1].upper() not in NOT_ALLOCATED for match in _NINO.finditer(text)):
        kinds.append("nino")
    if any(_is_issued(match[1] + match[3] + match[4]) for match in _TEN_DIGITS.finditer(text)):
        kinds.append("nhs-number")
    if "@" in text and _E_MAIL.search(text):
        kinds.append("e-mail")
    if _DATE.search(text):
        kinds.append("date-of-birth")
    return tuple(kinds)


def refused(reference: str) -> str:
    """Return a case reference as it is; raises an error of the kind, without the value, if it is somebody's number.

    A bare number of ten digits counts as an NHS number only within the ranges that are given out: one in eleven of
    those passes the check by chance, so that a council with such references needs a prefix of its own.
    """
    # a busy path: the lengths of both, with and without blanks, and how they begin and end
    if 9 <= len(reference) <= 13:
        if reference[-1].isdigit():
            found = _TEN_DIGITS.fullmatch(reference) if reference[0].isdigit() else None
            if found and _is_issued(found[1] + found[3] + found[4]):
                raise PydanticCustomError("nhs-number", "must not be an NHS number")
        elif reference[0].isalpha() and is_nino(reference):
            raise PydanticCustomError("nino", "must not be a National Insurance number")
    return reference


def _digit_is_right(ten_digits: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(ten_digits, range(10, 0, -1), strict=True))
    return total % 11 == 0


def _is_issued(ten_digits: str) -> bool:
    """Return whether the number is right and in a range in use: England and Wales from 400 and 600, tests from 999."""
    return (ten_digits[0] in "467" or ten_digits.startswith("999")) and _digit_is_right(ten_digits)
