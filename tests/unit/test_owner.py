"""The life under a lease goes on whatever happens within it, and ends only when somebody asks for it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from backbone.owner import Owner
from backbone.session import Batches, Producer


@dataclass
class Starts:
    """A producer that does nothing but count."""

    discarded: int = 0

    async def start(self) -> None:
        """Start."""

    async def publish(self, batches: Batches, recorded_at: str) -> None:
        """Publish nothing."""

    async def discard(self) -> None:
        """Count."""
        self.discarded += 1


@dataclass
class Life:
    """An owner whose first opening fails with a cancellation from within, and whose second works for ever."""

    producers: list[Starts] = field(default_factory=list)
    noted: list[Exception] = field(default_factory=list)
    working: asyncio.Event = field(default_factory=asyncio.Event)

    def producer(self, transactional_id: str) -> Producer:
        """Make one and keep it."""
        self.producers.append(Starts())
        return self.producers[-1]

    async def open(self, producer: Producer) -> int:
        """Fail the first time, as if a client had cancelled a task of its own."""
        if len(self.producers) == 1:
            within = asyncio.ensure_future(asyncio.sleep(10))
            await asyncio.sleep(0)
            within.cancel()
            await within
        return len(self.producers)

    async def work(self, opened: int) -> None:
        """Work until cancelled."""
        self.working.set()
        await asyncio.sleep(60)

    def gives_up(self, error: Exception) -> bool:
        """Note the error and go on."""
        self.noted.append(error)
        return False

    async def confirm(self) -> bool:
        """Have the lease."""
        return True


async def test_a_cancellation_from_within_is_an_error_and_not_the_end() -> None:
    """A task that is awaited and was cancelled makes the owner begin anew; cancelling the owner itself ends it."""
    life = Life()
    owner = Owner("id", life.producer, life.confirm, asyncio.Event())
    running = asyncio.create_task(owner.run(life.open, life.work, life.gives_up))
    await asyncio.wait_for(life.working.wait(), 10)
    assert [getattr(error, "code", "") for error in life.noted] == ["broker.failed"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [producer.discarded for producer in life.producers] == [1, 1]
