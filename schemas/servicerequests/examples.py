"""Synthetic examples of service requests, and what else a request may be about."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "700123",
    "organisation": "E09000099",
    "occurred_at": "2031-06-14T08:05:00Z",
}
_FULL: Data = {
    **_SHARED,
    "external_refs": [{"system": "fixmystreet", "value": "990017"}],
    "logged_at": "2031-06-14T08:06:00Z",
    "source_status": {"code": "RES", "label": "Responded"},
    "location": {"usrn": "47100001", "easting": 400001.0, "northing": 300001.0, "source_crs": "EPSG:27700"},
    "lgsl": 574,
    "service_code": "HP03",
    "service_name": "Pothole",
    "description": "Deep hole outside the invented shop",
    "media": ["https://media.example.org/1.jpg"],
    "public_update": "We will repair this within 28 days.",
    "defect": {"type": "CW-POT", "priority": "P2"},
}
_REPORTER: Data = {"name": "Ann Example", "email": "ann@example.org", "phone": "01632 960001"}

EXAMPLES: dict[str, Example] = {
    "Opened": Example(_SHARED, {**_FULL, "state": "for_triage", "reporter": _REPORTER}),
    "StatusChanged": Example({**_SHARED, "state": "investigating"}, {**_FULL, "state": "action_scheduled"}),
    "Updated": Example(_SHARED, _FULL),
    **facts(_SHARED, "700124"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "lgsl": None,
        "service_code": "SL01",
        "service_name": "Street light out",
        "description": "Lamp 9 of Invented Row stays dark",
        "defect": {"type": "SL-OUT", "priority": "P3"},
        "public_update": "An engineer will look at the light.",
    },
    {
        "lgsl": None,
        "service_code": "FT02",
        "service_name": "Fly-tipping",
        "description": "Three invented mattresses behind the garages",
        "defect": {"type": "ENV-FLY", "priority": "P2"},
        "public_update": "The crew will remove the rubbish.",
    },
    {
        "lgsl": None,
        "service_code": "TR04",
        "service_name": "Overhanging tree",
        "description": "A branch leans over the made-up footpath",
        "defect": {"type": "TR-OVH", "priority": "P4"},
        "public_update": "A tree officer will visit.",
    },
)
