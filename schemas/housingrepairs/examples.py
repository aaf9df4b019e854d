"""Synthetic examples of housing repairs, and what else may be broken."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "10990017",
    "organisation": "E09000099",
    "occurred_at": "2031-05-27T13:21:01Z",
}
_MINIMAL: Data = {**_SHARED, "work_order_ref": "10990017"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "crm", "value": "RQ-990017"}],
    "logged_at": "2031-05-27T13:22:00Z",
    "source_status": {"code": "80", "label": "Open"},
    "location": {"uprn": "100000000001"},
    "priority": {"level": "urgent", "code": "U", "label": "Five working days"},
    "complete_by": "2031-06-03",
    "trade": {"code": "PL", "label": "Plumbing"},
    "sor_codes": [
        {"code": "20060020", "description": "Renew tap to sink", "quantity": 1.0},
        {"code": "00991001", "description": "Test after repair", "quantity": 0.5},
    ],
    "description": "The invented tap in the invented kitchen drips",
    "contractor": {"code": "H01", "label": "Example Repairs Ltd"},
    "property": {"uprn": "100000000001", "property_ref": "99999901"},
    "tenant": {"name": "Tess Example", "email": "tess@example.org", "phone": "01632 960003"},
    "vulnerability": [{"code": "20-10", "label": "Knock loudly and wait"}],
}
_APPOINTMENT: Data = {
    "starts_at": "2031-05-29T07:00:00Z",
    "ends_at": "2031-05-29T11:00:00Z",
    "booking_ref": "982001",
}

EXAMPLES: dict[str, Example] = {
    "WorkOrderRaised": Example(_MINIMAL, {**_FULL, "state": "open"}),
    "Scheduled": Example(
        _MINIMAL,
        {**_FULL, "source_status": {"code": "120", "label": "Scheduled"}, "appointment": _APPOINTMENT},
    ),
    "StatusChanged": Example(
        {**_MINIMAL, "state": "assigned"},
        {
            **_FULL,
            "source_status": {"code": "110", "label": "Pending material"},
            "state": "on_hold",
            "reason": {"code": "50", "label": "Schedule conflict"},
        },
    ),
    "VariationRequested": Example(
        _MINIMAL, {**_FULL, "source_status": {"code": "90", "label": "Variation pending approval"}}
    ),
    "NoAccess": Example(_MINIMAL, {**_FULL, "source_status": {"code": "1000", "label": "No access"}}),
    "Completed": Example(_MINIMAL, {**_FULL, "source_status": {"code": "50", "label": "Complete"}}),
    "Cancelled": Example(
        _MINIMAL,
        {
            **_FULL,
            "source_status": {"code": "30", "label": "Cancelled"},
            "reason": {"code": "60", "label": "No approval"},
        },
    ),
    **facts(_SHARED, "10990018"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "priority": {"level": "emergency", "code": "E", "label": "Twenty-four hours"},
        "trade": {"code": "EL", "label": "Electrical"},
        "sor_codes": [{"code": "00990020", "description": "Make safe and report", "quantity": 1.0}],
        "description": "Sparks from a made-up socket",
        "vulnerability": None,
    },
    {
        "priority": {"level": "routine", "code": "N", "label": "Twenty-one working days"},
        "trade": {"code": "CP", "label": "Carpentry"},
        "sor_codes": [{"code": "20090310", "description": "Ease and adjust door", "quantity": 2.0}],
        "description": "Two imaginary doors that stick",
        "vulnerability": None,
    },
    {
        "priority": {"level": "planned", "code": "P", "label": "Programme"},
        "trade": {"code": "RF", "label": "Roofing"},
        "sor_codes": [{"code": "20070550", "description": "Renew tiles", "quantity": 12.5}],
        "description": "Tiles of an invented roof, after an inspection",
        "vulnerability": None,
    },
)
