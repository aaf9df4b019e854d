"""Synthetic examples of addresses; the places do not exist."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "100000000001",
    "organisation": "E09000099",
    "occurred_at": {"year": 2031, "month": 7, "day": 1},
}
_MINIMAL: Data = {**_SHARED, "uprn": "100000000001"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "council-tax", "value": "000990000017"}],
    "logged_at": "2031-07-08T16:00:30Z",
    "source_status": {"code": "1", "label": "Approved"},
    "location": {
        "easting": 400001.0,
        "northing": 300001.0,
        "latitude": 52.1,
        "longitude": -1.9,
        "source_crs": "EPSG:27700",
    },
    "parent_uprn": "100000000002",
    "usrn": "80000001",
    "name": {
        "key": "9998L000000001",
        "language": "ENG",
        "logical_status": "1",
        "sao": {"text": "FLAT 1"},
        "pao": {"start_number": 12, "start_suffix": "A", "end_number": 14, "end_suffix": "B"},
        "usrn": "80000001",
        "street": "INVENTED ROW",
        "locality": "LITTLE NOWHERE",
        "town": "NOWHERE",
        "administrative_area": "EXAMPLESHIRE",
    },
    "other_names": [
        {"key": "9998L000000002", "language": "CYM", "logical_status": "3", "pao": {"text": "TŶ ENGHRAIFFT"}}
    ],
    "organisation_name": "EXAMPLE BAKERY",
    "postcode": "ZZ1 1ZZ",
    "classification_code": "RD06",
    "logical_status": "1",
    "blpu_state": "2",
    "point_code": "1",
    "postal": "D",
    "custodian_code": "9998",
    "starts_on": "2031-01-05",
}

EXAMPLES: dict[str, Example] = {
    "Created": Example({**_MINIMAL, "state": "provisional"}, {**_FULL, "state": "approved"}),
    "Updated": Example({**_MINIMAL, "state": "approved"}, {**_FULL, "state": "approved"}),
    "Retired": Example(
        _MINIMAL, {**_FULL, "logical_status": "8", "blpu_state": "4", "ends_on": "2031-07-01", "state": "historic"}
    ),
    **facts(_SHARED, "100000000003"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "classification_code": "CR08",
        "name": {"language": "ENG", "logical_status": "1", "pao": {"start_number": 7}, "street": "IMAGINARY CLOSE"},
        "organisation_name": "MADEUP BOOKS LTD",
        "postcode": "ZZ2 2ZZ",
        "parent_uprn": None,
        "other_names": None,
    },
    {
        "classification_code": "LP01",
        "name": {"language": "ENG", "logical_status": "1", "pao": {"text": "INVENTED PARK"}, "town": "NOWHERE"},
        "organisation_name": None,
        "postcode": None,
        "postal": "N",
        "parent_uprn": None,
    },
)
