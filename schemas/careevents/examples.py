"""Synthetic examples of care events; there is little to say, on purpose."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "CARE-0990017",
    "organisation": "E09000099",
    "occurred_at": "2031-06-14T08:05:00Z",
}

EXAMPLES: dict[str, Example] = {
    "CaseChanged": Example(
        _SHARED,
        {
            **_SHARED,
            "external_refs": [{"system": "integrated-care", "value": "IC-770099"}],
            "logged_at": "2031-06-14T08:06:00Z",
            "occurred_at_note": "observed",
        },
    ),
    **facts(_SHARED, "CARE-0990018"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {"occurred_at_note": None},
    {"external_refs": None},
)
