"""Synthetic examples of licences, and what else may be licensed."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "PREM/0099",
    "organisation": "E09000099",
    "occurred_at": {"year": 2031, "month": 4, "day": 9},
}
_MINIMAL: Data = {**_SHARED, "licence_ref": "PREM/0099", "licence_type": "premises"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "gov-uk-licensing", "value": "LIC-550099"}],
    "logged_at": "2031-04-09T11:00:00Z",
    "source_status": {"code": "GRANT", "label": "Granted"},
    "location": {"uprn": "100000000001", "easting": 400001.0, "northing": 300001.0, "source_crs": "EPSG:27700"},
    "premises_name": "The Invented Arms",
    "activities": [
        {"code": "alcohol-on", "label": "Sale of alcohol on the premises"},
        {"code": "live-music", "label": "Live music"},
    ],
    "starts_on": "2031-04-09",
    "ends_on": "2032-04-08",
    "holder": {
        "kind": "company",
        "name": "Example Taverns Ltd",
        "address": "3 Invented Row, Nowhere",
        "company_number": "00000099",
    },
}
_WHY: Data = {"reason": {"code": "FEE", "label": "Annual fee not paid"}}

EXAMPLES: dict[str, Example] = {
    "Applied": Example(_MINIMAL, {**_FULL, "source_status": {"code": "APP", "label": "Received"}}),
    "Issued": Example(_MINIMAL, _FULL),
    "Varied": Example(_MINIMAL, {**_FULL, "activities": [{"code": "films", "label": "Films"}]}),
    "Suspended": Example(_MINIMAL, {**_FULL, **_WHY}),
    "RevokedByAuthority": Example(_MINIMAL, {**_FULL, "reason": {"code": "REV", "label": "After a review"}}),
    "Expired": Example(_MINIMAL, {**_FULL, "source_status": {"code": "EXP", "label": "Lapsed"}}),
    "Surrendered": Example(_MINIMAL, {**_FULL, "source_status": {"code": "SUR", "label": "Surrendered"}}),
    **facts(_SHARED, "PREM/0100"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "licence_type": "taxi_driver",
        "premises_name": None,
        "activities": [{"code": "private-hire", "label": "Private hire"}],
        "location": None,
        "holder": {"kind": "person", "name": "Dee Example"},
    },
    {
        "licence_type": "hmo",
        "premises_name": None,
        "activities": None,
        "holder": {"kind": "person", "name": "Lee Example", "address": "4 Invented Row, Nowhere"},
    },
    {
        "licence_type": "club_premises",
        "premises_name": "Imaginary Bowls Club",
        "activities": [{"code": "alcohol-on", "label": "Supply of alcohol to members"}],
        "holder": {"kind": "company", "name": "Imaginary Bowls Club"},
    },
)
