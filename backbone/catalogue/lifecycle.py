"""What the catalogue draws of a family's declared life-cycle: events by their facts, and states. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from schemas.shared.lifecycle import Lifecycle as Declared


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What may follow what: facts, spelt as in ``ce_type`` (``application-decided``), or states."""

    follows: Mapping[str, Collection[str]]
    starts: Collection[str]
    ends: Collection[str]
    asides: Collection[str] = ()
    """What may come at any time and moves nothing."""


def events_of(declared: Declared) -> Lifecycle:
    """Return which event may follow which."""
    begins = (*declared.starts, *declared.joins)
    return Lifecycle(
        {event.fact: [later.fact for later in after] for event, after in declared.follows.items()},
        [event.fact for event in begins],
        [event.fact for event in declared.ends],
        [event.fact for event in declared.asides],
    )


def states_of(declared: Declared) -> Lifecycle | None:
    """Return which state may follow which, or None where events carry none."""
    if not declared.transitions:
        return None
    begins = [state for event in declared.starts for state in declared.carries.get(event, ())]
    return Lifecycle(declared.transitions, list(dict.fromkeys(begins)), declared.end_states)


def in_order(lifecycle: Lifecycle) -> list[str]:
    """Return every fact once: what may begin a case first, then what may follow it, and last what nothing follows.

    A fact stands below all that lead to it, except where a life-cycle goes round.
    """
    finished: dict[str, None] = {}
    begun: set[str] = set()

    def visit(fact: str) -> None:
        if fact not in begun:
            begun.add(fact)
            for later in reversed(tuple(lifecycle.follows.get(fact, ()))):
                visit(later)
            finished[fact] = None

    for fact in reversed(tuple(lifecycle.starts)):
        visit(fact)
    reached = list(reversed(finished))
    for fact in lifecycle.follows:
        visit(fact)
    order = [*reached, *(fact for fact in reversed(finished) if fact not in reached)]

    def final(fact: str) -> bool:
        return fact not in lifecycle.starts and not lifecycle.follows.get(fact)

    return sorted(order, key=final)
