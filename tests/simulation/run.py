"""Run schedules and judge them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.schedule import Schedule, draw
from tests.simulation.verdict import judge
from tests.simulation.world import ORGANISATION, World


@dataclass(frozen=True, slots=True)
class Result:
    """A schedule and what came of it."""

    schedule: Schedule
    problems: list[str]
    counts: Counter[str]
    trace: list[str]

    def __str__(self) -> str:
        again = f"again: python -m tests.simulation --seed {self.schedule.seed} --trace"
        return "\n".join([str(self.schedule), *(f"  WRONG {problem}" for problem in self.problems[:8]), f"  {again}"])


@dataclass(slots=True)
class Total:
    """What came of many."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[Result] = field(default_factory=list)


def simulate(seed: int, *, hole: str | None = None, only: tuple[str, ...] = (), traced: bool = False) -> Result:
    """Run the schedule of a seed."""
    schedule = draw(seed, only)
    world = World(schedule, traced=traced)
    outcome = world.run()
    problems = outcome.problems + judge(ORGANISATION, world.folders, world.kafka.logs, redriven=schedule.redrives)
    return Result(schedule, problems, outcome.counts, outcome.trace)


def simulate_many(seeds: Iterable[int], *, hole: str | None = None, only: tuple[str, ...] = ()) -> Total:
    """Run the schedules of many seeds."""
    total = Total()
    for seed in seeds:
        result = simulate(seed, hole=hole, only=only)
        total.counts += result.counts
        if result.problems:
            total.bad.append(result)
    return total
