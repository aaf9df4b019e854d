"""What one simulation does: its feeds, its documents and its faults, all drawn from a seed before anything runs."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from backbone.points import POINTS as NAMED
from backbone.testing.simulation.kafka import ADD_PARTITIONS_TO_TXN, END_TXN, INIT_PRODUCER_ID, PRODUCE

START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)
REQUESTS: Final[Mapping[str, int]] = {
    "end-txn": END_TXN,
    "produce": PRODUCE,
    "add-partitions": ADD_PARTITIONS_TO_TXN,
    "init-producer-id": INIT_PRODUCER_ID,
}
ACTIONS: Final = ("lose", "unanswered", "late", "overtaken", "delay", "hold")
POINTS: Final[Mapping[str, int]] = {
    point: 4 if point.startswith(("lease", "redrive")) else 1 for point in NAMED if not point.startswith("transform")
}
"""Where processes die, and how often against the others."""

WEIGHTS: Final[Mapping[str, float]] = {
    "process.kill": 8,
    "process.die-at-point": 22,
    "process.term": 6,
    "process.freeze": 5,
    "process.zombie": 6,
    "process.long-zombie": 3,
    "lease.move": 10,
    "lease.steal": 10,
    "node.down": 7,
    "network.partition": 5,
    "topic.refuses": 5,
    "document.changed": 3,
    **{f"request.{action}.end-txn": 5 for action in ACTIONS},
    **{f"request.{action}.produce": 2 for action in ACTIONS},
    **{f"request.{action}.add-partitions": 2 for action in ACTIONS},
    **{f"request.{action}.init-producer-id": 1.5 for action in ACTIONS},
}
"""How often each fault comes, against the others."""


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a document: its case, its time, how many events it means, and what kind it is."""

    case: str
    at: str
    parts: int
    kind: str

    def __str__(self) -> str:
        return f"{self.case},{self.at},{self.parts},{self.kind}\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: behind which request of all it strikes, what it is, whom it strikes, and its measure."""

    behind: int
    kind: str
    target: int
    measure: float
    point: str = ""

    def __str__(self) -> str:
        at = f" at {self.point}" if self.point else ""
        return f"behind request {self.behind}: {self.kind}{at}, target {self.target}, measure {self.measure:.3f}"


class Plan(Protocol):
    """What any simulation has to know before it runs.

    ``group`` says whether the lease is a real consumer group's; else it is given out by decree, and far less kindly.
    ``skews`` says how far the workers' clocks are off.
    """

    @property
    def seed(self) -> int: ...  # noqa: D102 - the protocol says it

    @property
    def group(self) -> bool: ...  # noqa: D102

    @property
    def workers(self) -> int: ...  # noqa: D102

    @property
    def skews(self) -> tuple[float, ...]: ...  # noqa: D102

    @property
    def faults(self) -> tuple[Fault, ...]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan for feeds."""

    seed: int
    group: bool
    workers: int
    batch_records: int
    moves: bool
    """Whether files are moved away when they have ended."""
    redrives: bool
    """Whether bad records become good while it runs, and are fed through again."""
    skews: tuple[float, ...]
    feeds: Mapping[str, int]
    """The state partition of each feed."""
    documents: Mapping[str, tuple[tuple[float, tuple[Line, ...]], ...]]
    """When each document of a feed arrives, and its lines."""
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        """Return the schedule for people."""
        lease = "a consumer group" if self.group else "decree"
        files = f"files {'move' if self.moves else 'stay'}{', re-drives' if self.redrives else ''}"
        sizes_of = f"{self.batch_records} records a transaction"
        lines = [f"seed {self.seed}: {self.workers} workers, lease by {lease}, {sizes_of}, {files}"]
        for feed, partition in self.feeds.items():
            sizes = [len(content) for _, content in self.documents[feed]]
            lines.append(f"  {feed} on state partition {partition}: documents of {sizes} records")
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


def draw(seed: int, only: tuple[str, ...] = ()) -> Schedule:
    """Return the schedule of a seed; ``only`` keeps kinds of faults that begin so."""
    choose = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    feeds = {"north": 0, "south": 0}
    if choose.random() < 0.15:
        feeds["east"] = 1
    redrives = choose.random() < 0.15
    documents = {feed: _documents(choose, number, redrives=redrives) for number, feed in enumerate(feeds, 1)}
    batch_records = choose.choice((1, 2, 2, 3))
    places = {point: weight for point, weight in POINTS.items() if redrives or not point.startswith("redrive")}
    transactions = sum(1 + len(lines) // batch_records for feed in feeds for _, lines in documents[feed])
    return Schedule(
        seed=seed,
        group=choose.random() < 0.2,
        workers=choose.choice((1, 2, 2, 2)),
        batch_records=batch_records,
        moves=choose.random() < 0.5,
        redrives=redrives,
        skews=tuple(choose.choice((0.0, 0.0, 0.0, -3_600.0, 5.0, 1_200.0)) for _ in range(2)),
        feeds=feeds,
        documents=documents,
        faults=faults_of(choose, 4 * transactions, only, points=places),
    )


def _documents(choose: random.Random, digit: int, *, redrives: bool) -> tuple[tuple[float, tuple[Line, ...]], ...]:
    """Return a feed's documents: later ones repeat a few lines of those before them."""
    made: list[tuple[float, tuple[Line, ...]]] = []
    minute, arrives = 0, 0.0
    earlier: list[Line] = []
    for _ in range(choose.choice((1, 1, 1, 2, 2))):
        lines = [line for line in earlier[-2:] if choose.random() < 0.5]
        for _ in range(choose.choice((1, 1, 2, 3))):
            at = START + timedelta(minutes=minute)
            minute += 1
            kind = choose.choices(("ok", "skip", "bad"), (6, 1, 3) if redrives else (17, 2, 1))[0]
            case = f"{digit}{choose.randrange(2):05}"
            lines.append(Line(case, f"{at:%Y-%m-%dT%H:%M:%SZ}", choose.choice((1, 1, 2, 3)), kind))
        arrives += choose.choice((0.0, 0.0, choose.uniform(0.0, 0.3)))
        made.append((arrives, tuple(lines)))
        earlier = [line for line in lines if line.kind == "ok"]
    return tuple(made)


def faults_of(
    choose: random.Random, requests: int, only: tuple[str, ...], *, points: Mapping[str, int]
) -> tuple[Fault, ...]:
    """Return some faults, in the order in which they come due; ``only`` keeps kinds that begin so."""
    weights = {kind: weight for kind, weight in WEIGHTS.items() if not only or kind.startswith(only)}
    kinds = choose.choices(list(weights), list(weights.values()), k=choose.choice((1, 2, 2, 3, 3, 4, 6)))
    faults = []
    for kind in kinds:
        point = choose.choices(list(points), list(points.values()))[0] if kind == "process.die-at-point" else ""
        measure = 1.0 if point.startswith(("lease", "redrive")) else _measure(kind, choose)
        faults.append(Fault(choose.randint(1, requests), kind, choose.randrange(1_000), measure, point))
    return tuple(sorted(faults, key=lambda fault: fault.behind))


def _measure(kind: str, choose: random.Random) -> float:
    """Return seconds; for a death at a point, how often it is passed before; for a topic, how many batches."""
    match kind.split("."):
        case ["process", "freeze"]:
            return choose.uniform(0.01, 3.0)
        case ["process", "zombie"]:
            return choose.uniform(6.5, 12.0)  # past the session of 6 s
        case ["process", "long-zombie"]:
            return choose.uniform(31.0, 45.0)  # past the transaction time-out of 30 s
        case ["process", "die-at-point"]:
            return float(choose.randint(1, 4))
        case ["lease", "steal"]:
            return choose.choice((choose.uniform(0.001, 0.05), choose.uniform(0.05, 8.0)))
        case ["request", "delay", _]:
            return choose.choice((choose.uniform(0.005, 0.1), choose.uniform(0.1, 4.0)))
        case ["request", "hold", _]:
            return choose.uniform(11.0, 14.0)  # past the deadlines of 10 s
        case ["request", "late" | "overtaken", _]:
            return choose.choice((choose.uniform(0.002, 0.3), choose.uniform(0.3, 4.0), choose.uniform(4.0, 40.0)))
        case ["node", "down"] | ["network", "partition"]:
            return choose.choice((choose.uniform(0.01, 0.5), choose.uniform(0.5, 4.0), choose.uniform(9.0, 14.0)))
        case ["topic", "refuses"]:
            return float(choose.randint(1, 2))
        case _:
            return choose.uniform(0.05, 3.0)
