"""Synthetic examples of planning enforcement, and what else may be reported."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "31/00099/ENF",
    "organisation": "E09000099",
    "occurred_at": "2031-05-12T13:20:00Z",
}
_FULL: Data = {
    **_SHARED,
    "external_refs": [{"system": "planx", "value": "81bcaa0f-0000-4000-8000-000000000099"}],
    "logged_at": "2031-05-12T13:21:00Z",
    "source_status": {"code": "4_INV", "label": "Investigating"},
    "location": {"uprn": "100000000001", "latitude": 52.1, "longitude": -1.9, "source_crs": "EPSG:4326"},
    "breach": {"code": "breach.extension", "label": "An extension without permission"},
    "site": {"address": "1 Invented Row, Nowhere", "geometry": "POINT (-1.9 52.1)"},
    "description": "A made-up extension that is taller than its invented plans",
    "complainant": {
        "name": "Rae Example",
        "address": "2 Invented Row, Nowhere",
        "email": "rae@example.org",
        "phone": "01632 960002",
    },
}
_NOTICE: Data = {
    "type": "enforcement_notice",
    "reference": "EN-2031-09",
    "issued_on": "2031-05-12",
    "effective_on": "2031-06-12",
    "comply_by": "2031-12-12",
}

EXAMPLES: dict[str, Example] = {
    "CaseOpened": Example(_SHARED, {**_FULL, "state": "not_started"}),
    "StatusChanged": Example({**_SHARED, "state": "under_investigation"}, {**_FULL, "state": "appealed"}),
    "NoticeServed": Example({**_SHARED, "notice": {"type": "stop_notice"}}, {**_FULL, "notice": _NOTICE}),
    "CaseClosed": Example(_SHARED, {**_FULL, "outcome": {"code": "COMP", "label": "Complied with"}}),
    **facts(_SHARED, "31/00098/ENF"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "breach": {"code": "breach.use", "label": "A change of use"},
        "description": "An imaginary garage that repairs imaginary cars",
    },
    {
        "breach": {"code": "breach.condition", "label": "A condition that is not kept"},
        "description": "Deliveries to an invented shop before seven o'clock",
    },
)
