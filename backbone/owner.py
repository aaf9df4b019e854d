"""Being the one owner of a transactional id: confirm the lease, fence, open, work, and begin again after any error.

Shards of feeds and the input partitions of transforms live this way. The order is that of
``docs/adr/0002-exactly-once.md`` and every step of it matters.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from backbone import memory
from backbone.cancellation import asked_to_end
from backbone.errors import FatalError, FencedError, TransientError
from backbone.session import Producer
from backbone.waiting import Reason, waiting

CONFIRM_PAUSE_SECS: Final = 0.5
BACKOFF_FIRST_SECS: Final = 0.1
BACKOFF_LAST_SECS: Final = 3.0
STEADY_SECS: Final = 10.0
"""Who worked for so long begins again at once; who fails each time, such as on a topic that refuses, ever later."""
FENCED_MOST: Final = 3
FENCED_WITHIN_SECS: Final = 60.0
CONFIRMING: Final = Reason(
    "broker.unreachable", "the broker to confirm that the lease is ours", "look at the brokers and the network"
)

Opened = TypeVar("Opened")


@dataclass(slots=True)
class Owner:
    """The life of whoever owns a transactional id for as long as the lease is ours.

    ``stopping`` cuts everything short but the work in hand, which ends by itself.
    """

    transactional_id: str
    producer: Callable[[str], Producer]
    confirm: Callable[[], Awaitable[bool]]
    stopping: asyncio.Event
    _fenced_at: list[float] = field(default_factory=list)

    async def run(
        self,
        opening: Callable[[Producer], Coroutine[Any, Any, Opened]],
        working: Callable[[Opened], Awaitable[None]],
        gives_up: Callable[[Exception], bool],
    ) -> None:
        """Work until stopped or cancelled, or until ``gives_up`` says of an error that there is no going on.

        ``opening`` is given a producer that is started: whoever reads what was committed has fenced the others before.
        """
        backoff = BACKOFF_FIRST_SECS
        while not self.stopping.is_set():
            began, is_fenced = asyncio.get_running_loop().time(), False
            try:
                await self._once(opening, working)
            except (Exception, asyncio.CancelledError) as error:  # the one place that catches everything
                if isinstance(error, asyncio.CancelledError) and asked_to_end():
                    raise
                if gives_up(self._judged(error)):
                    return
                is_fenced = isinstance(error, FencedError)
            else:
                continue
            memory.settle()
            if is_fenced or asyncio.get_running_loop().time() - began > STEADY_SECS:
                backoff = BACKOFF_FIRST_SECS
            await self._unless_stopped(asyncio.sleep(backoff * random.uniform(0.5, 1.5)))  # noqa: S311 - jitter
            backoff = min(backoff * 2, BACKOFF_LAST_SECS)

    async def _once(
        self,
        opening: Callable[[Producer], Coroutine[Any, Any, Opened]],
        working: Callable[[Opened], Awaitable[None]],
    ) -> None:
        """Open and work until the end or the first error."""
        await self._unless_stopped(self._confirmed())
        if self.stopping.is_set():
            return
        producer = self.producer(self.transactional_id)
        try:
            opened = await self._unless_stopped(_fenced(producer, opening))
            if opened is not None:
                await working(opened)
        finally:
            await asyncio.shield(producer.discard())

    async def _confirmed(self) -> None:
        with waiting(CONFIRMING):
            while not await self.confirm():
                await asyncio.sleep(CONFIRM_PAUSE_SECS)

    async def _unless_stopped(self, work: Coroutine[Any, Any, Opened]) -> Opened | None:
        """Return what the work gives, or None when we are asked to stop before."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stop):
                one.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)
            del task, stop  # or an error holds this frame, and the frame the task with the error

    def _judged(self, error: Exception | asyncio.CancelledError) -> Exception:
        """Return the error, or a fatal one where we are fenced again and again although the lease is ours."""
        if isinstance(error, asyncio.CancelledError):
            return TransientError("a task within was cancelled, and nobody asked for it", code="broker.failed")
        if not isinstance(error, FencedError):
            return error
        now = asyncio.get_running_loop().time()
        self._fenced_at = [at for at in self._fenced_at if now - at < FENCED_WITHIN_SECS] + [now]
        if len(self._fenced_at) <= FENCED_MOST:
            return error
        return FatalError(
            "our transactional id is taken over again and again while the lease is ours",
            code="feed.ids-in-use",
            guidance="another deployment uses the same organisation and names: stop one of them",
        )


async def _fenced(producer: Producer, opening: Callable[[Producer], Coroutine[Any, Any, Opened]]) -> Opened:
    """Start a producer, which fences everybody before, and open only then."""
    await producer.start()
    return await opening(producer)
