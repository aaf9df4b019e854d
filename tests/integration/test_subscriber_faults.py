"""Subscribers when things go wrong: killed, fenced off, rebalanced, without a broker, without a dead-letter topic."""

import asyncio
import os
import random
import re
import signal
import sys
from collections import defaultdict
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import free_port
from backbone.errors import UnreachableError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics
from backbone.sample import sample_events
from backbone.subscriber import Event, PermanentError, Subscriber
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
    """SIGKILL in handlers, over and over: the next one goes on behind what was committed, in order."""
    await make_topics(broker, organisation)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 40}", number) for number in range(3_000)))
    children = Children(tmp_path, broker, organisation)
    try:
        for kills in range(3):
            process = await children.start()
            await until(lambda at=(kills + 1) * 500: len(children.handled()) > at)
            process.kill()
            await process.wait()
        await children.start()
        await until(lambda: children.numbers() == set(range(3_000)))
    finally:
        await children.stop()
    check(children.handled(), 3_000)


async def test_two_instances_share_and_a_zombie_commits_nothing(broker: str, organisation: str, tmp_path: Path) -> None:
    """One is stopped until the group has gone on without it, then wakes: nothing is lost, and it joins again."""
    await make_topics(broker, organisation)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number % 40}", number) for number in range(4_000)))
    children = Children(tmp_path, broker, organisation, secs=0.004)
    try:
        first, second = await children.start(), await children.start()
        await until(lambda: len({pid for pid, _, _ in children.handled()}) == 2)
        first.send_signal(signal.SIGSTOP)
        alone = len(children.handled())
        await until(lambda: len(children.handled()) > alone + 200, 90)
        await asyncio.sleep(12)  # past the session time-out: the group has gone on
        first.send_signal(signal.SIGCONT)
        await until(lambda: children.numbers() == set(range(4_000)), 90)
        assert second.returncode is None
        assert first.returncode is None
    finally:
        await children.stop()
    check(children.handled(), 4_000)


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


async def test_without_its_dead_letter_topic_it_waits_visibly_and_goes_on(broker: str, organisation: str) -> None:
    """Nothing behind the event is committed, readiness says why, the other cases are done; then the topic comes."""
    await make_topics(broker, organisation, partitions=1, dead=False)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number}", number) for number in range(20)))
    port = free_port()
    subscriber = Subscriber("s", quick(broker, organisation, http=f"127.0.0.1:{port}"))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if event.data.service_code == "3":
            raise PermanentError("secret-canary", code="handler.unknown-case")

    async with running(subscriber), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await until(lambda: subscriber.trouble)
        await until(lambda: subscriber.runtime.engine.tally.handled == 19)
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["code"] == subscriber.trouble
        (run,) = subscriber.runtime.runs.values()
        assert run.progress.position == 3
        await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.dead.s", 1, 1)])
        await until(lambda: run.progress.position == 20)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/livez")).text == "ok"
        metrics = (await client.get("/metrics")).text
    found = {
        sample.name: sample.value for family in text_string_to_metric_families(metrics) for sample in family.samples
    }
    assert found["backbone_subscriber_handled_total"] == 19
    assert found["backbone_subscriber_dead_total"] == 1
    assert found["backbone_subscriber_open_letters"] == 1
    assert "canary" not in metrics


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
    """What was handled before, during and after: every event once, as no handler failed and no instance died."""
    seen: dict[str, list[int]] = defaultdict(list)
    async with EmbeddedKafka() as kafka:
        broker, organisation = kafka.bootstrap_servers, "E09000098"
        await make_topics(broker, organisation)
        speaker = Publisher(organisation)
        await publish(broker, speaker.messages(changed(f"c{number % 9}", number) for number in range(500)))
        subscriber = Subscriber("s", quick(broker, organisation))

        @subscriber.on(StatusChanged, organisations=[organisation])
        async def handle(event: Event[StatusChanged]) -> None:
            seen[event.subject].append(number_of(event))

        async with running(subscriber):
            await until(lambda: sum(map(len, seen.values())) == 500)
            await kafka.kill()
            await asyncio.sleep(2)
            await kafka.start()
            await publish(broker, speaker.messages(changed(f"c{number % 9}", number) for number in range(500, 900)))
            await until(lambda: len({number for numbers in seen.values() for number in numbers}) == 900, 90)
    for numbers in seen.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts)


async def test_without_a_broker_it_says_so_in_one_sentence(organisation: str) -> None:
    """An address where nobody answers is named as what it is, at once, by a run that is to end by itself."""
    subscriber = Subscriber("s", quick(f"127.0.0.1:{free_port()}", organisation))
    subscriber.on(StatusChanged)(print)  # type: ignore[type-var]  # never called
    with pytest.raises(UnreachableError, match="no broker answers"):
        await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)


async def test_the_page_on_subscribing_works_as_it_stands(broker: str, organisation: str, tmp_path: Path) -> None:
    """Its service handles an event, its commands work, and its test passes."""
    page = (ROOT / "docs" / "subscribing.md").read_text()
    service, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "service.py").write_text(service.replace("E09000099", organisation))
    (tmp_path / "test_service.py").write_text(test.replace("E09000099", organisation))
    environment = {
        **os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": "example-department",
        "PYTHONPATH": str(tmp_path),
    }  # fmt: skip
    (line,) = re.findall(r"^backbone subscriber topics .*?(?=  )", page, re.MULTILINE)
    made = await asyncio.create_subprocess_exec(sys.executable, "-m", *line.split(), env=environment)
    assert await made.wait() == 0
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.servicerequests.v1", 1, 1)])
    (event,) = sample_events(StatusChanged, 1, seed=1)
    await publish(broker, [Publisher(organisation).message(event)])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        printed = await asyncio.wait_for(process.stdout.readline(), 30)
        assert printed.decode().split() == [organisation, event.case_ref, event.state]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
    tested = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", str(tmp_path),
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await tested.communicate()
    assert "1 passed" in said.decode()
    moved = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "subscriber", "seek", "potholes", "--to", "earliest", "--dry-run", "--json",
        env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await moved.communicate()
    assert b'"from":1,"to":0' in said


async def test_a_new_subscriber_works_as_it_is_made(tmp_path: Path) -> None:
    """`init --subscriber` gives a service whose tests pass; `try` shows it synthetic events on a Kafka of its own."""
    folder = tmp_path / "service"

    async def command(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, cwd=folder if folder.exists() else tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    assert (await command("backbone", "init", str(folder), "--subscriber"))[0] == 0
    code, said = await command("pytest", "-q", "-p", "no:cacheprovider")
    assert (code, "1 passed" in said) == (0, True), said
    code, said = await command(
        "backbone", "subscriber", "try", "servicerequests.status-changed", "--service", "service:subscriber",
        "--count", "3",
    )  # fmt: skip
    assert code == 0, said
    assert "3 handled, 0 passed over, 0 set aside" in said
    code, said = await command("backbone", "subscriber", "try", "servicerequest.status-changed")
    assert (code, "did you mean" in said) == (2, True)
    assert (await command("backbone", "init", str(folder), "--subscriber"))[0] == 2
