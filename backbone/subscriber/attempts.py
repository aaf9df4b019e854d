"""What becomes of one event: handled, tried again later, or set aside with its reason. When, the engine decides."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from backbone.cancellation import asked_to_end
from backbone.errors import BackboneError
from backbone.subscriber.errors import BEHIND_DEAD, HANDLER_FAILED, PermanentError, UnreadableError
from backbone.subscriber.event import Event, validated
from backbone.subscriber.failures import note_failure
from backbone.subscriber.intake import check_readable
from backbone.subscriber.refusals import Refusals
from backbone.subscriber.tracing import TRACE_ID
from backbone.subscriber.work import DeadLetters, Tally, Work


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


class Attempts:
    """Give events to their handlers, and set aside what cannot be handled."""

    def __init__(self, dead: DeadLetters, retrying: Retrying, refusals: Refusals, tally: Tally, *, park: bool) -> None:
        """Take where dead letters go; ``park`` sets later events of a dead case aside behind its dead letter."""
        self._dead = dead
        self._letters = dead.open
        self._retrying = retrying
        self._refusals = refusals
        self._tally = tally
        self._park = park

    async def attempt(self, work: Work) -> float | None:
        """Try to end one event's way; return None when it has ended, or how many seconds its case has to wait."""
        _take_in_hand(work.record)
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
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler does costs a wait
            raise_if_ended(error)
            return await self.failed(work, error)
        if work.retry_of and (wait_secs := await self._written(work, "")) is not None:
            return wait_secs
        self._tally.handled += 1
        self._finish(work)
        return None

    async def failed(self, work: Work, error: BaseException) -> float | None:
        """Count a try, and set the event aside when it was the last one or when there is no sense in another."""
        if isinstance(error, UnreadableError):
            note_failure(work.record, error, error.code, work.tries)
            return await self._set_aside(work, error.code)
        work.tries += 1
        if isinstance(error, PermanentError):
            note_failure(work.record, error, error.code, work.tries)
            return await self._set_aside(work, error.code)
        note_failure(work.record, error, error.code if isinstance(error, BackboneError) else "", work.tries)
        if work.tries >= self._retrying.tries:
            return await self._set_aside(work, HANDLER_FAILED)
        self._tally.retried += 1
        return self._retrying.wait_secs(work.tries)

    def _behind(self, work: Work) -> str | None:
        """Return the code with which an event is set aside for its case's dead letters, "" where it is done already."""
        place, record = work.run.place, work.record
        if work.retry_of:
            return "" if self._dead.blocks(work.retry_of) else None
        if self._dead.knows(place, record.offset):
            return ""
        return BEHIND_DEAD if self._park and self._dead.parks(place, record.key, record.offset) else None

    def _event(self, work: Work) -> Event[Any]:
        record, routes = work.record, work.routes
        if work.retry_of or not routes:
            check_readable(record, routes)
        data, has_unknown = validated(routes[0].model, record.value)
        self._tally.unknown_fields += has_unknown
        return Event(data, record)

    def _finish(self, work: Work) -> None:
        if not work.retry_of:
            work.run.progress.done(work.record.offset)

    async def _set_aside(self, work: Work, code: str) -> float | None:
        work.doomed = code
        if (wait_secs := await self._written(work, code)) is not None:
            return wait_secs
        self._tally.dead[code] = self._tally.dead.get(code, 0) + 1
        self._finish(work)
        return None

    async def _written(self, work: Work, code: str) -> float | None:
        """Write a dead letter, or without a code that one is settled; return how long to wait where that is refused.

        Nothing behind the event is committed meanwhile, and it shows.
        """
        mark = (work.run.place, work.record.offset)
        if (wait_secs := self._refusals.wait_secs(mark)) is not None:
            return wait_secs
        try:
            await (self._dead.put(work, code) if code else self._dead.settle(work))
        except BackboneError as error:
            return self._refusals.refused(mark, error)
        self._refusals.accepted(mark)
        return None

    async def together(self, batch: list[Work]) -> bool:
        """Give a batch to its one handler; return whether it was handled, all of it."""
        _take_in_hand(batch[0].record)
        if self._letters and any(self._behind(work) is not None for work in batch):
            return False
        try:
            for work in batch:
                work.event = self._event(work)
            await batch[0].routes[0].handler([work.event for work in batch])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - each event is tried alone next
            raise_if_ended(error)
            note_failure(batch[0].record, error, "", 0)
            return False
        for work in batch:
            self._finish(work)
        self._tally.handled += len(batch)
        return True


def _take_in_hand(record: Any) -> None:
    hand = TRACE_ID.get()
    if hand is not None:
        hand.record = record


def raise_if_ended(error: BaseException) -> None:
    """Let a cancellation of ours pass; one that a handler ran into by itself is a failure like any other."""
    if isinstance(error, asyncio.CancelledError) and asked_to_end():
        raise error
