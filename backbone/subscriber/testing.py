"""Run handlers in memory, without a broker: for the tests of a subscriber.

Example::

    async def test_a_death_closes_the_record() -> None:
        outcome = await run_handlers(subscriber, [sample_events(DeathRegistered, 1, seed=1)[0]])
        assert outcome.handled == 1
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backbone.packed import Headers
from backbone.subscriber.attempts import Retrying
from backbone.subscriber.dead import Letter, Letters, letter_id
from backbone.subscriber.engine import Engine
from backbone.subscriber.subscriber import Subscriber
from backbone.subscriber.work import Key, PartitionRun, Place, Work
from backbone.testing.events import Publisher
from schemas.shared import Event as Data


@dataclass(frozen=True, slots=True)
class Received:
    """A record as a consumer gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Outcome:
    """What became of the events: how many were handled, and the code of each that was set aside, in order."""

    handled: int = 0
    ignored: int = 0
    dead: list[str] = field(default_factory=list)


class _Aside:
    """Dead letters in memory."""

    def __init__(self) -> None:
        self._letters = Letters()
        self.codes: list[str] = []

    @property
    def open(self) -> Mapping[str, object]:
        return self._letters.open

    def knows(self, place: Place, offset: int) -> bool:
        return self._letters.knows(place, offset)

    def parks(self, place: Place, key: Key, offset: int) -> bool:
        return self._letters.parks(place, key, offset)

    def blocks(self, letter: str) -> bool:
        return self._letters.blocks(letter)

    async def put(self, work: Work, code: str) -> None:
        record = work.record
        number = letter_id(work.run.place, record.offset)
        letter = Letter(number, work.run.place, record.offset, record.key, record.value, (), code, work.tries, "")
        self._letters.apply("dead", letter)
        self.codes.append(code)

    async def settle(self, work: Work) -> None:
        """Nothing is tried again in memory."""


async def run_handlers(
    subscriber: Subscriber, events: Iterable[Data], *, organisation: str = "E09000099", **attributes: str
) -> Outcome:
    """Give events to the subscriber's handlers, each organisation's family in one partition, without waits.

    ``attributes`` are added to the envelope, such as ``replayid="r1"``. Failing handlers are tried as often as the
    settings say, at once.
    """
    speaker = Publisher(organisation)
    records: dict[str, list[Any]] = {}
    for offset, event in enumerate(events):
        topic, (key, value, headers) = speaker.message(event, **attributes)
        records.setdefault(topic, []).append(Received(topic, 0, offset, 0, key, value, headers))
    return await run_records(subscriber, records)


async def run_records(subscriber: Subscriber, records: Mapping[str, list[Any]]) -> Outcome:
    """Give records, by topic, to the subscriber's handlers."""
    aside = _Aside()
    engine = Engine(
        subscriber.running_routes(),
        aside,
        concurrency=subscriber.settings.concurrency,
        retrying=Retrying(subscriber.settings.tries, 0, 0),
        park=subscriber.settings.after_dead == "park",
    )
    runs = [(PartitionRun((topic, 0)), some) for topic, some in records.items()]
    working = asyncio.create_task(engine.run())
    try:
        for run, some in runs:
            engine.offer(run, some)
        while any(len(run.progress) for run, _ in runs) and not working.done():
            await asyncio.sleep(0)
        if working.done():
            working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return Outcome(engine.tally.handled, engine.tally.ignored, aside.codes)
