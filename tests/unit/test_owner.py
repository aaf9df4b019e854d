"""The life of whoever owns a transactional id: every error but a fatal one begins it again."""

import asyncio
from typing import Any

import pytest

from backbone.errors import BackboneError, FatalError, TransientError
from backbone.owner import Owner


class Producer:
    """One that only ends."""

    async def discard(self) -> None:
        """End."""


async def confirmed() -> bool:
    return True


async def live(*happenings: Any) -> list[Exception]:
    """Let an owner live through errors, one each time that it works; return those that it judged."""
    waiting, judged, ended = list(happenings), [], asyncio.Event()

    async def opening(producer: Any) -> str:
        return "opened"

    async def working(opened: str) -> None:
        if not waiting:
            ended.set()
            return
        happening = waiting.pop(0)
        if callable(happening):
            await happening()
        raise happening

    def gives_up(error: Exception) -> bool:
        judged.append(error)
        return isinstance(error, FatalError)

    made: Any = Producer()
    owner = Owner("id", lambda _: made, confirmed, ended)
    await asyncio.wait_for(owner.run(opening, working, gives_up), 30)
    return judged


async def lost_request() -> None:
    """Wait for a request that the client cancels, as its connection goes."""
    request = asyncio.get_running_loop().create_future()
    request.cancel()
    await request


async def test_a_request_that_the_client_cancelled_is_no_end() -> None:
    """Nobody asked the owner to end: it notes the loss where people see it and begins again."""
    (error,) = await live(lost_request)
    assert isinstance(error, TransientError)
    assert error.code == "broker.failed"


async def test_every_error_begins_it_again_but_a_fatal_one() -> None:
    """A lost connection, a bug, and then one that ends it."""
    judged = await live(TransientError("away"), ValueError(), FatalError("no"))
    assert [type(error) for error in judged] == [TransientError, ValueError, FatalError]
    assert not [error for error in judged if isinstance(error, BackboneError) and error.code == "internal.error"]


async def test_it_ends_when_it_is_asked_to() -> None:
    """A cancellation by whoever runs it passes through."""
    running = asyncio.create_task(live(lambda: asyncio.sleep(60)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
