"""Synthetic examples of planning applications, and what else may be applied for."""

from typing import Any

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "31/04567/FUL",
    "organisation": "E09000099",
    "occurred_at": {"year": 2031, "month": 3, "day": 4},
}
_MINIMAL: Data = {**_SHARED, "reference": "31/04567/FUL"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "planning-portal", "value": "PT-10099999"}],
    "logged_at": "2031-03-04T09:30:00Z",
    "source_status": {"code": "valid-from"},
    "location": {"uprn": "100000000001", "latitude": 52.1, "longitude": -1.9, "source_crs": "EPSG:4326"},
    "lgsl": 484,
    "planning_authority": "local-authority:ZZZ",
    "application_type": ["full", "lbc"],
    "description": "Invented rear extension at an invented house",
    "geometry": "POINT (-1.9 52.1)",
    "applicant": {"name": "Ann Example", "address": "1 Invented Row"},
    "agent": {"name": "Example Plans Ltd"},
    "documents": [{"url": "https://planning.example.org/31-04567/plan.pdf", "name": "Plan"}],
}


def _pair(stage: str, status: str, needed: Data | None = None, **more: Any) -> Example:
    """Return a minimal and a full example of the same step; ``needed`` is in both."""
    both = {"stage": stage, "status": status, **(needed or {})}
    return Example({**_MINIMAL, **both}, {**_FULL, **both, **more})


EXAMPLES: dict[str, Example] = {
    "ApplicationSubmitted": _pair("submission", "undetermined"),
    "ApplicationValidated": _pair("validation", "undetermined"),
    "ApplicationInvalidated": _pair("validation", "undetermined"),
    "ConsultationStarted": _pair("consultation", "undetermined", ends_on="2031-03-25"),
    "ConsultationEnded": _pair("consultation", "undetermined"),
    "CommitteeScheduled": _pair("assessment", "undetermined", committee_on="2031-04-20"),
    "ApplicationDecided": _pair(
        "assessment",
        "determined",
        {"decision": {"code": "granted"}},
        decision={"code": "granted", "decided_on": "2031-03-04", "decision_maker_role": "committee"},
    ),
    "ApplicationWithdrawn": _pair("consultation", "withdrawn", reason={"code": "applicant", "label": "At request"}),
    "ApplicationReturned": _pair("validation", "returned"),
    "AppealLodged": _pair("appeal", "determined"),
    "AppealDecided": _pair(
        "appeal",
        "determined",
        {"decision": {"code": "allowed"}},
        decision={"code": "allowed", "decided_on": "2031-03-04", "decision_maker_role": "pins"},
    ),
    **facts(_SHARED, "31/04568/FUL"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {"application_type": ["outline-all"], "description": "Twelve made-up homes on an imaginary field"},
    {"application_type": ["s73"], "description": "Other windows than those of an invented permission"},
    {"application_type": ["advertising"], "description": "A sign above an invented shop", "lgsl": None},
)
