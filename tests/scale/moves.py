"""How long feeds stand still when workers come and go, and what many feeds cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backbone.testing.rows import events, faults
from tests.process_use import cpu_secs, descriptors, resident_bytes
from tests.scale.fleet import Fleet, fleet

STEADY_SECS: Final = 3.0
"""How long the feeds run undisturbed before something happens."""
SETTLE_SECS: Final = 12.0
"""How long is looked at behind it: longer than a session's time-out."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fleet runs: a folder of its own, a broker, and an organisation that nobody else uses."""

    folder: Path
    servers: str
    organisation: str


@dataclass(frozen=True, slots=True)
class Move:
    """The longest time without a receipt in any feed around one event, and what was wrong with what came out."""

    worst_gap_secs: float
    problems: list[str]


@asynccontextmanager
async def trickling(made: Fleet, every_secs: float, feeds: Sequence[str] = ()) -> AsyncIterator[None]:
    """Let small documents come for a while; afterwards wait until each has its receipt."""
    writing = asyncio.create_task(made.trickle(every_secs, feeds))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await made.caught_up(120)


async def wrong_with(made: Fleet) -> list[str]:
    """Return what a committed reader finds wrong with everything that was written."""
    found = await events(made.deployment.connection, made.deployment.organisation)
    return faults(found, made.wanted) + [f"a second receipt of {place}" for place in made.arrivals.again]


async def moved(place: Place, happens: Callable[[Fleet], Awaitable[object]], *, feeds: int = 8) -> Move:
    """Run two workers under a trickle, let something happen, and measure the feeds' longest pause."""
    names = dict.fromkeys([f"feed-{number:02}" for number in range(feeds)], "")
    async with fleet(place.folder, place.servers, place.organisation, names) as made:
        for _ in range(2):
            await made.start()
        async with trickling(made, 0.2):
            await running(made)
            await asyncio.sleep(STEADY_SECS)
            since = time.monotonic()
            await happens(made)
            await asyncio.sleep(SETTLE_SECS)
            gaps = made.arrivals.gaps(made.feeds, since)
        return Move(max(gaps.values()), await wrong_with(made))


async def running(made: Fleet, feeds: Sequence[str] = (), within_secs: float = 120.0) -> None:
    """Wait until every feed has a receipt and every worker has been given its part."""
    async with asyncio.timeout(within_secs):
        while {feed for feed, _ in made.arrivals.arrived} != set(feeds or made.feeds) or not all(
            "lease.assigned" in made.log(worker) for worker in made.workers
        ):
            await asyncio.sleep(0.05)


async def rolling_restart(place: Place, *, workers: int = 5, feeds: int = 20) -> Move:
    """Stop and start one worker after the other, each when the one before is at work again."""
    names = dict.fromkeys([f"feed-{number:02}" for number in range(feeds)], "")
    async with fleet(place.folder, place.servers, place.organisation, names) as made:
        for _ in range(workers):
            await made.start()
        async with trickling(made, 0.5):
            await running(made)
            await asyncio.sleep(STEADY_SECS)
            since = time.monotonic()
            for worker in list(made.workers):
                code = await made.stop(worker)
                assert code == 0, f"a worker stopped with exit code {code}"
                await made.start()
                await running(made)
            await asyncio.sleep(STEADY_SECS)
            gaps = made.arrivals.gaps(made.feeds, since)
        return Move(max(gaps.values()), await wrong_with(made))


@dataclass(frozen=True, slots=True)
class Many:
    """What many feeds cost two workers."""

    ready_secs: float
    rss_mb: tuple[float, ...]
    idle_cpu_share: tuple[float, ...]
    sockets: tuple[int, ...]
    problems: list[str]


async def many_feeds(place: Place, *, feeds: int = 200, idle_secs: float = 10.0) -> Many:
    """Give two workers many feeds with two documents each, and look at them when all is done."""
    names = dict.fromkeys([f"feed-{number:03}" for number in range(feeds)], "")
    async with fleet(place.folder, place.servers, place.organisation, names) as made:
        for feed in made.feeds:
            made.write(feed)
        began = time.monotonic()
        for _ in range(2):
            await made.start()
        await made.caught_up(300)
        ready = time.monotonic() - began
        for feed in made.feeds:
            made.write(feed)
        await made.caught_up(300)
        before = [cpu_secs(worker.pid) for worker in made.workers]
        await asyncio.sleep(idle_secs)
        idle = tuple((cpu_secs(worker.pid) - cpu) / idle_secs for worker, cpu in zip(made.workers, before, strict=True))
        memory = tuple(resident_bytes(worker.pid) / 1_048_576 for worker in made.workers)
        connected = tuple(descriptors(worker.pid)[1] for worker in made.workers)
        return Many(ready, memory, idle, connected, await wrong_with(made))
