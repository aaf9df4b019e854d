"""A real worker, or a real subscriber, that notes what it uses.

python -m tests.soak.worker SAMPLES EVERY feeds|subscriber ...

The arguments behind ``feeds`` are a deployment file; behind ``subscriber`` servers and an organisation.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from backbone.config import load
from backbone.logs import configure_logging
from backbone.subscriber import Event, Settings, Subscriber
from backbone.worker import run_worker
from schemas.servicerequests.v1 import StatusChanged
from tests.process_use import descriptors, resident_bytes


def sample() -> dict[str, float]:
    """Return memory, blocks that Python has allocated, descriptors, sockets and tasks of this process now."""
    opened, sockets = descriptors(os.getpid())
    return {
        "at": time.monotonic(),
        "rss_bytes": resident_bytes(os.getpid()),
        "blocks": sys.getallocatedblocks(),
        "descriptors": opened,
        "sockets": sockets,
        "tasks": len(asyncio.all_tasks()),
    }


async def sampled(path: Path, every_secs: float, work: Coroutine[Any, Any, int]) -> int:
    """Do the work, and note a sample every few seconds beside it."""

    async def note() -> None:
        with path.open("w", buffering=1) as lines:
            while True:
                lines.write(json.dumps(sample()) + "\n")
                await asyncio.sleep(every_secs)

    noting = asyncio.create_task(note())
    try:
        return await work
    finally:
        noting.cancel()


async def subscribed(servers: str, organisation: str) -> int:
    """Handle everything, 32 cases at once, and do nothing with it."""
    settings = Settings(
        bootstrap_servers=servers, organisation=organisation, concurrency=32, facts_without_hook="ignore"
    )
    subscriber = Subscriber("soak", settings)

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        del event

    await subscriber.run()
    return 0


def main() -> int:
    """Run until stopped."""
    samples, every, what, *of = sys.argv[1:]
    configure_logging(json=True)
    work = run_worker(load(Path(of[0])).worker_settings()) if what == "feeds" else subscribed(*of)
    return asyncio.run(sampled(Path(samples), float(every), work))


if __name__ == "__main__":
    sys.exit(main())
