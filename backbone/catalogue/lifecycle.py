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
    """Return every fact once: those that may begin a case first, each next one after what it may follow."""
    known = {**dict.fromkeys(lifecycle.starts), **dict.fromkeys(lifecycle.follows)}
    for later in lifecycle.follows.values():
        known |= dict.fromkeys(later)
    rank = {fact: 0 for fact in known if fact in lifecycle.starts}
    waiting = list(rank)
    while waiting:
        fact = waiting.pop(0)
        for later in lifecycle.follows.get(fact, ()):
            if later not in rank:
                rank[later] = rank[fact] + 1
                waiting.append(later)
    last = len(known)
    order = list(known)
    return sorted(known, key=lambda fact: (fact in lifecycle.ends, rank.get(fact, last), order.index(fact)))
