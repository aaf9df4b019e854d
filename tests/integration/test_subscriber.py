"""Subscribers on a real broker: order within a case, retries, dead letters, crashes, rebalances, zombies."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.dead_letters import DeadLetterTopic
from backbone.kafka.readers import read_topics
from backbone.subscriber import Event, PermanentError, Settings, Subscriber
from backbone.subscriber.letters import discard, open_letters, try_again, with_their_cases
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


async def test_a_letter_that_nobody_will_handle_is_discarded(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """Its case goes on: what was parked behind it is tried again in order, and new events are handled."""
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed("c", number) for number in range(3)))
    handled: list[int] = []
    subscriber = Subscriber("s", settings)

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if number_of(event) == 0:
            raise PermanentError("never")
        handled.append(number_of(event))

    async with running(subscriber):
        await until(lambda: len(subscriber.runtime.letters.open) == 3)
        found = await open_letters(settings.connection(), subscriber.dead_letter_topic)
        first, *others = sorted(found.open.values(), key=lambda letter: letter.offset)
        await discard(settings.connection(), subscriber.dead_letter_topic, [first])
        await try_again(settings.connection(), subscriber.dead_letter_topic, others)
        await until(lambda: not subscriber.runtime.open)
        await publish(broker, [speaker.message(changed("c", 3))])
        await until(lambda: len(handled) == 3)
    assert handled == [1, 2, 3]
    assert not (await open_letters(settings.connection(), subscriber.dead_letter_topic)).open


async def test_whoever_follows_the_letters_knows_all_of_them_at_once(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """A letter that was written is known behind ``reach_end``: so it is before an instance reads what it was given."""
    read: list[bytes | None] = []
    letters = DeadLetterTopic(settings.connection(), f"{organisation}.dead.s", lambda key, *_: read.append(key))
    following = asyncio.create_task(letters.follow())
    try:
        await asyncio.wait_for(letters.loaded.wait(), 30)
        for number in range(20):
            await letters.write((b"%d" % number, b"", []))
            await letters.reach_end()
            assert len(read) == number + 1
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await letters.close()


async def test_the_next_owner_parks_what_the_last_one_set_aside(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """A case with a dead letter stays parked, whichever instance has its partition; it says what it parked."""
    speaker = Publisher(organisation)
    handled: list[int] = []

    def instance() -> Subscriber:
        subscriber = Subscriber("s", settings)

        @subscriber.on(StatusChanged, organisations=[organisation])
        async def handle(event: Event[StatusChanged]) -> None:
            if number_of(event) == 0:
                raise PermanentError("not this one")
            handled.append(number_of(event))

        return subscriber

    first, second = instance(), instance()
    await publish(broker, [speaker.message(changed("c", 0))])
    async with running(first), running(second):
        await until(lambda: first.open_letters == second.open_letters == 1)
    await publish(broker, speaker.messages([changed("c", 1), changed("d", 2)]))
    third = instance()
    await third.run(until_caught_up=True)
    assert handled == [2]
    assert third.tally.dead == {"event.behind-dead": 1}


async def test_a_replay_reaches_those_who_want_it(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """A handler that acts once opts out; another one sees which replay it is."""
    speaker = Publisher(organisation)
    await publish(broker, [speaker.message(changed("c", 0)), speaker.message(changed("c", 1), replayid="run-7")])
    once: list[int] = []
    every: list[tuple[int, str]] = []
    subscriber = Subscriber("s", settings)

    @subscriber.on(StatusChanged, organisations=[organisation], replays=False)
    async def act(event: Event[StatusChanged]) -> None:
        once.append(number_of(event))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def note(event: Event[StatusChanged]) -> None:
        every.append((number_of(event), event.replay))

    await subscriber.run(until_caught_up=True)
    assert once == [0]
    assert every == [(0, ""), (1, "run-7")]


async def test_the_application_around_it_is_faststreams(
    broker: str, organisation: str, topic: str, settings: Settings
) -> None:
    """Its lifespan and hooks surround the handlers, and handlers publish through its broker, each time it runs."""
    out = f"{organisation}.out"
    await create_topics(settings.connection(), [TopicSpec(out, 1, 1)])
    await publish(broker, [Publisher(organisation).message(changed("c", 5))])
    order: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        order.append("begins")
        yield
        order.append("ends")

    subscriber = Subscriber("s", settings, lifespan=lifespan)
    publisher = subscriber.broker.publisher(out)
    subscriber.app.on_startup(lambda: order.append("starts"))
    subscriber.app.after_shutdown(lambda: order.append("stopped"))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        order.append("handles")
        await publisher.publish({"number": number_of(event)}, key=event.key)

    await subscriber.run(until_caught_up=True)
    await subscriber.run(until_caught_up=True)
    assert order == ["begins", "starts", "handles", "stopped", "ends", "begins", "starts", "stopped", "ends"]
    assert [record.value async for record in read_topics(settings.connection(), [out])] == [b'{"number":5}']
