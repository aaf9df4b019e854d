"""Subscribers on a real broker: order within a case, retries, dead letters, crashes, rebalances, zombies."""

import asyncio
from collections import defaultdict

import pytest

from backbone.subscriber import Event, PermanentError, Settings, Subscriber
from backbone.subscriber.letters import open_letters, try_again, with_their_cases
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import changed, dead_letters, make_topics, number_of, publish, quick, running, until


@pytest.fixture
async def topic(broker: str, organisation: str) -> str:
    """Give an organisation's topic of service requests, and a dead-letter topic for ``s``."""
    return await make_topics(broker, organisation, partitions=3)


@pytest.fixture
def settings(broker: str, organisation: str) -> Settings:
    """Give settings that try again at once."""
    return quick(broker, organisation)


async def test_every_event_of_every_case_comes_once_and_in_order(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """Thirty-two cases at once, each in its own order; a second run finds nothing left to do."""
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 50}", number) for number in range(2_000)))
    seen: dict[str, list[int]] = defaultdict(list)
    subscriber = Subscriber("s", settings.model_copy(update={"concurrency": 32}))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if number_of(event) % 7 == 0:
            await asyncio.sleep(0.001)
        seen[event.subject].append(number_of(event))

    await subscriber.run(until_caught_up=True)
    assert sorted(seen) == sorted(f"c{number}" for number in range(50))
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert sum(map(len, seen.values())) == 2_000
    await subscriber.run(until_caught_up=True)
    assert sum(map(len, seen.values())) == 2_000


@pytest.mark.parametrize("batch", [0, 40])
async def test_poison_anywhere_is_set_aside_and_parks_its_case_alone(
    broker: str, organisation: str, topic: str, settings: Settings, batch: int
) -> None:
    """First, in the middle and last: the wrong events go to the dead letters, with what follows in their cases."""
    speaker = Publisher(organisation)
    events = [changed(f"c{number % 20}", number) for number in range(100)]
    await publish(broker, speaker.messages(events))
    handled: list[int] = []
    subscriber = Subscriber("s", settings)

    def take(event: Event[StatusChanged]) -> None:
        number = number_of(event)
        if number in {0, 45, 99}:
            raise PermanentError("no such case here", code="handler.unknown-case")
        handled.append(number)

    async def one(event: Event[StatusChanged]) -> None:
        take(event)

    async def many(events: list[Event[StatusChanged]]) -> None:
        for event in events:  # a handler of batches undoes what it began when it fails
            if number_of(event) in {0, 45, 99}:
                take(event)
        for event in events:
            take(event)

    subscriber.on(StatusChanged, organisations=[organisation], batch=batch)(many if batch else one)
    await subscriber.run(until_caught_up=True)
    letters = await dead_letters(broker, organisation)
    behind = sorted([*range(20, 100, 20), 65, 85])
    assert sorted(handled) == sorted(set(range(100)) - {0, 45, 99} - set(behind))
    assert sorted(case for _, case, code in letters if code == "handler.unknown-case") == ["c0", "c19", "c5"]
    assert sorted(case for _, case, code in letters if code == "event.behind-dead") == ["c0"] * 4 + ["c5"] * 2
    assert len(letters) == 9


async def test_a_failing_case_is_tried_again_and_holds_nobody_else_back(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """The others are done while one case waits; what is committed never passes it."""
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 10}", number) for number in range(100)))
    tries: list[str] = []
    order: list[int] = []
    open_up = asyncio.Event()
    subscriber = Subscriber("s", settings.model_copy(update={"tries": 1_000_000}))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if event.subject == "c3":
            tries.append(event.id)
            if not open_up.is_set():
                raise ConnectionError
            order.append(number_of(event))

    async with running(subscriber):
        await until(lambda: subscriber.runtime.engine.tally.handled == 90 and len(tries) > 3)
        assert set(tries) == {tries[0]}
        assert sum(len(run.progress) for run in subscriber.runtime.runs.values()) > 10
        open_up.set()
        await until(lambda: subscriber.runtime.engine.tally.handled == 100)
    assert order == list(range(3, 100, 10))
    assert await dead_letters(broker, organisation) == []


async def test_a_dead_letter_is_tried_again_in_the_order_of_its_case(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """Once its cause is mended, a case's letters are handled in order, settled, and the case goes on as before."""
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed("c", number) for number in range(4)))
    wrong, handled = {0}, []
    subscriber = Subscriber("s", settings)

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        number = number_of(event)
        if number in wrong:
            raise PermanentError("not yet")
        handled.append(number)

    async with running(subscriber):
        await until(lambda: len(subscriber.runtime.letters.open) == 4)
        found = await open_letters(settings.connection(), subscriber.dead_letter_topic)
        assert [letter.code for letter in found.open.values()] == ["handler.permanent", *["event.behind-dead"] * 3]
        await try_again(settings.connection(), subscriber.dead_letter_topic, [*found.open.values()][:2])
        await until(lambda: subscriber.runtime.engine.tally.dead.get("handler.permanent") == 2)
        wrong.clear()
        wanted = with_their_cases(found, [max(found.open.values(), key=lambda letter: letter.number)])
        assert [letter.offset for letter in wanted] == sorted(letter.offset for letter in found.open.values())
        await try_again(settings.connection(), subscriber.dead_letter_topic, wanted)
        await until(lambda: not subscriber.runtime.open)
        await publish(broker, [speaker.message(changed("c", 4))])
        await until(lambda: len(handled) == 5)
    assert handled == [0, 1, 2, 3, 4]
    assert not (await open_letters(settings.connection(), subscriber.dead_letter_topic)).open
