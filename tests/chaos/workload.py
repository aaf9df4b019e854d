"""What a source has to bring to be put through the faults: write data, and say from it what must come out.

A new source joins with a class of its own in ``tests.chaos.workloads``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.chaos.checker import Document

TYPES: Final = (
    "org.councilbackbone.servicerequests.updated.v1",
    "org.councilbackbone.planningenforcement.case-opened.v1",
    "org.councilbackbone.servicerequests.opened.v1",
)
"""The events of an ``ok`` record, as many as it has parts."""
KINDS: Final = ("ok", "skip", "bad")
KIND_WEIGHTS: Final = (95, 3, 2)
PART_WEIGHTS: Final = (5, 3, 2)
CASES: Final = 40


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a workload's data goes: ``servers`` are behind the proxies, ``direct`` are the brokers themselves."""

    organisation: str
    number: int
    folder: Path
    servers: str
    direct: str
    replicas: int
    seed: int


class Workload(Protocol):
    """Data for one organisation, and the workers that make events of it.

    ``siblings`` are two transactional ids that share a partition of the state. ``points`` are the named points that a
    worker passes. ``counted`` is how the names of those topics end whose records say how far the workers are, and
    ``backlog`` how many such records more than there are what was written has to give.
    """

    siblings: tuple[bytes, bytes]
    points: Sequence[str]
    counted: tuple[str, ...]
    backlog: int

    async def prepare(self) -> None:
        """Create the topics."""
        ...

    def command(self) -> Sequence[str]:
        """Return the arguments of ``tests.chaos.worker`` for one worker process."""
        ...

    def refusing(self) -> Sequence[str]:
        """Return the topics that a fault may let refuse what is written."""
        ...

    def write(self) -> None:
        """Let the source hold some more."""
        ...

    def written(self) -> int:
        """Return how many counted records what was written will give, as far as is known while it is written."""
        ...

    def expected(self) -> Iterator[Document]:
        """Read the source's data anew and say what must become of each record; asked when nothing is written any more.

        What it yields must add up to ``due``.
        """
        ...

    def due(self) -> int:
        """Return how many counted records there must be in the end."""
        ...
