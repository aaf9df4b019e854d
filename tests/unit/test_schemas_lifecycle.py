"""Life-cycles: every event has its place, every place is reached, and a misplaced event is told from a right one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from schemas.families import FAMILIES, LIFECYCLES
from schemas.planning import v1 as planning
from schemas.servicerequests import v1 as requests
from schemas.shared import Event
from schemas.shared.facts import Erased, Merged, Revoked, Superseded
from schemas.shared.lifecycle import KINDS, Lifecycle, Position, step

FACTS = (Revoked, Superseded, Merged, Erased)
ALL = pytest.mark.parametrize("name", LIFECYCLES)


def own_events(name: str) -> set[type[Event]]:
    return {event for event in FAMILIES[name].EVENTS if not issubclass(event, FACTS)}


def test_every_family_has_a_lifecycle() -> None:
    """The two tables name the same families."""
    assert list(LIFECYCLES) == list(FAMILIES)


@ALL
def test_every_event_of_the_family_appears_and_no_other(name: str) -> None:
    """Nothing is forgotten, and nothing comes from another family."""
    lifecycle = LIFECYCLES[name]
    assert set(lifecycle.events()) == own_events(name)
    assert set(lifecycle.follows) | set(lifecycle.asides) == own_events(name)
    assert not set(lifecycle.follows) & set(lifecycle.asides)
    assert not set(lifecycle.starts) & set(lifecycle.joins)


def reached(graph: Mapping[Any, Sequence[Any]], starts: Sequence[Any]) -> set[Any]:
    found, ahead = set(starts), list(starts)
    while ahead:
        for after in graph.get(ahead.pop(), ()):
            if after not in found:
                found.add(after)
                ahead.append(after)
    return found


@ALL
def test_every_event_is_reached_from_a_start_and_reaches_an_end(name: str) -> None:
    """No event stands alone, and no case is caught in a circle without a way out."""
    lifecycle = LIFECYCLES[name]
    graph = lifecycle.follows
    assert reached(graph, lifecycle.starts) == own_events(name) - set(lifecycle.asides)
    for event in lifecycle.follows:
        assert reached(graph, (event,)) & set(lifecycle.ends), event.__name__


@ALL
def test_every_state_is_known_reached_and_leads_to_an_end(name: str) -> None:
    """Transitions name the family's states, all of them, and each leads to a state in which a case is over."""
    lifecycle = LIFECYCLES[name]
    if not lifecycle.state_field:
        assert not lifecycle.transitions
        return
    carried = {state for event in lifecycle.follows for state in lifecycle.states_of(event)}
    assert set(lifecycle.transitions) == carried
    graph = lifecycle.transitions
    beginnings = tuple(state for event in lifecycle.starts for state in lifecycle.states_of(event))
    assert beginnings
    assert reached(graph, beginnings) == carried
    for state in carried:
        assert reached(graph, (state,)) & set(lifecycle.end_states), state
    assert set(lifecycle.end_states) <= carried


@ALL
def test_events_and_states_agree(name: str) -> None:
    """Wherever an event may follow, a state that it carries may follow a state that the one before it carries."""
    lifecycle = LIFECYCLES[name]
    for before, afters in lifecycle.follows.items():
        for after in afters:
            one, other = lifecycle.states_of(before), lifecycle.states_of(after)
            assert not other or not one or any(new in lifecycle.transitions[old] for old in one for new in other), (
                f"{before.__name__} to {after.__name__}"
            )


def walk(lifecycle: Lifecycle, *events: tuple[type[Event], str | None]) -> list[str | None]:
    position: Position | None = None
    kinds: list[str | None] = []
    for event, state in events:
        position, wrong = step(lifecycle, position, event, state)
        kinds.append(wrong.kind if wrong else None)
    return kinds


def test_a_life_that_is_right_has_nothing_misplaced() -> None:
    """From the submission over a second consultation to the appeal."""
    none, done = "undetermined", "determined"
    assert (
        walk(
            LIFECYCLES["planning.v1"],
            (planning.ApplicationSubmitted, none),
            (planning.ApplicationValidated, none),
            (planning.ConsultationStarted, none),
            (planning.ConsultationEnded, none),
            (planning.ConsultationStarted, none),
            (planning.ApplicationDecided, done),
            (planning.AppealLodged, done),
            (planning.AppealDecided, done),
        )
        == [None] * 8
    )


def test_each_kind_of_mistake_is_told_and_told_once() -> None:
    """A wrong event, a wrong state, a state that the event cannot have; the case goes on from there."""
    lifecycle = LIFECYCLES["planning.v1"]
    assert walk(
        lifecycle,
        (planning.ApplicationDecided, "determined"),
        (planning.ApplicationSubmitted, "undetermined"),
        (planning.ApplicationValidated, "determined"),
    ) == [None, "may-not-follow", "not-a-state-of-it"]
    assert walk(
        LIFECYCLES["servicerequests.v1"],
        (requests.Opened, "open"),
        (requests.StatusChanged, "duplicate"),
        (requests.StatusChanged, "fixed"),
        (requests.StatusChanged, "fixed"),
        (requests.Opened, "open"),
    ) == [None, None, "state-may-not-follow", None, "may-not-follow"]
    strict = Lifecycle(starts=(requests.Opened,), follows={requests.Opened: ()}, ends=(requests.Opened,))
    assert walk(strict, (requests.StatusChanged, "open")) == ["not-a-start"]
    _, wrong = step(lifecycle, Position(planning.ApplicationWithdrawn, "withdrawn"), planning.AppealLodged)
    assert wrong is not None
    assert (wrong.before, wrong.allowed) == ("application-withdrawn", ())
    assert wrong.kind in KINDS


def test_after_a_correction_anything_may_follow() -> None:
    """What was taken back is not where the case stands; the next event says where."""
    assert walk(
        LIFECYCLES["planning.v1"],
        (planning.ApplicationDecided, "determined"),
        (planning.Revoked, None),
        (planning.ApplicationValidated, "undetermined"),
    ) == [None, None, None]


def test_after_a_merger_or_an_erasure_nothing_is_said_any_more() -> None:
    """Only an erasure or a correction may come; a correction gives the case back."""
    assert walk(
        LIFECYCLES["servicerequests.v1"],
        (requests.Opened, "open"),
        (requests.Merged, None),
        (requests.Updated, None),
        (requests.Merged, None),
        (requests.Erased, None),
        (requests.Superseded, None),
        (requests.StatusChanged, "open"),
    ) == [None, None, "after-the-end", "after-the-end", None, None, None]


def test_what_comes_aside_moves_nothing() -> None:
    """A comment between two states changes neither what may follow nor the state, wherever it comes."""
    assert walk(
        LIFECYCLES["servicerequests.v1"],
        (requests.Updated, None),
        (requests.StatusChanged, "duplicate"),
        (requests.Updated, None),
        (requests.StatusChanged, "fixed"),
    ) == [None, None, None, "state-may-not-follow"]
