"""The thirteen families hold what the vocabulary names, and their examples are what they say."""

from typing import Any

import pytest

from schemas.families import FAMILIES
from schemas.shared import Event, categories
from schemas.shared.facts import Erased, Merged, Revoked, Superseded

SHARED_FACTS = ("revoked", "superseded", "merged", "erased")
VOCABULARY = {
    "servicerequests": ("opened", "status-changed", "updated"),
    "wastecollections": ("scheduled", "completed", "not-completed", "rescheduled", "reported-missed"),
    "wastesubscriptions": ("created", "renewed", "amended", "ended"),
    "planning": (
        "application-submitted", "application-validated", "application-invalidated", "consultation-started",
        "consultation-ended", "committee-scheduled", "application-decided", "application-withdrawn",
        "application-returned", "appeal-lodged", "appeal-decided",
    ),
    "planningenforcement": ("case-opened", "status-changed", "notice-served", "case-closed"),
    "housingrepairs": (
        "work-order-raised", "scheduled", "status-changed", "variation-requested", "no-access", "completed",
        "cancelled",
    ),
    "counciltax": (
        "account-opened", "liability-changed", "account-closed", "payment-received", "payment-reversed",
    ),
    "benefits": (
        "claim-received", "claim-assessed", "award-started", "award-changed", "award-suspended", "award-ended",
    ),
    "licences": ("applied", "issued", "varied", "suspended", "revoked-by-authority", "expired", "surrendered"),
    "streetworks": (
        "permit-submitted", "permit-granted", "permit-refused", "permit-modification-requested", "permit-revoked",
        "permit-cancelled", "work-started", "work-start-reverted", "work-stopped", "work-stop-reverted",
        "inspection-recorded", "fixed-penalty-issued",
    ),
    "lifeevents": ("death-registered", "death-registration-updated"),
    "addresses": ("created", "updated", "retired"),
    "careevents": ("case-changed",),
}  # fmt: skip

EVENTS = [(module, event) for module in FAMILIES.values() for event in module.EVENTS]
OWN_EVENTS = [
    (module, event) for module, event in EVENTS if not issubclass(event, (Revoked, Superseded, Merged, Erased))
]


def of(family: str, fact: str) -> type[Event]:
    """Return the event of a family."""
    events: tuple[type[Event], ...] = FAMILIES[f"{family}.v1"].EVENTS
    return next(event for event in events if event.fact == fact)


def test_the_families_and_events_are_those_of_the_vocabulary() -> None:
    """Nothing is missing, nothing is too much, and every family has the four facts."""
    there = {name: tuple(event.fact for event in module.EVENTS) for name, module in FAMILIES.items()}
    assert there == {f"{family}.v1": (*own, *SHARED_FACTS) for family, own in sorted(VOCABULARY.items())}


@pytest.mark.parametrize(("module", "event"), OWN_EVENTS, ids=lambda value: getattr(value, "event_type", ""))
def test_a_minimal_example_has_nothing_that_may_be_left_out(module: Any, event: type[Event]) -> None:
    """What is required, what has a value of its own, and nothing else."""
    needed = {name for name, field in event.model_fields.items() if field.is_required() or field.default is not None}
    assert set(module.EXAMPLES[event].minimal) == needed


@pytest.mark.parametrize("module", FAMILIES.values(), ids=FAMILIES)
def test_every_field_of_a_family_is_shown_by_an_example(module: Any) -> None:
    """Full examples together fill every field that the family adds, parts of parts included."""
    for event in module.EVENTS:
        shown = set(module.EXAMPLES[event].full)
        others = {name for other in module.EVENTS for name in module.EXAMPLES[other].full}
        own = {name for name, field in event.model_fields.items() if field.annotation is not type(None)}
        assert own - set(Event.model_fields) <= others, event.__name__
        assert shown > set(module.EXAMPLES[event].minimal), event.__name__


@pytest.mark.parametrize("module", FAMILIES.values(), ids=FAMILIES)
def test_variations_are_valid_in_every_full_example(module: Any) -> None:
    """Other content for the same events: there are three or more, and each fits wherever the field is."""
    assert len(module.examples.VARIATIONS) >= 3
    for event in module.EVENTS:
        for variation in module.examples.VARIATIONS:
            full = module.EXAMPLES[event].full
            varied = {**full, **{name: value for name, value in variation.items() if name in full}}
            assert event.model_validate(varied)
    names = {name for event in module.EVENTS for name in event.model_fields}
    assert {name for variation in module.examples.VARIATIONS for name in variation} <= names


def test_a_class_says_whether_its_case_reference_is_personal() -> None:
    """Council tax accounts and care cases are; their keys must not show the reference. The marking decides."""
    personal = {event.family for _, event in EVENTS if event.personal_case_ref}
    assert personal == {"counciltax", "careevents"}
    for _, event in EVENTS:
        assert event.personal_case_ref == (event.family in personal)
        assert event.personal_case_ref == (
            (("case_ref",), "personal") in categories(event) or event.family == "careevents"
        )


def test_a_care_event_holds_references_and_times_only() -> None:
    """Nothing but references, times and the reason of a correction may be on the wire, and it counts as special."""
    for event in FAMILIES["careevents.v1"].EVENTS:
        open_fields = {name for name, field in event.model_fields.items() if field.annotation is not type(None)}
        assert open_fields <= {
            "case_ref", "organisation", "occurred_at", "occurred_at_note", "logged_at", "external_refs",
            "revokes", "supersedes", "superseded_by", "into_case_ref", "reason", "legal_ground",
        }  # fmt: skip
        assert (("case_ref",), "special-category") in categories(event)
        assert event.classification == "official-sensitive"


def test_who_complained_about_a_breach_is_never_shared() -> None:
    """The complainant and every part of it carry the marking that no agreement can override."""
    event = of("planningenforcement", "case-opened")
    extra = event.model_fields["complainant"].json_schema_extra
    assert isinstance(extra, dict)
    assert extra["x-never-shared"] is True
    properties = event.model_json_schema()["$defs"]["Complainant"]["properties"]
    assert all(field["x-never-shared"] for field in properties.values())


@pytest.mark.parametrize(
    ("family", "fact", "name"),
    [
        ("wastecollections", "completed", "assisted"),
        ("wastecollections", "completed", "service"),
        ("housingrepairs", "scheduled", "vulnerability"),
        ("counciltax", "account-opened", "discounts"),
    ],
)
def test_what_tells_of_somebodys_health_is_special_category(family: str, fact: str, name: str) -> None:
    """Data from which health can be inferred is marked as if it said so."""
    assert ((name,), "special-category") in categories(of(family, fact))


def test_an_event_of_one_state_has_it_on_the_wire() -> None:
    """A reader finds the state in the data, also where the type leaves no choice."""
    for module, event in EVENTS:
        field = event.model_fields.get("state")
        if field is not None:
            assert "state" in module.EXAMPLES[event].minimal


@pytest.mark.parametrize("code", ["RD03", "CE01FL", "U", "PP", "CR08", "X"])
def test_a_blpu_class_is_taken_at_every_depth(code: str) -> None:
    """One to four levels of BS 7666 classification are right."""
    event = of("addresses", "updated")
    content = {**FAMILIES["addresses.v1"].EXAMPLES[event].minimal, "classification_code": code}
    assert event.model_validate(content).model_dump()["classification_code"] == code


@pytest.mark.parametrize("code", ["rd03", "RD3", "AD03", "RD03F", "RD03FLX", ""])
def test_a_wrong_blpu_class_is_refused(code: str) -> None:
    """Small letters, half levels and letters out of the list are wrong."""
    event = of("addresses", "updated")
    with pytest.raises(ValueError, match="classification_code"):
        event.model_validate({**FAMILIES["addresses.v1"].EXAMPLES[event].minimal, "classification_code": code})
