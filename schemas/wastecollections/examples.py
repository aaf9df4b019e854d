"""Synthetic examples of waste collections, and what else may be collected."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "22240001,8280",
    "organisation": "E09000099",
    "occurred_at": "2031-06-16T10:42:00Z",
}
_MINIMAL: Data = {**_SHARED, "service": "residual"}
_FULL: Data = {
    **_MINIMAL,
    "task_ref": "22240001,8280",
    "external_refs": [{"system": "fixmystreet", "value": "FMS-990017"}],
    "logged_at": "2031-06-16T10:43:10Z",
    "source_status": {"code": "Closed", "label": "Completed"},
    "location": {"uprn": "100000000001", "usrn": "47100001"},
    "lgsl": 524,
    "round": "Monday 7",
    "source_service": {"code": "966", "label": "Domestic refuse collection"},
    "container": {"type": "27", "label": "240 l wheeled bin", "quantity": 1},
    "due_on": "2031-06-16",
    "assisted": False,
    "uprn": "100000000001",
}

EXAMPLES: dict[str, Example] = {
    "Scheduled": Example(
        {**_MINIMAL, "due_on": "2031-06-16"},
        {**_FULL, "source_status": {"code": "Pending", "label": "Allocated"}},
    ),
    "Completed": Example(_MINIMAL, {**_FULL, "resolution": {"code": "237", "label": "Collected"}}),
    "NotCompleted": Example(
        _MINIMAL,
        {
            **_FULL,
            "source_status": {"code": "Closed", "label": "Not Completed"},
            "resolution": {"code": "66", "label": "Not presented"},
        },
    ),
    "Rescheduled": Example(
        {**_MINIMAL, "due_on": "2031-06-17"},
        {**_FULL, "due_on": "2031-06-17", "original_due_on": "2031-06-16"},
    ),
    "ReportedMissed": Example(_MINIMAL, {**_FULL, "source_status": {"code": "New", "label": "New"}}),
    **facts(_SHARED, "22240002,8280"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {
        "service": "recycling",
        "source_service": {"code": "967", "label": "Domestic mixed recycling"},
        "container": {"type": "12", "label": "Green box", "quantity": 2},
        "round": "Tuesday 3",
    },
    {
        "service": "food",
        "source_service": {"code": "980", "label": "Food waste collection"},
        "container": {"type": "4", "label": "23 l caddy", "quantity": 1},
        "round": "Food 11",
    },
    {
        "service": "garden",
        "source_service": {"code": "979", "label": "Garden waste collection"},
        "container": {"type": "26", "label": "Brown bin", "quantity": 1},
        "round": "Green 2",
    },
)
