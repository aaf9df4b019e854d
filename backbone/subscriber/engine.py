"""Events to handlers: several cases at once, each case in order, and nothing lost or skipped on the way.

Work waits in one queue; workers take it. While a case has work in hand or held back, its later work queues behind it
in ``PartitionRun.busy``, so that a slow or failing case never holds back another one. See
``docs/adr/0007-subscribers.md``.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Any, Final, Literal

import structlog

from backbone.subscriber.attempts import Attempts, Retrying, raise_if_ended
from backbone.subscriber.event import Event
from backbone.subscriber.intake import Intake
from backbone.subscriber.refusals import Refusals
from backbone.subscriber.routes import Routes
from backbone.subscriber.tracing import TRACE_ID, InHand
from backbone.subscriber.work import DeadLetters, Key, PartitionRun, Place, Stretch, Tally, Work

YIELD_EVERY: Final = 500
"""After so many events without a pause, the event loop gets its turn: heartbeats and fetches need it."""
CUT_OFF_SECS: Final = 1.0
"""How long a handler that is cut off has to clean up."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Resume:
    """A case that was held back and may go on."""

    run: PartitionRun
    key: Key


class Engine:
    """Run handlers over what partitions give."""

    def __init__(
        self,
        routes: Routes,
        dead: DeadLetters,
        *,
        concurrency: int = 1,
        retrying: Retrying,
        park: bool = True,
        patient: bool = True,
        tally: Tally | None = None,
    ) -> None:
        """Take the handlers.

        ``park`` sets later events of a dead case aside behind its dead letter. A ``patient`` engine waits while dead
        letters are refused; another one ends with the reason.
        """
        self.tally = tally or Tally()
        self.refusals = Refusals(patient=patient)
        self._intake = Intake(routes)
        self._letters = dead.open
        self._attempts = Attempts(dead, retrying, self.refusals, self.tally, park=park)
        self._ready: deque[Any] = deque()
        """Stretches of records, Work, lists of Work, and cases that may go on."""
        self._idle: deque[asyncio.Future[None]] = deque()
        self._held: set[tuple[Place, Key]] = set()
        self._held_since: dict[tuple[Place, Key], float] = {}
        self._hands = [InHand() for _ in range(concurrency)]
        """By worker, what it works on."""
        self._workers: list[asyncio.Task[None]] = []
        self._cut_off: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Return how many records and other items wait for a worker."""
        return sum(length_hint(item.records) if item.__class__ is Stretch else 1 for item in self._ready)

    @property
    def oldest_waiting_secs(self) -> float:
        """Return for how long the case that is held back longest has been, over all its tries."""
        return time.monotonic() - min(self._held_since.values()) if self._held_since else 0.0

    async def run(self) -> None:
        """Work for ever; ends with the first error that is not a handler's."""
        async with asyncio.TaskGroup() as group:
            self._workers = [group.create_task(self._work(hand)) for hand in self._hands]

    def offer(self, run: PartitionRun, records: Sequence[Any]) -> None:
        """Take records of a partition, in their order; those that no handler wants are done at once."""
        run.take(records)
        ready, unwanted = self._intake.sort(run, records)
        self._ready.extend(ready)
        self.tally.ignored += len(unwanted)
        for offset in unwanted:
            run.progress.done(offset)
        self._wake(self.waiting)

    def retry(self, work: Work) -> None:
        """Take a dead letter that is to be tried again."""
        self._ready.append(work)
        self._wake(1)

    async def release(self, run: PartitionRun, within_secs: float) -> bool:
        """Begin nothing more of a partition; wait for what is in hand, then cut it off; say whether all ended itself.

        A handler that went on would work on a case beside the next owner of the partition.
        """
        run.alive = False
        self.refusals.forget(run.place)
        for held in [held for held in self._held_since if held[0] == run.place]:
            self._held.discard(held)
            del self._held_since[held]
        await _until(lambda: not run.in_hand, within_secs)
        if not run.in_hand:
            return True
        for worker, hand in zip(self._workers, self._hands, strict=True):
            if hand.run is run and not worker.done():
                self._cut_off.add(worker)
                worker.cancel()
        await _until(lambda: not run.in_hand, CUT_OFF_SECS)
        return False

    def _wake(self, most: int) -> None:
        while self._idle and most > 0:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                most -= 1

    async def _work(self, hand: InHand) -> None:
        TRACE_ID.set(hand)
        while True:
            try:
                await self._work_on(hand)
            except asyncio.CancelledError:
                worker = asyncio.current_task()
                if worker is None or worker not in self._cut_off or worker.cancelling() > 1:
                    raise
                self._cut_off.discard(worker)
                worker.uncancel()

    async def _work_on(self, hand: InHand) -> None:  # noqa: PLR0915 - one loop over local names: calls cost a tenth
        """Take what is ready, nearly all of it plain: an event of a free case, for its one handler."""
        ready, tally, letters, failed = self._ready, self.tally, self._letters, self._attempts.failed
        since_pause = 0
        while True:
            since_pause += 1
            if since_pause >= YIELD_EVERY:
                since_pause = 0
                await asyncio.sleep(0)
            if not ready:
                since_pause = 0
                hand.run = hand.record = None
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
                continue
            item = ready[0]
            if item.__class__ is not Stretch:
                ready.popleft()
                await self._other(item, hand)
                continue
            record = next(item.records, None)
            run = item.run
            if record is None or not run.alive:
                ready.popleft()
                continue
            key, busy = record.key, run.busy
            if key in busy:
                run.queue(Work(run, record, item.routes))
                continue
            hand.run, hand.record = run, record
            busy[key] = None
            if letters or not item.is_plain:
                await self._case(run, key, Work(run, record, item.routes))
                continue
            run.in_hand += 1
            try:
                try:
                    event = Event(item.validate(record.value), record)
                except Exception:  # noqa: BLE001 - what is wrong with it is found out at leisure
                    await self._case(run, key, Work(run, record, item.routes))
                    continue
                try:
                    await item.handler(event)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as in `Attempts.attempt`
                    raise_if_ended(error)
                    work = Work(run, record, item.routes, event)
                    await self._case(run, key, work, await failed(work, error))
                    continue
                tally.handled += 1
                run.progress.done(record.offset)
                queue = busy.pop(key)
                if queue:
                    busy[key] = queue
                    await self._case(run, key, queue.popleft())
            finally:
                run.in_hand -= 1

    async def _other(self, item: Any, hand: InHand) -> None:
        """Take what is no plain record: a record that is no event, a batch, a case that may go on, a retry."""
        if isinstance(item, list):
            batch = [work for work in item if work.run.alive]
            if batch:
                hand.run = batch[0].run
                await self._batch(batch)
            return
        run: PartitionRun = item.run
        if not run.alive:
            return
        hand.run = run
        if isinstance(item, Work):
            key = item.record.key
            if key in run.busy:
                run.queue(item)
            else:
                run.busy[key] = None
                await self._case(run, key, item)
        elif (run.place, item.key) in self._held:
            self._held.discard((run.place, item.key))
            queue = run.busy[item.key]
            assert queue, "what is held back waits in the queue of its case"
            await self._case(run, item.key, queue.popleft())

    async def _case(self, run: PartitionRun, key: Key, work: Work, tried: float | Literal[-1] | None = -1) -> None:
        """Do a case's work and whatever queues behind it, until there is none, or it has to wait.

        ``tried`` is what came of an attempt that was made already.
        """
        run.in_hand += 1
        try:
            while run.alive:
                wait_secs = await self._attempts.attempt(work) if tried == -1 else tried
                tried = -1
                queue = run.busy[key]
                if wait_secs is not None:
                    if queue is None:
                        run.busy[key] = deque((work,))
                    else:
                        queue.appendleft(work)
                    self._hold(run, key, wait_secs)
                    return
                self._held_since.pop((run.place, key), None)
                if not queue:
                    del run.busy[key]
                    return
                work = queue.popleft()
        finally:
            run.in_hand -= 1

    def _hold(self, run: PartitionRun, key: Key, wait_secs: float) -> None:
        """Hold a case back for a while, and no other."""
        if not run.alive:
            return
        self._held.add((run.place, key))
        self._held_since.setdefault((run.place, key), time.monotonic())
        asyncio.get_running_loop().call_later(wait_secs, self._resume, _Resume(run, key))

    def _resume(self, resume: _Resume) -> None:
        self._ready.append(resume)
        self._wake(1)

    async def _batch(self, batch: list[Work]) -> None:
        """Give a handler its events at once; when it fails, one at a time, so that only the wrong one is set aside."""
        free: dict[Key, list[Work]] = {}
        for work in batch:
            key = work.record.key
            if key in free:
                free[key].append(work)
            elif key in work.run.busy:
                work.run.queue(work)
            else:
                work.run.busy[key] = None
                free[key] = [work]
        mine = {id(work) for works in free.values() for work in works}
        together = [work for work in batch if id(work) in mine]
        if not together:
            return
        run = together[0].run
        run.in_hand += 1
        try:
            whole = await self._attempts.together(together)
        finally:
            run.in_hand -= 1
        for key, works in free.items():
            queue = deque([*([] if whole else works), *(run.busy.pop(key) or ())])
            if queue:
                run.busy[key] = queue
                await self._case(run, key, queue.popleft())


async def _until(condition: Callable[[], bool], secs: float) -> None:
    end = time.monotonic() + secs
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)
