"""The life of a case as a family declares it: which event may follow which, and which state which. Pure.

It is declared for what a source may tell, and sources tell it with gaps: a register that shows decisions only, a
feed of states that never says that a case was opened. ``joins`` and generous ``follows`` allow for that; what is
left out is what would be wrong from every source.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args, get_origin

from schemas.shared.event import Event
from schemas.shared.facts import Erased, Merged, Revoked, Superseded

Kind = Literal["not-a-start", "may-not-follow", "after-the-end", "state-may-not-follow", "not-a-state-of-it"]
KINDS: dict[Kind, str] = {
    "not-a-start": "A case may not begin with it",
    "may-not-follow": "It may not follow the event before it",
    "after-the-end": "The case was merged into another or erased",
    "state-may-not-follow": "The state may not follow the state before it",
    "not-a-state-of-it": "The event may not carry that state",
}
"""What may be wrong with an event's place in its case."""

CORRECTIONS: Final = (Revoked, Superseded)
"""They take back what was said: afterwards nobody knows where the case stands, and any event may follow."""

LAST_WORDS: Final = (Merged, Erased)
"""After them nothing is said about the case under this reference, but for corrections and erasure."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Which events a case begins and ends with, and what may follow what; the four facts may come at any time."""

    starts: tuple[type[Event], ...]
    """Events that a case begins with."""
    follows: Mapping[type[Event], tuple[type[Event], ...]]
    """After each event, those that may come next, the usual ones first."""
    ends: tuple[type[Event], ...]
    """Events after which a case is usually over; where the family has end states, only in one of those."""
    joins: tuple[type[Event], ...] = ()
    """Events with which the backbone may first hear of a case, as some source does not tell what was before."""
    asides: tuple[type[Event], ...] = ()
    """Events that may come at any time and move nothing: a comment, a payment, an inspection."""
    state_field: str = ""
    """The field that carries the state; empty where events carry none."""
    transitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """After each state, those that may come next; itself too, where sources repeat it."""
    end_states: tuple[str, ...] = ()
    """States in which a case is usually over; it may be taken up again."""
    carries: Mapping[type[Event], tuple[str, ...]] = field(default_factory=dict)
    """The states that an event may carry, where that is less than its field allows."""

    def events(self) -> tuple[type[Event], ...]:
        """Return every event that the life-cycle knows, each once, the usual ones first."""
        known = (*self.starts, *self.follows, *(after for each in self.follows.values() for after in each))
        return tuple(dict.fromkeys((*known, *self.joins, *self.asides, *self.ends)))

    def states_of(self, event_class: type[Event]) -> tuple[str, ...]:
        """Return the states that an event may carry; none if it has no state."""
        if event_class in self.carries:
            return self.carries[event_class]
        info = event_class.model_fields.get(self.state_field)
        return tuple(_values(info.annotation)) if info is not None else ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a case stands: the last event that moved it (None when anything may follow) and its state, if known."""

    last: type[Event] | None = None
    state: str | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Why an event may not stand where it does, and what might have stood there: names of facts or of states."""

    kind: Kind
    before: str
    allowed: tuple[str, ...]


def step(
    lifecycle: Lifecycle, position: Position | None, event_class: type[Event], state: str | None = None
) -> tuple[Position, Misplaced | None]:
    """Return where a case stands after an event, and what was wrong with the event's place, if anything.

    ``position`` is None before the case's first event. A case goes on from a misplaced event as if it were right, so
    that one mistake is reported once.
    """
    here = position or Position()
    if issubclass(event_class, CORRECTIONS):
        return Position(), None
    if issubclass(event_class, LAST_WORDS):
        wrong = here.over and issubclass(event_class, Merged)
        return Position(here.last, here.state, over=True), Misplaced("after-the-end", "", ()) if wrong else None
    if here.over:
        return here, Misplaced("after-the-end", "", ())
    if event_class in lifecycle.asides:
        return here, None
    return Position(event_class, state or here.state), _misplaced(lifecycle, position, event_class, state)


def _misplaced(
    lifecycle: Lifecycle, position: Position | None, event_class: type[Event], state: str | None
) -> Misplaced | None:
    if position is None:
        beginnings = (*lifecycle.starts, *lifecycle.joins)
        if event_class not in beginnings:
            return Misplaced("not-a-start", "", tuple(event.fact for event in beginnings))
    elif position.last is not None:
        allowed = lifecycle.follows.get(position.last, ())
        if event_class not in allowed:
            return Misplaced("may-not-follow", position.last.fact, tuple(event.fact for event in allowed))
    if state is None:
        return None
    carried = lifecycle.states_of(event_class)
    if carried and state not in carried:
        return Misplaced("not-a-state-of-it", event_class.fact, carried)
    before = position.state if position else None
    if before is not None and state not in lifecycle.transitions.get(before, ()):
        return Misplaced("state-may-not-follow", before, lifecycle.transitions.get(before, ()))
    return None


def _values(annotation: object) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from _values(argument)
