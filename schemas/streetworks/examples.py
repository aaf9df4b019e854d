"""Synthetic examples of street works, and of other works on other streets."""

from typing import Any

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "TSR1600000000099-01",
    "organisation": "E09000099",
    "occurred_at": "2031-06-09T07:30:00Z",
}
_MINIMAL: Data = {**_SHARED, "permit_ref": "TSR1600000000099-01"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "street-manager", "value": "529900"}],
    "logged_at": "2031-06-09T07:30:02Z",
    "location": {"usrn": "47100001", "easting": 400001.0, "northing": 300001.0, "source_crs": "EPSG:27700"},
    "works_ref": "TSR1600000000099",
    "promoter": {"swa_code": "9999", "name": "Example Water"},
    "highway_authority": {"swa_code": "9998", "name": "Example Borough"},
    "usrn": "47100001",
    "street_name": "INVENTED ROW",
    "area_name": "NOWHERE",
    "town": "EXAMPLETON",
    "category": "standard",
    "activity_type": "utility_repair_and_maintenance_works",
    "traffic_management": "two_way_signals",
    "starts_on": "2031-06-16",
    "ends_on": "2031-06-20",
    "geometry": "LINESTRING (400001 300001, 400021 300006)",
    "location_types": ["Carriageway", "Footway"],
    "permit_conditions": ["NCT01a", "NCT11a"],
    "road_category": "3",
    "traffic_sensitive": True,
    "traffic_order_required": False,
    "deemed": False,
}


def _pair(permit_status: str, work_status: str, needed: Data | None = None, **more: Any) -> Example:
    """Return a minimal and a full example of the same step; ``needed`` is in both."""
    both = needed or {}
    return Example(
        {**_MINIMAL, **both}, {**_FULL, **both, "permit_status": permit_status, "work_status": work_status, **more}
    )


_INSPECTION: Data = {
    "inspection": {
        "type": "live_site",
        "outcome": "failed_low",
        "category": {"code": "a", "label": "Category A"},
        "reference": "INSP-0099",
    }
}
_PENALTY: Data = {
    "fixed_penalty": {
        "reference": "FPN-0099",
        "status": "issued",
        "offence_code": "offence_code_08",
        "amount": {"amount_minor": 50000, "currency": "GBP"},
    }
}

EXAMPLES: dict[str, Example] = {
    "PermitSubmitted": _pair("submitted", "planned"),
    "PermitGranted": _pair("granted", "planned", alteration=False),
    "PermitRefused": _pair("refused", "planned", reason={"code": "RC20", "label": "Clashes with other works"}),
    "PermitModificationRequested": _pair("permit_modification_request", "planned"),
    "PermitRevoked": _pair("revoked", "planned", reason={"code": "RC99", "label": "The street is needed"}),
    "PermitCancelled": _pair("cancelled", "cancelled"),
    "WorkStarted": _pair("granted", "in_progress", starts_at="2031-06-09T07:30:00Z"),
    "WorkStartReverted": _pair("granted", "planned"),
    "WorkStopped": _pair("closed", "completed", ends_at="2031-06-09T07:30:00Z"),
    "WorkStopReverted": _pair("granted", "in_progress"),
    "InspectionRecorded": _pair("granted", "in_progress", _INSPECTION),
    "FixedPenaltyIssued": _pair("granted", "in_progress", _PENALTY),
    **facts(_SHARED, "TSR1600000000098-01"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "promoter": {"swa_code": "9997", "name": "Example Gas"},
        "category": "immediate_emergency",
        "traffic_management": "road_closure",
        "street_name": "IMAGINARY CLOSE",
        "traffic_order_required": True,
    },
    {
        "promoter": {"swa_code": "9996", "name": "Example Fibre"},
        "category": "minor",
        "traffic_management": "no_carriageway_incursion",
        "street_name": "MADEUP GARDENS",
        "location_types": ["Footway"],
        "traffic_sensitive": False,
    },
)
