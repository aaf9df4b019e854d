"""What tests of faults look at: conditions, receipts, rejects, and what the kernel says of a process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from backbone.config import Deployment
from backbone.kafka.readers import read_topics
from backbone.receipts import Receipt
from backbone.rejects import Reject


async def until(condition: Callable[[], bool], *, secs: float = 30) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.01)


async def receipts(deployment: Deployment) -> list[Receipt]:
    """Return every receipt, in order."""
    return [
        Receipt.model_validate_json(record.value or b"")
        async for record in read_topics(deployment.connection, [deployment.topics.receipts])
    ]


async def rejects(deployment: Deployment) -> list[Reject]:
    """Return everything on the rejects topic."""
    return [
        Reject.model_validate_json(record.value or b"")
        async for record in read_topics(deployment.connection, [deployment.topics.rejects])
    ]


def resident_bytes(process_id: int) -> int:
    """Return how much memory a process has in use."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * 4_096
