"""Run simulations and judge them: python -m tests.simulation [--seed N] [--schedules N] [--transform] [--trace]."""

import argparse
import sys
import time

from tests.simulation.run import simulate, simulate_many, simulate_transform


def main() -> int:
    """Run one seed, or many from it on; exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--schedules", type=int, default=1)
    parser.add_argument("--transform", action="store_true", help="run a transform, and not feeds")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--hole", help="put a known hole back")
    parser.add_argument("--only", nargs="*", default=[], help="faults whose names begin so")
    chosen = parser.parse_args()
    run = simulate_transform if chosen.transform else simulate
    if chosen.schedules == 1:
        result = run(chosen.seed, hole=chosen.hole, only=tuple(chosen.only), traced=chosen.trace)
        print(result.schedule)
        print("\n".join(result.trace))
        print("\n".join(result.problems or ["nothing is wrong"]))
        return 1 if result.problems else 0
    began = time.process_time()
    seeds = range(chosen.seed, chosen.seed + chosen.schedules)
    total = simulate_many(seeds, hole=chosen.hole, only=tuple(chosen.only), run=run)
    spent = time.process_time() - began
    for name, count in sorted(total.counts.items()):
        print(f"  {name:44}{count:>10,}")
    print(f"{chosen.schedules:,} schedules in {spent:.1f} s of CPU, {1_000 * spent / chosen.schedules:.1f} ms each")
    print("longest recovery {:.1f} s, seed {}".format(*total.slowest))
    for result in total.bad[:10]:
        print(result)
    print(f"{len(total.bad)} are wrong" if total.bad else "nothing is wrong")
    return 1 if total.bad else 0


if __name__ == "__main__":
    sys.exit(main())
