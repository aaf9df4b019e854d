"""What the examples of all families have in common. Everything in an example is invented and looks invented."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.shared.event import Event

Data = dict[str, Any]


class Example(NamedTuple):
    """An event's data twice: with nothing but what is required, and with everything that there may be."""

    minimal: Data
    full: Data


Examples = Mapping[str, Example]
"""The examples of a family, by the name of the event's class."""


def by_class(events: Iterable[type[Event]], examples: Examples) -> dict[type[Event], Example]:
    """Return the examples by class, as they are on the wire: with the fields that have a value of their own."""
    return {event: Example(*(_as_sent(event, data) for data in examples[event.__name__])) for event in events}


def _as_sent(event: type[Event], data: Data) -> Data:
    own = {name: field.default for name, field in event.model_fields.items() if not field.is_required()}
    return {**data, **{name: value for name, value in own.items() if value is not None and name not in data}}


def facts(shared: Data, into_case_ref: str) -> dict[str, Example]:
    """Return the examples of the four facts that every family has; ``shared`` is what its minimal events share."""
    logged = {"logged_at": "2031-06-14T08:06:00Z"}
    return {
        "Revoked": Example(
            {**shared, "reason": "sent_in_error"},
            {**shared, **logged, "revokes": "0123456789abcdef0123456789abcdef", "reason": "duplicate"},
        ),
        "Superseded": Example(
            {**shared, "reason": "typographical"},
            {
                **shared,
                **logged,
                "supersedes": "0123456789abcdef0123456789abcdef",
                "superseded_by": "fedcba9876543210fedcba9876543210",
                "reason": "formal_correction",
            },
        ),
        "Merged": Example(
            {**shared, "into_case_ref": into_case_ref},
            {**shared, **logged, "into_case_ref": into_case_ref, "reason": "duplicate"},
        ),
        "Erased": Example(
            {**shared, "legal_ground": "erasure_request"},
            {**shared, **logged, "legal_ground": "retention_expired"},
        ),
    }
