"""Known holes, put back on purpose, are found: a simulation that finds none proves nothing."""

import pytest

from tests.simulation.run import simulate, simulate_schedule, simulate_transform, swept
from tests.simulation.schedule import Fault, Line, Schedule


@pytest.mark.parametrize(
    ("hole", "only", "most", "kinds"),
    [
        ("last-stable-offset", ("request.", "lease."), 600, {"duplicate", "checkpoints", "receipts"}),
        ("end-transaction-repeated", ("request.overtaken.end-txn",), 600, {"duplicate", "torn", "receipts"}),
        ("batch-not-awaited", ("topic.refuses",), 100, {"missing", "torn", "receipts"}),
        ("read-before-fencing", ("lease.", "process."), 600, {"duplicate", "checkpoints", "receipts"}),
        ("guessed-committed", ("request.", "process."), 100, {"missing", "checkpoints"}),
        ("guessed-aborted", ("request.", "process."), 200, {"duplicate", "checkpoints"}),
    ],
)
@pytest.mark.timeout(300)
def test_a_known_hole_is_found(hole: str, only: tuple[str, ...], most: int, kinds: set[str]) -> None:
    """Within so many schedules the verdict is bad, says what the hole does, and is good without it."""
    with swept():
        for seed in range(most):
            found = simulate(seed, hole=hole, only=only)
            if found.problems:
                break
    assert {problem.partition(":")[0] for problem in found.problems} & kinds, found.problems
    assert simulate(found.schedule.seed, only=only).problems == []


@pytest.mark.parametrize("hole", ["last-stable-offset", "batch-not-awaited"])
@pytest.mark.timeout(300)
def test_a_known_hole_is_found_in_transforms(hole: str) -> None:
    """They share the way in which feeds publish and read their state, and so its dangers."""
    with swept():
        for seed in range(300):
            found = simulate_transform(seed, hole=hole)
            if found.problems:
                break
    assert found.problems
    assert simulate_transform(seed).problems == []


def duel(seed: int) -> Schedule:
    """Return a schedule in which a worker is not told for long that its lease went to another one."""
    documents = tuple((0.25 * n, (Line("100001", f"2031-01-06T08:{n:02}:00Z", 1, "ok"),)) for n in range(40))
    steal = Fault(20, "lease.steal", 0, 30.0), Fault(24, "lease.steal", 2, 30.0)
    return Schedule(
        seed=seed, group=False, workers=2, batch_records=1, moves=False, redrives=False, skews=(0.0, 0.0),
        feeds={"north": 0}, documents={"north": documents}, faults=steal,
    )  # fmt: skip


def test_an_unconfirmed_lease_is_found() -> None:
    """Whoever fences without asking for his lease fences in turns with its owner, until an operator has to come."""
    called = {
        hole: sum(simulate_schedule(duel(seed), hole=hole).counts["restarted by an operator"] for seed in range(8))
        for hole in (None, "lease-not-confirmed")
    }
    assert called[None] == 0
    assert called["lease-not-confirmed"] >= 4
