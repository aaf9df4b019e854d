"""Ten thousand schedules: whatever fails, and whenever, nothing is lost, repeated, torn or out of order."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import simulate_many, simulate_transform
from tests.simulation.schedule import POINTS, WEIGHTS

ROOT = Path(__file__).parents[2]
SCHEDULES = 10_000
AT_ONCE = 1_250
DIES = "process.die-at-point"
"""It is counted by its point."""

SEEN_LEAST = {
    "transactions fenced": 300,
    "transactions timed out": 4,
    "end answered 47": 80,  # a commit of somebody who was fenced
    "produce answered 47": 50,
    "produce answered 48": 10,  # a batch that came behind the end of its transaction
    "add answered 51": 1_000,  # markers are not written yet
    "init answered 51": 1_000,
    "end answered 16": 5,  # the coordinator is elsewhere
    "duplicate batch": 80,
    "refused": 50,
    "arrived after a cut": 1_000,
    "reads behind an open transaction": 500,
    "end offsets behind an open transaction": 20,
    "reads over aborted data": 500,
    "rebalances": 300,
    "sessions expired": 40,
}
"""How often each thing must at least have come up in so many schedules, or they are not worth running."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_ONCE))
def test_schedules_lose_and_repeat_nothing(first: int) -> None:
    """Everything is there once, whole and in order; receipts balance, checkpoints go forward, nothing hangs."""
    total = simulate_many(range(first, first + AT_ONCE))
    assert not total.bad, "\n".join(map(str, total.bad[:3]))
    assert total.slowest[0] < 120, f"seed {total.slowest[1]} took {total.slowest[0]:.0f} s to recover"
    assert not total.counts["restarted by an operator"], "ids were in use again and again"
    seldom = {kind: total.counts[kind] for kind in WEIGHTS if kind != DIES and total.counts[kind] < 5}
    seldom |= {name: total.counts[name] for name, least in SEEN_LEAST.items() if total.counts[name] < least}
    deaths = {point: total.counts[f"died at {point}"] for point in POINTS if not point.startswith("redrive")}
    deaths["redrive"] = sum(total.counts[f"died at {point}"] for point in POINTS if point.startswith("redrive"))
    seldom |= {point: count for point, count in deaths.items() if count < 3}
    assert not seldom, f"these came up too seldom: {seldom}"


TRANSFORMS_AT_ONCE = 500


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, 1_000, TRANSFORMS_AT_ONCE))
def test_transforms_lose_and_repeat_nothing(first: int) -> None:
    """Each input has its outputs or its dead letter once, in the order of its case; positions go forward."""
    total = simulate_many(range(first, first + TRANSFORMS_AT_ONCE), run=simulate_transform)
    assert not total.bad, "\n".join(map(str, total.bad[:3]))
    assert total.slowest[0] < 120, f"seed {total.slowest[1]} took {total.slowest[0]:.0f} s to recover"
    never = {kind for kind in WEIGHTS if not total.counts[kind]} - {DIES, "document.changed"}
    assert not never, f"these never struck: {never}"
    assert total.counts["died at transform.committed"] >= 3
    assert total.counts["transactions fenced"] >= 50
    assert total.counts["reads over aborted data"] >= 100


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """What happens depends on the seed alone: neither on the order of sets nor on the process."""
    code = (
        "from tests.simulation.run import simulate\n"
        "print([line for seed in range(12) for line in simulate(seed, traced=True).trace if 'assigned' not in line])"
    )
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        printed = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True
        )
        assert len(printed.stdout) > 10_000
        digests.add(hashlib.sha256(printed.stdout).hexdigest())
    assert len(digests) == 1


def test_a_failure_is_printed_with_its_schedule_and_how_to_repeat_it() -> None:
    """The command runs a seed again: it says what is wrong, shows the faults, and traces what happened."""
    command = [sys.executable, "-m", "tests.simulation", "--hole", "guessed-committed"]
    ended = subprocess.run([*command, "--schedules", "20"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    again = next(line for line in ended.stdout.splitlines() if "again: python -m tests.simulation --seed" in line)
    seed = again.split("--seed ")[1].split()[0]
    wrong = next(line.strip().removeprefix("WRONG ") for line in ended.stdout.splitlines() if "  WRONG " in line)
    traced = subprocess.run(
        [*command, "--seed", seed, "--trace"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert traced.returncode == 1
    assert traced.stdout.startswith(f"seed {seed}: ")
    for expected in ("broker: init", "behind request", "broker: marker", wrong):
        assert expected in traced.stdout
