"""Synthetic examples of waste subscriptions, and what else may be subscribed to."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "GGW-0990017",
    "organisation": "E09000099",
    "occurred_at": "2031-03-28T09:15:00Z",
}
_MINIMAL: Data = {**_SHARED, "contract_ref": "GGW-0990017"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "crm", "value": "C-550099"}],
    "logged_at": "2031-03-28T09:15:04Z",
    "source_status": {"code": "2106", "label": "Garden subscription"},
    "location": {"uprn": "100000000001", "usrn": "47100001"},
    "service": {"code": "garden", "label": "Garden waste, fortnightly"},
    "containers": [{"type": "bin", "size": "240 l", "quantity": 1}, {"type": "sack", "size": "75 l", "quantity": 20}],
    "starts_on": "2031-04-01",
    "ends_on": "2032-03-31",
    "payment_ref": "PAY-0099-17",
}

EXAMPLES: dict[str, Example] = {
    "Created": Example(_MINIMAL, {**_FULL, "state": "pending"}),
    "Renewed": Example(_MINIMAL, {**_FULL, "ends_on": "2033-03-31"}),
    "Amended": Example(
        _MINIMAL, {**_FULL, "containers": [{"type": "bin", "size": "240 l", "quantity": 2}], "state": "active"}
    ),
    "Ended": Example(_MINIMAL, {**_FULL, "reason": {"code": "MOVED", "label": "Moved away"}}),
    **facts(_SHARED, "GGW-0990018"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {"containers": [{"type": "bin", "size": "140 l", "quantity": 1}]},
    {
        "service": {"code": "nappies", "label": "Nappies, weekly"},
        "containers": [{"type": "sack", "size": "60 l", "quantity": 26}],
    },
)
