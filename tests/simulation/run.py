"""Run schedules and judge them."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.holes import HOLES
from tests.simulation.schedule import Schedule, draw
from tests.simulation.transforms import TransformPlan, Transforms
from tests.simulation.transforms import draw as draw_transform
from tests.simulation.verdict import judge
from tests.simulation.world import ORGANISATION, World

SWEEP_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Result:
    """A plan and what came of it."""

    schedule: Schedule | TransformPlan
    problems: list[str]
    counts: Counter[str]
    trace: list[str]
    recovery_secs: float

    def __str__(self) -> str:
        transform = " --transform" if isinstance(self.schedule, TransformPlan) else ""
        again = f"again: python -m tests.simulation --seed {self.schedule.seed}{transform} --trace"
        return "\n".join([str(self.schedule), *(f"  WRONG {problem}" for problem in self.problems[:8]), f"  {again}"])


@dataclass(slots=True)
class Total:
    """What came of many."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[Result] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    """The longest recovery in seconds, and its seed."""


def simulate(seed: int, *, hole: str | None = None, only: tuple[str, ...] = (), traced: bool = False) -> Result:
    """Run the schedule of a seed."""
    return simulate_schedule(draw(seed, only), hole=hole, traced=traced)


def simulate_schedule(schedule: Schedule, *, hole: str | None = None, traced: bool = False) -> Result:
    """Run a schedule and judge what came of it."""
    world = World(schedule, traced=traced)
    with nullcontext() if hole is None else HOLES[hole]():
        outcome = world.run()
    problems = outcome.problems + judge(ORGANISATION, world.folders, world.kafka.logs, redriven=schedule.redrives)
    return Result(schedule, problems, outcome.counts, outcome.trace, outcome.recovery_secs)


def simulate_transform(
    seed: int, *, hole: str | None = None, only: tuple[str, ...] = (), traced: bool = False
) -> Result:
    """Run a transform under the faults of a seed."""
    plan = draw_transform(seed, only)
    stage = Transforms(plan, traced=traced)
    with nullcontext() if hole is None else HOLES[hole]():
        outcome = stage.run()
    problems = outcome.problems + stage.judge()
    return Result(plan, problems, outcome.counts, outcome.trace, outcome.recovery_secs)


def simulate_many(
    seeds: Iterable[int], *, hole: str | None = None, only: tuple[str, ...] = (), run: Callable[..., Result] = simulate
) -> Total:
    """Run the schedules of many seeds."""
    total = Total()
    with swept():
        for number, seed in enumerate(seeds, 1):
            result = run(seed, hole=hole, only=only)
            total.counts.update(result.counts)
            total.slowest = max(total.slowest, (result.recovery_secs, seed))
            if result.problems:
                total.bad.append(result)
            if number % SWEEP_EVERY == 0:
                gc.collect()
    return total


@contextmanager
def swept() -> Iterator[None]:
    """Collect garbage only where asked to: a simulation makes little, and what was there before stays."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
