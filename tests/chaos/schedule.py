"""Which fault strikes when and whom: drawn from a seed before anything runs, so that the same seed gives the same."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backbone import points
from backbone.testing.kafka_proxy import ADD_PARTITIONS_TO_TXN, END_TXN, INIT_PRODUCER_ID, PRODUCE, Action

REQUESTS: Final[Mapping[str, int]] = {
    "end-txn": END_TXN,
    "produce": PRODUCE,
    "add-partitions": ADD_PARTITIONS_TO_TXN,
    "init-producer-id": INIT_PRODUCER_ID,
}
ACTIONS: Final[Mapping[str, Action]] = {
    "delay": "delay", "hold": "delay", "lose": "lose", "unanswered": "unanswered", "late": "late",
    "reorder": "reorder",
}  # fmt: skip

WORKER_WEIGHTS: Final[Mapping[str, int]] = {
    "worker.kill": 14,
    "worker.term": 8,
    "worker.die-at-point": 14,
    "worker.freeze": 6,
    "worker.zombie": 6,
    "worker.long-zombie": 2,
    "worker.skewed-clock": 4,
    "worker.disk-full": 3,
}
REQUEST_WEIGHTS: Final[Mapping[str, int]] = {
    **{f"request.{action}.end-txn": 4 for action in ACTIONS},
    **{f"request.{action}.produce": 2 for action in ACTIONS},
    **{f"request.{action}.add-partitions": 2 for action in ACTIONS},
    **{f"request.{action}.init-producer-id": 1 for action in ACTIONS},
    "network.partition": 3,
    "siblings.reload": 4,
}
BROKER_WEIGHTS: Final[Mapping[str, int]] = {
    "broker.kill": 4,
    "broker.freeze": 2,
    "broker.restart": 1,
    "broker.disk-full": 1,
    "topic.refuses": 4,
}
CLUSTER_WEIGHTS: Final[Mapping[str, int]] = {
    "cluster.two-down": 2,
    "cluster.move-leaders": 4,
}
POINTS: Final = tuple(point for point in points.POINTS if not point.startswith("redrive"))
"""Where a worker may die here; re-drives have tests of their own. A workload that does not pass one takes another."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: how long to wait before it, what it is, whom it strikes, and its measure in seconds or times."""

    number: int
    wait_secs: float
    kind: str
    cell: int
    target: int
    measure: float
    point: str = ""

    def __str__(self) -> str:
        """Return a line for the log."""
        at = f" at {self.point}" if self.point else ""
        return f"{self.number:4} {self.kind}{at}, cell {self.cell}, target {self.target}, measure {self.measure:.2f}"


def draw(
    seed: int, count: int, *, cells: int, nodes: int, only: Sequence[str] = (), mean_wait_secs: float = 1.2
) -> list[Fault]:
    """Return the schedule of a seed; ``only`` keeps kinds that begin so."""
    choose = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    weights = {**WORKER_WEIGHTS, **REQUEST_WEIGHTS, **BROKER_WEIGHTS, **(CLUSTER_WEIGHTS if nodes > 1 else {})}
    if only:
        weights = {kind: weight for kind, weight in weights.items() if kind.startswith(tuple(only))}
    kinds = choose.choices(list(weights), list(weights.values()), k=count)
    return [
        Fault(
            number,
            choose.uniform(0.2, 2 * mean_wait_secs - 0.2),
            kind,
            choose.randrange(cells),
            choose.randrange(1_000),
            _measure(kind, choose),
            choose.choice(POINTS) if kind == "worker.die-at-point" else "",
        )
        for number, kind in enumerate(kinds)
    ]


def _measure(kind: str, choose: random.Random) -> float:
    """Return seconds, or for a death at a point how often it is passed before, or for a clock how far it is off."""
    match kind.split("."):
        case ["worker", "freeze"]:
            return choose.uniform(0.2, 3.0)
        case ["worker", "zombie"]:
            return choose.uniform(6.5, 9.0)  # past the session of 6 s
        case ["worker", "long-zombie"]:
            return choose.uniform(32.0, 36.0)  # past the transaction time-out of 30 s
        case ["worker", "skewed-clock"]:
            return choose.choice([-86_400.0, -3_600.0, -5.0, 5.0, 1_200.0])
        case ["worker", "die-at-point"]:
            return float(choose.randint(1, 12))
        case ["request", "delay", _]:
            return choose.uniform(0.05, 4.0)
        case ["request", "hold", _]:
            return choose.uniform(11.0, 14.0)  # past the deadlines of 10 s
        case ["request", "late", _]:
            return choose.choice([choose.uniform(0.05, 0.6), choose.uniform(1.0, 15.0)])
        case ["siblings", _]:
            return choose.uniform(2.0, 5.0)
        case ["broker", "freeze"]:
            return choose.choice([choose.uniform(0.5, 3.0), choose.uniform(0.5, 3.0), choose.uniform(9.0, 14.0)])
        case ["cluster", "two-down"]:
            return choose.uniform(2.0, 8.0)
        case _:
            return choose.uniform(0.5, 3.0)
