"""Synthetic events: coherent lives of cases, valid, and the same for the same seed. Pure.

For subscribers who develop before a council is connected, and for their tests: ``sample_events`` gives events of one
type, ``sample_lives`` whole life-cycles as the family declares them, in the order of their times.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from itertools import islice
from random import Random
from types import ModuleType
from typing import Final, TypeVar

from backbone.event import Encoder, Origin, record_digest, record_key
from backbone.packed import Message, unpack
from backbone.sample_content import Case, between, chance, choice, content_of, usual
from backbone.secret import Secret
from schemas.families import FAMILIES, LIFECYCLES
from schemas.shared import Event
from schemas.shared.facts import Erased, Merged
from schemas.shared.lifecycle import Lifecycle

ORGANISATION: Final = "E09000099"
"""A code that is given to nobody."""

SYSTEM: Final = "sample"
SECRET: Final = Secret("synthetic events have no secret")
"""Makes the keys of personal case references; the references are invented, too."""

BEGIN: Final = datetime(2031, 1, 6, 9, 0, tzinfo=UTC)
LONGEST_LIFE: Final = 14
REPEATS: Final = 3
"""How often a step may be taken that nothing but itself may follow."""

ASIDES: Final = 0.2
ENDINGS: Final = 0.7
LAST_WORDS: Final = 0.04
"""How often an aside comes after an event, a case is over where it may be, and is then merged or erased."""

_E = TypeVar("_E", bound=Event)
_Step = tuple[type[Event], str | None]


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """When an event of a case happened; orders a stream by time, cases by number, and a case by its steps."""

    at: datetime
    case: int
    step: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """An event with its place in the stream."""

    moment: Moment
    event: Event


def sample_events(event_class: type[_E], count: int, seed: int = 0, *, organisation: str = ORGANISATION) -> list[_E]:
    """Return events of one type, each of a case of its own.

    >>> from schemas.servicerequests.v1 import StatusChanged
    >>> [event.case_ref for event in sample_events(StatusChanged, 2)]
    ['700123', '700124']
    """
    name = event_class.topic_suffix
    module, lifecycle = FAMILIES[name], LIFECYCLES[name]
    random = _random(seed, event_class.event_type)
    made = []
    for number in range(count):
        at = _begun(number)
        states = lifecycle.states_of(event_class)
        state = choice(random, states) if states else None
        case = Case.invent(random, module, number, at)
        made.append(_event(random, module, lifecycle, (event_class, state), case, at, organisation))
    return made


def sample_lives(family: str, count: int, seed: int = 0, *, organisation: str = ORGANISATION) -> list[Event]:
    """Return the first events of a stream of cases, each of which lives as its family declares.

    ``family`` is a name such as ``planning.v1``. Lives overlap; the last ones are cut where the count is reached.
    """
    return [sampled.event for sampled in islice(stream(family, seed, organisation), count)]


def stream(family: str, seed: int, organisation: str = ORGANISATION) -> Iterator[Sampled]:
    """Yield the events of ever new cases, in the order of their times, without an end."""
    waiting: list[tuple[Moment, Event]] = []
    for life in lives(family, seed, organisation):
        while waiting and waiting[0][0].at <= life[0].moment.at:
            yield Sampled(*heapq.heappop(waiting))
        for sampled in life:
            heapq.heappush(waiting, (sampled.moment, sampled.event))


def lives(family: str, seed: int, organisation: str = ORGANISATION) -> Iterator[list[Sampled]]:
    """Yield ever new cases, each with the events of its whole life; a case begins while others are under way."""
    module, lifecycle = FAMILIES[family], LIFECYCLES[family]
    random = _random(seed, family)
    began = BEGIN
    for number in numbers():
        case, at = Case.invent(random, module, number, began), began
        life = []
        for index, step in enumerate(_life(random, module, lifecycle)):
            event = _event(random, module, lifecycle, step, case, at, organisation)
            life.append(Sampled(Moment(at, number, index), event))
            at += timedelta(minutes=between(random, 90, 12_000))
        yield life
        began += (at - began) / 3


def sample_messages(
    sampled: Iterable[Sampled], seed: int, organisation: str = ORGANISATION
) -> Iterator[tuple[Sampled, str, Message]]:
    """Encode events as the backbone does; yield each with topic and message. Personal case references are keyed."""
    classes = [event for module in FAMILIES.values() for event in module.EVENTS]
    trace = hashlib.sha256(f"trace {seed}".encode()).hexdigest()
    encoder = Encoder(
        Origin(organisation, SYSTEM, case_secret=SECRET),
        classes,
        ordinal=1,
        traceparent=f"00-{trace[:32]}-{trace[32:48]}-01",
    )
    digest = record_digest(organisation, SYSTEM)
    for number, each in enumerate(sampled):
        identity = f"{seed}/{each.event.topic_suffix}/{each.moment.case}/{each.moment.step}"
        topic, _, packed = encoder.encode(each.event, record_key(digest, identity.encode()), number, 0, 0)
        yield each, topic, unpack(packed)


def events_of(event_class: type[Event], count: int, seed: int, organisation: str = ORGANISATION) -> list[Sampled]:
    """Return ``sample_events`` with their places, ready to be encoded."""
    made = sample_events(event_class, count, seed, organisation=organisation)
    return [Sampled(Moment(_begun(number), number, 0), event) for number, event in enumerate(made)]


def _begun(number: int) -> datetime:
    """Return when a case that has one event only begins."""
    return BEGIN + timedelta(hours=7 * number)


def _random(seed: int, what: str) -> Random:
    return Random(int.from_bytes(hashlib.sha256(f"{seed} {what}".encode()).digest()))  # noqa: S311 - not secret


def _event(
    random: Random,
    module: ModuleType,
    lifecycle: Lifecycle,
    step: tuple[type[_E], str | None],
    case: Case,
    at: datetime,
    organisation: str,
) -> _E:
    event_class, state = step
    data = content_of(random, module, event_class, case, at, organisation)
    if state is not None:
        data[lifecycle.state_field] = state
    return event_class.model_validate(data)


def _life(random: Random, module: ModuleType, lifecycle: Lifecycle) -> Iterator[_Step]:
    """Yield one way through the life-cycle; no step is taken over and over, so that it ends."""
    last: type[Event] | None = None
    state: str | None = None
    taken: Counter[_Step] = Counter()
    for _ in range(LONGEST_LIFE):
        following = lifecycle.starts if last is None else lifecycle.follows[last]
        repeats = REPEATS if following == (last,) else 1
        options = {
            event_class: left
            for event_class in following
            if (left := [step for step in _steps(lifecycle, event_class, state) if taken[step] < repeats])
        }
        if not options:
            break
        step = usual(random, options[usual(random, list(options))])
        taken[step] += 1
        last, state = step[0], step[1] or state
        yield step
        if lifecycle.asides and chance(random, ASIDES):
            yield _aside(random, lifecycle)
        over = last in lifecycle.ends and (not lifecycle.end_states or state in lifecycle.end_states)
        if over and chance(random, ENDINGS):
            break
    if chance(random, LAST_WORDS):
        yield choice(random, [event for event in module.EVENTS if issubclass(event, Merged | Erased)]), None


def _aside(random: Random, lifecycle: Lifecycle) -> _Step:
    event_class = choice(random, lifecycle.asides)
    states = lifecycle.states_of(event_class)
    return event_class, choice(random, states) if states else None


def _steps(lifecycle: Lifecycle, event_class: type[Event], state: str | None) -> Iterator[_Step]:
    """Yield an event with each state that it may carry and that may follow the present one."""
    states = lifecycle.states_of(event_class)
    if not states:
        yield event_class, None
    for after in states:
        if state is None or after in lifecycle.transitions[state]:
            yield event_class, after
