"""What the catalogue needs to know of a family's life-cycle, where one is declared. Pure."""

from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Protocol


class Lifecycle(Protocol):
    """Which fact may follow which about one case. Facts are spelt as in ``ce_type``: ``application-decided``."""

    @property
    def follows(self) -> Mapping[str, Collection[str]]:
        """Return, for each fact, the facts that may come next."""

    @property
    def starts(self) -> Collection[str]:
        """Return the facts that a case may begin with."""

    @property
    def ends(self) -> Collection[str]:
        """Return the facts after which nothing more is expected."""


def lifecycle_of(module: ModuleType) -> Lifecycle | None:
    """Return a family's declared life-cycle (``LIFECYCLE`` of its module), or None where it has none."""
    declared: Lifecycle | None = getattr(module, "LIFECYCLE", None)
    return declared


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
