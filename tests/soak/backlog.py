"""Four days without a worker: thousands of small files wait, and are drained in their order within bounded memory.

python -m tests.soak.backlog [--files 10000]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from backbone.embedded import EmbeddedKafka
from tests.process_use import resident_bytes
from tests.scale.fleet import Fleet, fleet
from tests.scale.moves import Place, wrong_with

FEED = "backlog"


@dataclass(frozen=True, slots=True)
class Drained:
    """How long it took, the memory after a twentieth of the files and the most since, and what was wrong."""

    secs: float
    early_mb: float
    most_mb: float
    problems: list[str]


async def drain(place: Place, files: int, lines: int = 20) -> Drained:
    """Let files wait, then start one worker and see it through."""
    async with fleet(place.folder, place.servers, place.organisation, {FEED: ""}) as made:
        for _ in range(files):
            made.write(FEED, lines)
        began = time.monotonic()
        worker = await made.start()
        early = most = 0.0
        while made.arrivals.outstanding:
            assert worker.returncode is None, made.log(worker)[-2_000:]
            if len(made.arrivals.arrived) >= files // 20:
                used_mb = resident_bytes(worker.pid) / 1_048_576
                early = early or used_mb
                most = max(most, used_mb)
            await asyncio.sleep(0.2)
        took = time.monotonic() - began
        assert await made.stop(worker) == 0
        return Drained(took, early, most, [*await wrong_with(made), *_order(made)])


def _order(made: Fleet) -> list[str]:
    """Return the documents whose receipts did not come in the order of their names."""
    names = [name for _, name in made.arrivals.arrived]
    return [f"{later} came before {earlier}" for earlier, later in zip(sorted(names), names, strict=True)
            if earlier != later][:5]  # fmt: skip


async def _main(files: int) -> int:
    with tempfile.TemporaryDirectory(prefix="backbone-backlog-") as folder:
        async with EmbeddedKafka() as kafka:
            drained = await drain(Place(Path(folder), kafka.bootstrap_servers, "E90000000"), files)
    print(
        f"{files:,} waiting files of 20 rows drained in {drained.secs:.0f} s; memory {drained.early_mb:.0f} MB after a"
        f" twentieth of them, {drained.most_mb:.0f} MB at most"
    )
    for problem in drained.problems[:10]:
        print(problem)
    print("FAILED" if drained.problems else "every file in its order, nothing missing, nothing twice")
    return 1 if drained.problems else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    sys.exit(asyncio.run(_main(parser.parse_args().files)))
