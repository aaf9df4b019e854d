"""Events to handlers: several cases at once, each case in order, and nothing lost or skipped on the way.

Work waits in one queue; workers take it. While a case has work in hand or held back, its later work queues behind it
in ``PartitionRun.busy``, so that a slow or failing case never holds back another one. See
``docs/adr/0007-subscribers.md``.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from backbone.errors import BackboneError
from backbone.subscriber.errors import BEHIND_DEAD, HANDLER_FAILED, PermanentError, UnreadableError
from backbone.subscriber.event import Event, check_type, header, validated
from backbone.subscriber.routes import Route, Routes
from backbone.subscriber.work import DeadLetters, Key, PartitionRun, Place, Tally, Work

YIELD_EVERY: Final = 500
"""After so many events without a pause, the event loop gets its turn: heartbeats and fetches need it."""
REFUSED_PAUSE_SECS: Final = 2.0
JSON: Final = b"application/json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often an event is tried and how long is waited in between: exponential, with full jitter."""

    tries: int = 5
    first_wait_secs: float = 0.5
    longest_wait_secs: float = 30.0

    def wait_secs(self, tries: int) -> float:
        """Return how long to wait after so many tries."""
        most = min(self.longest_wait_secs, self.first_wait_secs * 2.0 ** min(tries - 1, 30))
        return random.uniform(0, most)  # noqa: S311 - jitter, no secret


@dataclass(frozen=True, slots=True)
class _Resume:
    """A case that was held back and may go on."""

    run: PartitionRun
    key: Key


class Engine:
    """Run handlers over what partitions give."""

    def __init__(
        self, routes: Routes, dead: DeadLetters, *, concurrency: int = 1, retrying: Retrying, park: bool = True
    ) -> None:
        """Take the handlers; ``park`` sets later events of a dead case aside behind its dead letter."""
        self.tally = Tally()
        self.stalled = ""
        self._routes = routes
        self._dead = dead
        self._letters = dead.open
        self._plain = routes.plain()
        self._concurrency = concurrency
        self._retrying = retrying
        self._park = park
        self._ready: deque[Any] = deque()
        """Of (run, record, handlers), Work, lists of Work, and cases that may go on."""
        self._idle: deque[asyncio.Future[None]] = deque()
        self._held: dict[tuple[Place, Key], float] = {}

    @property
    def waiting(self) -> int:
        """Return how many items wait for a worker."""
        return len(self._ready)

    @property
    def oldest_waiting_secs(self) -> float:
        """Return for how long the case that is held back longest has been."""
        return time.monotonic() - min(self._held.values()) if self._held else 0.0

    async def run(self) -> None:
        """Work for ever; ends with the first error that is not a handler's."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())

    def offer(self, run: PartitionRun, records: Sequence[Any]) -> None:
        """Take records of a partition, in their order; those that no handler wants are done at once."""
        plain, ready = self._plain, self._ready
        run.progress.take([record.offset for record in records])
        batches: dict[int, list[Work]] = {}
        unwanted: list[int] = []
        for record in records:
            headers = record.headers
            event_type = content_type = None
            for name, value in headers:
                if name == "ce_type":
                    event_type = value
                    break
                if name == "content-type":
                    content_type = value
            routes: Sequence[Route] = plain.get(event_type) or self._routes.wanting(record.topic, headers)
            if routes and content_type != JSON and not _is_json(headers):
                routes = ()
                ready.append(Work(run, record, routes))
            elif not routes:
                if event_type in self._routes.by_type or not _is_unreadable(event_type, headers):
                    unwanted.append(record.offset)
                else:
                    ready.append(Work(run, record, routes))
            elif routes[0].batch:
                batch = batches.get(id(routes[0]))
                if batch is None or len(batch) >= routes[0].batch:
                    batch = batches[id(routes[0])] = []
                    ready.append(batch)
                batch.append(Work(run, record, routes))
            else:
                ready.append((run, record, routes))
        self.tally.ignored += len(unwanted)
        for offset in unwanted:
            run.progress.done(offset)
        self._wake(len(ready))

    def retry(self, work: Work) -> None:
        """Take a dead letter that is to be tried again."""
        self._ready.append(work)
        self._wake(1)

    async def release(self, run: PartitionRun, within_secs: float) -> bool:
        """Begin nothing more of a partition; wait for what is in hand; say whether all of that has ended."""
        run.alive = False
        for place, key in [held for held in self._held if held[0] == run.place]:
            del self._held[place, key]
        end = time.monotonic() + within_secs
        while run.in_hand and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return not run.in_hand

    def _wake(self, most: int) -> None:
        while self._idle and most > 0:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                most -= 1

    async def _work(self) -> None:
        ready = self._ready
        since_pause = 0
        while True:
            since_pause += 1
            if since_pause >= YIELD_EVERY:
                since_pause = 0
                await asyncio.sleep(0)
            if not ready:
                since_pause = 0
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
                continue
            item = ready.popleft()
            if item.__class__ is tuple:
                run, record, routes = item
                if not run.alive:
                    continue
                if record.key in run.busy:
                    run.queue(Work(run, record, routes))
                elif self._letters or len(routes) > 1:
                    run.busy[record.key] = None
                    await self._case(run, record.key, Work(run, record, routes))
                else:
                    await self._plainly(run, record, routes)
            else:
                await self._other(item)

    async def _plainly(self, run: PartitionRun, record: Any, routes: Sequence[Route]) -> None:
        """Handle an event of a free case with its one handler: nearly all of them, at the least cost."""
        run.busy[record.key] = None
        run.in_hand += 1
        try:
            route = routes[0]
            try:
                event = Event(route.validate(record.value), record)
            except Exception:  # noqa: BLE001 - what is wrong with it is found out at leisure
                await self._case(run, record.key, Work(run, record, routes))
                return
            try:
                await route.handler(event)
            except Exception as error:  # noqa: BLE001 - as in `_attempt`
                work = Work(run, record, routes, event)
                await self._case(run, record.key, work, await self._failed(work, error))
                return
            self.tally.handled += 1
            self.tally.last_timestamp_ms = record.timestamp
            run.progress.done(record.offset)
            queue = run.busy.pop(record.key)
            if queue:
                run.busy[record.key] = queue
                await self._case(run, record.key, queue.popleft())
        finally:
            run.in_hand -= 1

    async def _other(self, item: Any) -> None:
        """Take what is no plain record: a record that is no event, a batch, a case that may go on, a retry."""
        if isinstance(item, list):
            await self._batch([work for work in item if work.run.alive])
        elif isinstance(item, Work):
            run, key = item.run, item.record.key
            if not run.alive:
                return
            if key in run.busy:
                run.queue(item)
            else:
                run.busy[key] = None
                await self._case(run, key, item)
        elif item.run.alive and self._held.pop((item.run.place, item.key), None) is not None:
            await self._case(item.run, item.key, item.run.busy[item.key].popleft())

    async def _case(self, run: PartitionRun, key: Key, work: Work, tried: float | Literal[-1] | None = -1) -> None:
        """Do a case's work and whatever queues behind it, until there is none, or it has to wait.

        ``tried`` is what came of an attempt that was made already.
        """
        run.in_hand += 1
        try:
            while run.alive:
                wait_secs = await self._attempt(work) if tried == -1 else tried
                tried = -1
                queue = run.busy[key]
                if wait_secs is not None:
                    if queue is None:
                        run.busy[key] = deque((work,))
                    else:
                        queue.appendleft(work)
                    self._hold(run, key, wait_secs)
                    return
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
        self._held[run.place, key] = time.monotonic()
        asyncio.get_running_loop().call_later(wait_secs, self._resume, _Resume(run, key))

    def _resume(self, resume: _Resume) -> None:
        self._ready.append(resume)
        self._wake(1)

    async def _attempt(self, work: Work) -> float | None:
        """Try to end one event's way; return None when it has ended, or how many seconds its case has to wait."""
        if work.doomed:
            return await self._set_aside(work, work.doomed)
        if self._letters and (aside := self._behind(work)) is not None:
            if aside:
                return await self._set_aside(work, aside)
            self._finish(work)
            return None
        try:
            event = work.event
            if event is None:
                event = work.event = self._event(work)
            routes = work.routes
            while work.at < len(routes):
                route = routes[work.at]
                await route.handler([event] if route.batch else event)
                work.at += 1
        except Exception as error:  # noqa: BLE001 - whatever a handler does wrong costs its case a wait, no event
            return await self._failed(work, error)
        if work.retry_of:
            try:
                await self._dead.settle(work)
            except BackboneError as error:
                return self._refused(error)
        self.tally.handled += 1
        self._finish(work)
        return None

    async def _failed(self, work: Work, error: Exception) -> float | None:
        """Count a try, and set the event aside when it was the last one or when there is no sense in another."""
        if isinstance(error, UnreadableError | PermanentError):
            self._log(work, error)
            return await self._set_aside(work, error.code)
        work.tries += 1
        self._log(work, error)
        if work.tries >= self._retrying.tries:
            return await self._set_aside(work, HANDLER_FAILED)
        self.tally.retried += 1
        return self._retrying.wait_secs(work.tries)

    def _behind(self, work: Work) -> str | None:
        """Return the code with which an event is set aside for its case's dead letters, "" where it is done already."""
        place, record = work.run.place, work.record
        if work.retry_of:
            return "" if self._dead.blocks(work.retry_of) else None
        if self._dead.knows(place, record.offset):
            return ""
        return BEHIND_DEAD if self._park and self._dead.parks(place, record.key) else None

    def _event(self, work: Work) -> Event[Any]:
        record, routes = work.record, work.routes
        if not routes:
            check_type(header(record.headers, "ce_type"), header(record.headers, "content-type"))
            raise UnreadableError("no handler takes the event any more", code="event.unwanted")
        data, has_unknown = validated(routes[0].model, record.value)
        self.tally.unknown_fields += has_unknown
        return Event(data, record)

    def _finish(self, work: Work) -> None:
        if not work.retry_of:
            work.run.progress.done(work.record.offset)
            self.tally.last_timestamp_ms = work.record.timestamp

    async def _set_aside(self, work: Work, code: str) -> float | None:
        work.doomed = code
        try:
            await self._dead.put(work, code)
        except BackboneError as error:
            return self._refused(error)
        self.stalled = ""
        self.tally.dead[code] = self.tally.dead.get(code, 0) + 1
        self._finish(work)
        return None

    def _refused(self, error: BackboneError) -> float:
        """Hold a case back while its dead letter cannot be written: nothing behind it is committed, and it shows."""
        if not self.stalled:
            log.error("dead-letter.refused", code=error.code, message=error.message, guidance=error.guidance)
        self.stalled = error.code
        return REFUSED_PAUSE_SECS

    def _log(self, work: Work, error: Exception) -> None:
        topic, partition = work.run.place
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
        # the message of a foreign error may hold a value; its kind and its line of code do not
        log.warning(
            "event.failed", topic=topic, partition=partition, offset=work.record.offset, tries=work.tries,
            error=type(error).__name__, code=getattr(error, "code", ""), at=where,
        )  # fmt: skip

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
            whole = await self._handled_together(together)
        finally:
            run.in_hand -= 1
        for key, works in free.items():
            queue = deque([*([] if whole else works), *(run.busy.pop(key) or ())])
            if queue:
                run.busy[key] = queue
                await self._case(run, key, queue.popleft())

    async def _handled_together(self, batch: list[Work]) -> bool:
        if self._letters and any(self._behind(work) is not None for work in batch):
            return False
        try:
            for work in batch:
                work.event = self._event(work)
            await batch[0].routes[0].handler([work.event for work in batch])
        except Exception as error:  # noqa: BLE001 - each event is tried alone next, where its own error counts
            self._log(batch[0], error)
            return False
        for work in batch:
            self._finish(work)
        self.tally.handled += len(batch)
        return True


def _is_json(headers: Sequence[tuple[str, bytes]]) -> bool:
    found = header(headers, "content-type")
    return found is None or found.startswith(JSON)


def _is_unreadable(event_type: bytes | None, headers: Sequence[tuple[str, bytes]]) -> bool:
    """Say whether a record that no handler asks for must be looked at: no event, or of a major that is not known."""
    try:
        check_type(event_type, header(headers, "content-type"))
    except UnreadableError as error:
        return error.code != "event.unknown-type"
    return False
