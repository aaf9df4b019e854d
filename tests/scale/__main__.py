"""Measure how long feeds stand still when workers come and go, and what many feeds cost.

python -m tests.scale [--runs 3]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from backbone.embedded import EmbeddedKafka
from tests.scale.bulkheads import Bulkhead, beside
from tests.scale.fleet import Fleet
from tests.scale.moves import Move, Place, many_feeds, moved, rolling_restart

EVENTS: dict[str, Callable[[Fleet], Awaitable[object]]] = {
    "nothing happens": lambda _: asyncio.sleep(0),
    "a worker is stopped": lambda made: made.stop(made.workers[0]),
    "a worker is killed": lambda made: made.kill(made.workers[0]),
    "a worker joins": lambda made: made.start(),
}


NEIGHBOURS = (("hung", True), ("crashing", True), ("flooding", True), ("flooding", False))
Result = TypeVar("Result")


async def measure(runs: int) -> bool:
    """Print every figure; say whether nothing was wrong with what came out."""
    right = True
    async with EmbeddedKafka() as kafka:
        numbers = iter(range(90_000_000, 91_000_000))

        async def on(run: Callable[[Place], Awaitable[Result]]) -> Result:
            with tempfile.TemporaryDirectory(prefix="backbone-scale-") as folder:
                return await run(Place(Path(folder), kafka.bootstrap_servers, f"E{next(numbers)}"))

        print("longest time without a receipt in any feed, documents every 0.2 s (restart: 0.5 s)")
        for name, happens in EVENTS.items():
            right &= _print(name, [await on(lambda place, it=happens: moved(place, it)) for _ in range(runs)])  # type: ignore[misc]
        right &= _print("five workers restarted", [await on(rolling_restart) for _ in range(runs)])
        print("99th percentile of seconds from a document to its receipt, without and with a neighbour")
        for kind, own_process in NEIGHBOURS:
            run = partial(beside, kind=kind, secs=20, own_process=own_process)
            found = [await on(run) for _ in range(runs)]
            where = "in a process of its own" if own_process else "in the same process"
            right &= _compare(f"{kind} {where}", found)
        with tempfile.TemporaryDirectory(prefix="backbone-scale-") as folder:
            many = await many_feeds(Place(Path(folder), kafka.bootstrap_servers, f"E{next(numbers)}"))
        memory = " and ".join(f"{used:.0f} MB" for used in many.rss_mb)
        idle = " and ".join(f"{share:.1%}" for share in many.idle_cpu_share)
        print(f"200 feeds on two workers: all at work after {many.ready_secs:.1f} s, {memory}, idle CPU {idle}")
        return right and not many.problems


def _print(name: str, found: Sequence[Move]) -> bool:
    gaps = [move.worst_gap_secs for move in found]
    problems = [problem for move in found for problem in move.problems]
    between = f"{min(gaps):.2f} to {max(gaps):.2f}, {len(gaps)} runs"
    print(f"  {name:24}{statistics.median(gaps):6.2f} s  ({between})  {len(problems)} problems", flush=True)
    for problem in problems[:5]:
        print(f"    {problem}")
    return not problems


def _compare(name: str, found: Sequence[Bulkhead]) -> bool:
    ratios = [one.ratio for one in found]
    without, beside_it = (statistics.median(times) for times in zip(*[(b.before_secs, b.with_secs) for b in found],
                                                                     strict=True))  # fmt: skip
    between = f"{min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} runs"
    ratio = f"{statistics.median(ratios):.2f} times ({between})"
    print(f"  {name:34}{without:.3f} and {beside_it:.3f} s, {ratio}", flush=True)
    problems = [problem for one in found for problem in one.problems]
    for problem in problems[:5]:
        print(f"    {problem}")
    return not problems


def main() -> int:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    return 0 if asyncio.run(measure(parser.parse_args().runs)) else 1


if __name__ == "__main__":
    sys.exit(main())
