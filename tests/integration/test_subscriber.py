"""Subscribers on a real broker: order within a case, retries, dead letters, crashes, rebalances, zombies."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics
from backbone.packed import Message
from backbone.subscriber import Event, PermanentError, Settings, Subscriber
from backbone.subscriber.letters import open_letters, try_again, with_their_cases
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged

PARTITIONS = 3


@pytest.fixture
async def topic(broker: str, organisation: str) -> str:
    """Give an organisation's topic of service requests, and a dead-letter topic for ``s``."""
    name = f"{organisation}.servicerequests.v1"
    await create_topics(
        KafkaConnection(broker), [TopicSpec(name, PARTITIONS, 1), TopicSpec(f"{organisation}.dead.s", 2, 1)]
    )
    return name


@pytest.fixture
def settings(broker: str, organisation: str) -> Settings:
    """Give settings that try again at once."""
    return Settings(bootstrap_servers=broker, organisation=organisation, first_wait_secs=0.01, longest_wait_secs=0.02)


def changed(case: str, number: int = 0, **more: Any) -> StatusChanged:
    content = {
        "case_ref": case, "organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z", "state": "open",
        "service_code": str(number),
    }  # fmt: skip
    return StatusChanged.model_validate({**content, **more})


async def publish(broker: str, messages: Iterable[tuple[str, Message]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, linger_ms=5)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, key=key, headers=headers) for topic, (key, value, headers) in messages
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def dead_letters(broker: str, organisation: str) -> list[tuple[str, str, str]]:
    """Return kind, case and code of every record of the dead-letter topic."""
    found = []
    async for record in read_topics(KafkaConnection(broker), [f"{organisation}.dead.s"]):
        headers = dict(record.headers)
        found.append((headers["dead_kind"].decode(), (record.key or b"").decode(), headers["dead_code"].decode()))
    return found


@asynccontextmanager
async def running(subscriber: Subscriber) -> AsyncIterator[asyncio.Task[None]]:
    """Run a subscriber until the block ends; an error of it is raised there."""
    task = asyncio.create_task(subscriber.run())
    await asyncio.sleep(0)
    try:
        await until(lambda: task.done() or subscriber.runtime.ready)
        yield task
    finally:
        subscriber.app.exit()
        await asyncio.wait_for(task, 30)


async def until(condition: Any, secs: float = 30) -> None:
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.02)


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
        if int(event.data.service_code or 0) % 7 == 0:
            await asyncio.sleep(0.001)
        seen[event.subject].append(int(event.data.service_code or 0))

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
        number = int(event.data.service_code or 0)
        if number in {0, 45, 99}:
            raise PermanentError("no such case here", code="handler.unknown-case")
        handled.append(number)

    async def one(event: Event[StatusChanged]) -> None:
        take(event)

    async def many(events: list[Event[StatusChanged]]) -> None:
        for event in events:  # a handler of batches undoes what it began when it fails
            if int(event.data.service_code or 0) in {0, 45, 99}:
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
            order.append(int(event.data.service_code or 0))

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
        number = int(event.data.service_code or 0)
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
