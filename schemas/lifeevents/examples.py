"""Synthetic examples of life events; nobody in them has ever lived."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "500099001",
    "organisation": "general-register-office",
    "occurred_at": "2031-03-01T12:09:33Z",
}
_MINIMAL: Data = {**_SHARED, "registration_ref": "500099001"}
_FULL: Data = {
    **_MINIMAL,
    "logged_at": "2031-03-01T12:10:00Z",
    "source_status": {"code": "locked"},
    "registration_type": "1",
    "registered_on": "2031-03-01",
    "date_of_death": {"year": 2031, "month": 2, "day": 27},
    "date_of_death_verification": "01",
    "qualifier": "On or about",
    "names": [
        {"kind": "registered", "title": "Ms", "given_names": ["Invented", "Zoë"], "family_name": "Exämple"},
        {"kind": "alias", "given_names": ["Zed"], "family_name": "Sample", "alias_type": "otherwise"},
        {"kind": "before_marriage", "given_names": ["Invented"], "family_name": "Placename"},
    ],
    "sex": "female",
    "date_of_birth": {"year": 1950, "month": 2},
    "date_of_birth_verification": "02",
    "address": {"lines": ["1 Invented Row", "Nowhere"], "postcode": "ZZ1 1ZZ"},
}

EXAMPLES: dict[str, Example] = {
    "DeathRegistered": Example(_MINIMAL, _FULL),
    "DeathRegistrationUpdated": Example(
        {**_MINIMAL, "reason": "typographical"},
        {**_FULL, "source_status": {"code": "4"}, "reason": "cancelled"},
    ),
    **facts(_SHARED, "500099002"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "names": [{"kind": "registered", "given_names": ["Fictus"], "family_name": "Placeholder"}],
        "sex": "male",
        "date_of_birth": {"year": 1942, "month": 11, "day": 5},
        "address": {"lines": ["2 Imaginary Close", "Nowhere"], "postcode": "ZZ2 2ZZ"},
    },
    {
        "names": [{"kind": "registered", "title": "Dr", "given_names": ["Nemo"], "family_name": "Sample"}],
        "sex": "indeterminate",
        "date_of_birth": {"year": 1961},
        "qualifier": "Found on",
        "address": {"lines": ["3 Madeup Gardens", "Nowhere"], "postcode": "ZZ3 3ZZ"},
    },
)
