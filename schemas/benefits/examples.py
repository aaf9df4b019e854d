"""Synthetic examples of benefit claims, and what else may be claimed."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "5099001",
    "organisation": "E09000099",
    "occurred_at": {"year": 2031, "month": 6, "day": 2},
}
_MINIMAL: Data = {**_SHARED, "claim_ref": "5099001", "scheme": "council_tax_reduction"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "citizen-account", "value": "CA-880099"}],
    "logged_at": "2031-06-02T16:40:00Z",
    "source_status": {"code": "L", "label": "Live"},
    "location": {"uprn": "100000000001"},
    "starts_on": "2031-06-02",
    "claimant": {"name": "Clem Example", "address": "1 Invented Row, Nowhere", "person_ref": "P-990017"},
}
_AWARD: Data = {**_FULL, "weekly_amount": {"amount_minor": 2210, "currency": "GBP"}, "ends_on": "2032-03-31"}

EXAMPLES: dict[str, Example] = {
    "ClaimReceived": Example(_MINIMAL, {**_FULL, "source_status": {"code": "N", "label": "New"}}),
    "ClaimAssessed": Example(_MINIMAL, {**_AWARD, "state": "assessed"}),
    "AwardStarted": Example(_MINIMAL, _AWARD),
    "AwardChanged": Example(_MINIMAL, {**_AWARD, "reason": {"code": "INC", "label": "Income changed"}}),
    "AwardSuspended": Example(_MINIMAL, {**_AWARD, "reason": {"code": "EVID", "label": "Evidence is missing"}}),
    "AwardEnded": Example(_MINIMAL, {**_AWARD, "reason": {"code": "UC", "label": "Moved to universal credit"}}),
    **facts(_SHARED, "5099002"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {"scheme": "housing_benefit", "weekly_amount": {"amount_minor": 11875, "currency": "GBP"}},
    {"scheme": "discretionary", "weekly_amount": {"amount_minor": 3500, "currency": "GBP"}},
)
