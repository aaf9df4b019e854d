"""Synthetic events: valid, coherent within a case, the same for the same seed, and wrong only where they say so."""

import json
from collections import defaultdict
from itertools import islice
from typing import Any

import pytest

from backbone.case_keys import case_key
from backbone.packed import Message
from backbone.sample import sample_events, sample_lives, sample_messages, stream
from backbone.sample_faults import LABEL, as_message, as_structured, bad_events
from schemas.families import FAMILIES, LIFECYCLES
from schemas.planning.v1 import ApplicationDecided
from schemas.servicerequests.v1 import StatusChanged
from schemas.shared import Event
from schemas.shared.facts import Revoked, Superseded
from schemas.shared.lifecycle import Position, step

ALL = pytest.mark.parametrize("family", FAMILIES)


@ALL
def test_the_same_seed_gives_the_same_bytes(family: str) -> None:
    """Ids, times, headers and data are equal for equal seeds, and others for others."""

    def encoded(seed: int) -> list[tuple[str, Message]]:
        return [(topic, message) for _, topic, message in sample_messages(islice(stream(family, seed), 60), seed)]

    assert encoded(1) == encoded(1)
    assert [message[1] for _, message in encoded(1)] != [message[1] for _, message in encoded(2)]


def test_the_first_bytes_of_a_seed_are_pinned() -> None:
    """No version of Python or of this generator changes what a seed gives without a test that says so."""
    ((_, topic, message),) = sample_messages(islice(stream("careevents.v1", 7), 1), 7)
    assert topic == "E09000099.careevents.v1"
    assert dict(message[2])["ce_id"] == b"426f802a0aef1140f122a6f21bc77270"
    assert json.loads(message[1] or b"") == {
        "case_ref": "CARE-0990017",
        "organisation": "E09000099",
        "occurred_at": "2031-01-06T09:00:00Z",
        "occurred_at_note": "observed",
    }


def test_a_longer_sample_begins_like_a_shorter_one() -> None:
    """Asking for more changes nothing of what was there."""
    assert sample_lives("housingrepairs.v1", 300, 5)[:100] == sample_lives("housingrepairs.v1", 100, 5)


@ALL
def test_lives_follow_the_life_cycle_and_time_goes_on(family: str) -> None:
    """Every event of a case may follow the one before it, and the stream is in the order of its times."""
    lifecycle = LIFECYCLES[family]
    positions: dict[str, Position] = {}
    moments = []
    seen: set[type[Event]] = set()
    for sampled in islice(stream(family, 11), 1_500):
        event = sampled.event
        state = getattr(event, lifecycle.state_field) if hasattr(event, lifecycle.state_field or "-") else None
        positions[event.case_ref], wrong = step(lifecycle, positions.get(event.case_ref), type(event), state)
        assert wrong is None, (event.case_ref, wrong)
        moments.append(sampled.moment.at)
        seen.add(type(event))
    assert moments == sorted(moments)
    ordinary = {event for event in FAMILIES[family].EVENTS if not issubclass(event, Revoked | Superseded)}
    assert seen == ordinary


def test_a_case_stays_the_same_case() -> None:
    """References, place and subject of a case are equal in all its events; cases differ."""
    cases: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in sample_lives("housingrepairs.v1", 500, 3):
        cases[event.case_ref].append(json.loads(event.model_dump_json(exclude_none=True)))
    for reference, events in cases.items():
        assert {event.get("work_order_ref", reference) for event in events} == {reference}
        places = {event["location"]["uprn"] for event in events if "location" in event}
        homes = {event["property"]["uprn"] for event in events if "property" in event}
        assert len(places | homes) <= 1
        assert len({json.dumps(event["trade"]) for event in events if "trade" in event}) <= 1
        assert len({event["tenant"]["name"] for event in events if "tenant" in event}) <= 1
    assert len({event["location"]["uprn"] for events in cases.values() for event in events if "location" in event}) > 50


@pytest.mark.parametrize("event_class", [event for module in FAMILIES.values() for event in module.EVENTS])
def test_events_of_one_type_have_a_case_each(event_class: type[Event]) -> None:
    """For the tests of a subscriber: as many as asked for, valid, all different, the same every time."""
    events = sample_events(event_class, 12, 4)
    assert {type(event) for event in events} == {event_class}
    assert len({event.case_ref for event in events}) == 12
    assert events == sample_events(event_class, 12, 4)
    assert all(event_class.model_validate(event.model_dump(exclude_none=True)) == event for event in events)


def test_the_type_is_kept() -> None:
    """A type checker knows what comes out, and states vary."""
    events: list[StatusChanged] = sample_events(StatusChanged, 60)
    assert len({event.state for event in events}) > 5
    assert {event.decision.code for event in sample_events(ApplicationDecided, 3)} == {"granted"}


def test_personal_case_references_are_keyed() -> None:
    """Key and subject of an account's events are one HMAC a case, and the account's number is in neither."""
    messages = list(sample_messages(islice(stream("counciltax.v1", 1), 50), 1))
    keys = {(sampled.event.case_ref, message[0]) for sampled, _, message in messages}
    assert len(keys) == len({reference for reference, _ in keys})
    for sampled, _, (key, _, headers) in messages:
        assert dict(headers)["ce_subject"] == key
        assert all(sampled.event.case_ref.encode() not in content for _, content in headers)


def test_a_key_depends_on_secret_organisation_and_reference() -> None:
    """Equal references of two councils, or under two secrets, give keys that nobody can connect."""
    first = case_key(b"secret", "E09000001", "770099001")
    assert first == case_key(b"secret", "E09000001", "770099001")
    others = [(b"other", "E09000001", "770099001"), (b"secret", "E09000002", "770099001"),
              (b"secret", "E09000001", "770099002"), (b"secret", "E0900000", "1770099001")]  # fmt: skip
    assert len({first, *(case_key(*other) for other in others)}) == 5
    assert len(first) == 32


def test_bad_events_say_what_is_wrong_and_are_the_same_every_time() -> None:
    """A label a bad event, right events only where they are needed, and nothing random."""
    events = list(bad_events("planning.v1", 17, 2))
    assert events == list(bad_events("planning.v1", 17, 2))
    assert len({event[LABEL] for event in events if LABEL in event}) == 17
    assert LABEL in events[-1]
    assert len(events) < 2 * 17


def test_bad_events_of_one_type_are_of_that_type() -> None:
    """Asked for one event, the generator spoils that one and sends no other."""
    events = list(bad_events("planning.v1", 15, 2, event_class=ApplicationDecided))
    kinds = {event["type"] for event in events}
    assert ApplicationDecided.event_type in kinds
    assert {kind.rpartition(".v")[0] for kind in kinds} <= {
        "org.councilbackbone.planning.application-decided", "org.councilbackbone.planning.unheard-of",
    }  # fmt: skip


def test_a_message_and_its_structured_form_say_the_same() -> None:
    """Binary and structured mode have the same attributes, key and data."""
    ((sampled, _, message),) = sample_messages(islice(stream("licences.v1", 1), 1), 1)
    again = as_message(as_structured(message, sampled))
    assert again[0] == message[0]
    assert json.loads(again[1] or b"") == json.loads(message[1] or b"")
    assert dict(again[2]) == dict(message[2])
