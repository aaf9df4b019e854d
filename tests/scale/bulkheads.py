"""What a bad neighbour costs the others: their latency while it hangs, crashes or floods, beside that without it."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backbone.testing.rows import HEADER
from tests.scale.fleet import Fleet, fleet
from tests.scale.moves import Place, running, trickling, wrong_with

GOOD: Final = tuple(f"good-{number}" for number in range(6))
BAD: Final = "bad"
EVERY_SECS: Final = 0.25
FLOOD_ROWS: Final = 100_000
ADAPTERS: Final = {
    "hung": "adapter: 'tests.scale.neighbours:hanging',",
    "crashing": "adapter: 'tests.scale.neighbours:crashing',",
    "flooding": "adapter: symology,",
}


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """Seconds from a document to its receipt, the 99th percentile, without and with the neighbour."""

    before_secs: float
    with_secs: float
    problems: list[str]

    @property
    def ratio(self) -> float:
        """Return how much longer documents take with the neighbour."""
        return self.with_secs / self.before_secs


async def beside(place: Place, kind: str, *, secs: float, own_process: bool = True) -> Bulkhead:
    """Measure the good feeds for some seconds, then again while the bad one is at work, in one and the same worker."""
    process = "process: apart," if own_process else ""
    feeds = {**dict.fromkeys(GOOD, ""), BAD: f"{ADAPTERS[kind]} {process}"}
    async with fleet(place.folder, place.servers, place.organisation, feeds) as made:
        await made.start()
        async with trickling(made, EVERY_SECS, GOOD):
            await running(made, GOOD)
            await asyncio.sleep(2)
            before = await _measured(made, secs)
            bad = asyncio.create_task(_misbehave(made, kind))
            await asyncio.sleep(2)
            beside_it = await _measured(made, secs)
            bad.cancel()
        assert made.workers[0].returncode is None, "the worker itself has ended"
        # what the neighbour published was not written by the fleet
        problems = [problem for problem in await wrong_with(made) if not problem.startswith("unexpected ('9")]
        return Bulkhead(percentile(before, 99), percentile(beside_it, 99), problems)


async def _measured(made: Fleet, secs: float) -> list[float]:
    since = time.monotonic()
    await asyncio.sleep(secs)
    until = time.monotonic()
    await asyncio.sleep(2)  # the last ones are on their way
    return made.arrivals.latencies(GOOD, since, until)


async def _misbehave(made: Fleet, kind: str) -> None:
    """Give the bad feed its file, or file after file."""
    folder, number = made.folder / BAD, 0
    while True:
        path = folder / f"{20_310_000 + number}.csv"
        row = '06/01/2031 08:00,06/01/2031,9{:06},RECORDED,,NI2,N3,"RSW",RES,1\n'
        rows = (row.format(case) for case in range(FLOOD_ROWS if kind == "flooding" else 1))
        text = await asyncio.to_thread(lambda rows=rows: HEADER + "".join(rows))  # type: ignore[misc]
        hidden = path.with_name(f".{path.name}")
        await asyncio.to_thread(hidden.write_text, text)
        hidden.rename(path)
        number += 1
        while kind != "flooding" or len(list(folder.glob("*.csv"))) > 2:
            await asyncio.sleep(0.2)


def percentile(values: Sequence[float], share: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
