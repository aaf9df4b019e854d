"""Subscribers when things go wrong: killed, fenced off, rebalanced, without a broker, without a dead-letter topic."""

import asyncio
import random
import signal
from collections import defaultdict
from pathlib import Path

import httpx2
import pytest

from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import free_port
from backbone.errors import UnreachableError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics
from backbone.subscriber import Event, PermanentError, Subscriber
from backbone.subscriber.letters import open_letters
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import (
    Children,
    changed,
    check,
    make_topics,
    number_of,
    publish,
    quick,
    running,
    until,
)  # fmt: skip

ROOT = Path(__file__).parents[2]


async def test_a_killed_subscriber_loses_nothing(broker: str, organisation: str, tmp_path: Path) -> None:
    """SIGKILL in handlers, again and again: the next one goes on behind what was committed, in order."""
    await make_topics(broker, organisation)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 40}", number) for number in range(2_000)))
    children = Children(tmp_path, broker, organisation)
    try:
        for _ in range(2):
            before = len(children.handled())
            process = await children.start()
            await until(lambda: len(children.handled()) > before + 500)  # noqa: B023 - looked at within the turn
            process.kill()
            await process.wait()
        await children.start()
        await until(lambda: children.numbers() == set(range(2_000)))
    finally:
        await children.stop()
    check(children.handled(), 2_000)


@pytest.mark.parametrize("point", ["test.handled:700", "subscriber.revoking", "subscriber.revoked"])
async def test_a_death_between_effect_and_commit_or_in_a_rebalance_loses_nothing(
    broker: str, organisation: str, tmp_path: Path, point: str
) -> None:
    """It dies behind an effect, or as another one joins: before its work is ended, or before that is committed."""
    await make_topics(broker, organisation)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 40}", number) for number in range(1_500)))
    children = Children(tmp_path, broker, organisation)
    try:
        first = await children.start(point)
        await until(lambda: len(children.handled()) > 100)
        await children.start()
        assert await asyncio.wait_for(first.wait(), 60) == -signal.SIGKILL
        await until(lambda: children.numbers() == set(range(1_500)))
    finally:
        await children.stop()
    check(children.handled(), 1_500)


async def test_two_instances_share_and_a_zombie_commits_nothing(broker: str, organisation: str, tmp_path: Path) -> None:
    """One is stopped until the group has gone on without it, then wakes: nothing is lost, and it joins again."""
    await make_topics(broker, organisation)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 40}", number) for number in range(3_000)))
    children = Children(tmp_path, broker, organisation, secs=0.004)
    try:
        first, second = await children.start(), await children.start()
        await until(lambda: len({pid for pid, _, _ in children.handled()}) == 2)
        first.send_signal(signal.SIGSTOP)
        alone = len(children.handled())
        await until(lambda: len(children.handled()) > alone + 200, 90)
        await asyncio.sleep(12)  # past the session time-out: the group has gone on
        first.send_signal(signal.SIGCONT)
        await until(lambda: children.numbers() == set(range(3_000)), 90)
        assert second.returncode is None
        assert first.returncode is None
    finally:
        await children.stop()
    check(children.handled(), 3_000)


async def test_ten_thousand_cases_with_random_failures(broker: str, organisation: str) -> None:
    """Thirty-two at once: handled in order per case, and handled and dead are together what was published."""
    await make_topics(broker, organisation)
    choose = random.Random(11)  # noqa: S311 - a schedule
    speaker = Publisher(organisation)
    cases = [f"c{number}" for number in range(10_000)] * 2
    choose.shuffle(cases)
    await publish(broker, speaker.messages(changed(case, number) for number, case in enumerate(cases)))
    fails = {number: choose.choice([1, 1, 2, 9]) for number in choose.sample(range(len(cases)), 1_000)}
    handled: dict[str, list[int]] = defaultdict(list)
    subscriber = Subscriber("s", quick(broker, organisation, concurrency=32, tries=3))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        number = number_of(event)
        if number % 50 == 0:
            await asyncio.sleep(0)
        if fails.get(number, 0) > 0:
            fails[number] -= 1
            raise ConnectionError
        handled[event.subject].append(number)

    await subscriber.run(until_caught_up=True)
    letters = [record async for record in read_topics(KafkaConnection(broker), [f"{organisation}.dead.s"])]
    assert len({dict(letter.headers)["dead_id"] for letter in letters}) == len(letters)
    assert sum(map(len, handled.values())) + len(letters) == len(cases)
    assert all(numbers == sorted(numbers) for numbers in handled.values())
    assert subscriber.runtime.idle()


async def test_a_handler_that_is_slower_than_the_group_allows_keeps_its_partition(
    broker: str, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading goes on while a handler works, so that no poll is missed and nothing is handed out twice."""
    await make_topics(broker, organisation, partitions=1)
    await publish(broker, [Publisher(organisation).message(changed("c", 0))])
    seen: list[int] = []
    subscriber = Subscriber("s", quick(broker, organisation))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        seen.append(1)
        await asyncio.sleep(6)

    async with running(subscriber):
        subscriber.runtime.reader._client._coordinator._max_poll_interval = 2.0
        await until(lambda: subscriber.runtime.engine.tally.handled == 1)
        (run,) = subscriber.runtime.runs.values()
        assert run.alive
    assert seen == [1]


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing() -> None:
    """It dies amid handlers and dead letters: each event is handled in order or set aside, and readiness says so."""
    seen: dict[str, list[int]] = defaultdict(list)
    async with EmbeddedKafka() as kafka:
        broker, organisation = kafka.bootstrap_servers, "E09000098"
        await make_topics(broker, organisation)
        speaker = Publisher(organisation)
        await publish(broker, speaker.messages(changed(f"c{number % 90}", number) for number in range(1_000)))
        subscriber = Subscriber("s", quick(broker, organisation, concurrency=4, after_dead="continue"))

        @subscriber.on(StatusChanged, organisations=[organisation])
        async def handle(event: Event[StatusChanged]) -> None:
            await asyncio.sleep(0.001)
            if number_of(event) % 10 == 3:
                raise PermanentError("not this one")
            seen[event.subject].append(number_of(event))

        async with running(subscriber):
            await until(lambda: sum(map(len, seen.values())) > 100)
            await kafka.kill()
            await until(lambda: subscriber.trouble)
            await kafka.start()
            await until(lambda: subscriber.ready)
            await publish(
                broker, speaker.messages(changed(f"c{number % 90}", number) for number in range(1_000, 1_200))
            )
            await until(lambda: len({number for numbers in seen.values() for number in numbers}) == 1_080, 90)
            await until(subscriber.runtime.idle)
        letters = await open_letters(KafkaConnection(broker), subscriber.dead_letter_topic)
    assert len(letters.open) == 120
    for numbers in seen.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts)


async def test_without_a_broker_it_says_so_in_one_sentence(organisation: str) -> None:
    """An address where nobody answers is named as what it is, at once, by a run that is to end by itself."""
    subscriber = Subscriber("s", quick(f"127.0.0.1:{free_port()}", organisation))
    subscriber.on(StatusChanged)(print)  # type: ignore[type-var]  # never called
    with pytest.raises(UnreachableError, match="no broker answers"):
        await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)


async def test_a_service_waits_for_a_broker_that_is_not_there_yet() -> None:
    """It says so, is not ready, and does its work once the broker is there."""
    port = free_port()
    subscriber, seen = Subscriber("s", quick(f"127.0.0.1:{port}", "E09000098", http=f"127.0.0.1:{free_port()}")), []

    @subscriber.on(StatusChanged, organisations=["E09000098"])
    async def handle(event: Event[StatusChanged]) -> None:
        seen.append(number_of(event))

    serving = asyncio.create_task(subscriber.run())
    try:
        await until(lambda: subscriber.trouble == "broker.unreachable")
        async with httpx2.AsyncClient(base_url=f"http://{subscriber.settings.http}") as client:
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "broker.unreachable")
            assert (await client.get("/livez")).status_code == 200
        async with EmbeddedKafka(port=port) as kafka:
            await until(lambda: subscriber.trouble == "subscriber.no-topics")
            await make_topics(kafka.bootstrap_servers, "E09000098", partitions=1)
            await publish(kafka.bootstrap_servers, [Publisher("E09000098").message(changed("c", 7))])
            await until(lambda: seen == [7] and subscriber.ready)
            subscriber.app.exit()
            await asyncio.wait_for(serving, 40)
    finally:
        serving.cancel()
