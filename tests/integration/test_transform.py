"""Transforms on a real Kafka: each input has its effect once, whatever dies, and order is kept."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from backbone import points
from backbone.cli import subscriber as command
from backbone.embedded import EmbeddedKafka
from backbone.errors import BackboneError, FatalError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.broker import PlainProducer
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import TopicRecord, read_topics
from backbone.packed import Message
from backbone.subscriber import Event, Output, PermanentError, Settings, Transform
from backbone.subscriber.letters import open_letters, try_again
from backbone.subscriber.positions import positions_topic
from backbone.testing.events import Publisher
from backbone.topics import COMPACTED
from schemas.servicerequests.v1 import StatusChanged, Updated
from tests.integration.subscribers import until

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from backbone.subscriber import Event, Output, Settings, Transform
from backbone.testing.crash import strike_at
from schemas.servicerequests.v1 import StatusChanged

point, _, times = sys.argv[2].partition(":")
if point:
    strike_at(point, int(times))
transform = Transform("t", Settings(), to=[sys.argv[1]])

@transform.on(StatusChanged, organisations=[transform.settings.organisation])
def twice(event):
    text = event.data.service_code.encode()
    return [Output(text + b"/a"), Output(text + b"/b")]

print("begins", flush=True)
transform.main()
"""


def changed(case: str, number: int) -> StatusChanged:
    return StatusChanged.model_validate({
        "case_ref": case, "organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z", "state": "open",
        "service_code": str(number),
    })  # fmt: skip


async def topics(broker: str, organisation: str, *, partitions: int = 3) -> str:
    """Create the input, the output and the transform's own topics; return the output's name."""
    out = f"{organisation}.out"
    await create_topics(
        KafkaConnection(broker),
        [
            TopicSpec(f"{organisation}.servicerequests.v1", partitions, 1),
            TopicSpec(out, 2, 1),
            TopicSpec(f"{organisation}.dead.t", 1, 1),
            TopicSpec(positions_topic(organisation, "t"), 12, 1, COMPACTED),
        ],
    )
    return out


async def publish(broker: str, messages: Sequence[tuple[str, Message]], *, aborted: int = 0) -> None:
    """Publish in transactions of a hundred; every ``aborted``-th is written and aborted first."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=f"source-{random.random()}", linger_ms=2)  # noqa: S311
    await producer.start()
    for turn, begin in enumerate(range(0, len(messages), 100)):
        for real in (False, True) if aborted and turn % aborted == 0 else (True,):
            await producer.begin_transaction()
            for topic, (key, value, headers) in messages[begin : begin + 100]:
                await producer.send(topic, value, key=key, headers=headers)
            await (producer.commit_transaction() if real else producer.abort_transaction())
    await producer.stop()


def numbered(organisation: str, count: int, cases: int = 40) -> list[tuple[str, Message]]:
    speaker = Publisher(organisation)
    return speaker.messages([changed(f"7{number % cases:05}", number) for number in range(count)])


async def outputs(broker: str, topic: str) -> list[TopicRecord]:
    return [record async for record in read_topics(KafkaConnection(broker), [topic])]


def faults(found: Sequence[TopicRecord], count: int) -> list[str]:
    """Return what is wrong: each input gives two outputs under its case's key, in order within the case."""
    wanted = Counter(f"{number}/{part}" for number in range(count) for part in "ab")
    got = Counter((record.value or b"").decode() for record in found)
    problems = [f"missing {name}" for name in wanted - got] + [f"too many of {name}" for name in got - wanted]
    latest: dict[bytes | None, int] = {}
    for record in found:
        number = int((record.value or b"").partition(b"/")[0])
        if number < latest.get(record.key, -1):
            problems.append(f"{record.key!r} out of order at {record.partition}/{record.offset}")
        latest[record.key] = number
    return problems


def made(broker: str, organisation: str, **more: Any) -> Transform:
    return Transform("t", Settings(bootstrap_servers=broker, organisation=organisation), **more)


async def caught_up(transform: Transform) -> None:
    await asyncio.wait_for(transform.run(until_caught_up=True), 60)


async def test_every_committed_event_is_transformed_once(broker: str, organisation: str) -> None:
    """Aborted input is never seen, all else gives its outputs in order; a second run finds nothing to do."""
    out = await topics(broker, organisation)
    await publish(broker, numbered(organisation, 3_000), aborted=3)

    def run_anew() -> Transform:
        transform = made(broker, organisation, to=[out])

        @transform.on(StatusChanged, organisations=[organisation])
        def twice(event: Event[StatusChanged]) -> list[Output]:
            text = (event.data.service_code or "").encode()
            return [Output(text + b"/a"), Output(text + b"/b")]

        return transform

    first, second = run_anew(), run_anew()
    await caught_up(first)
    assert first.tally.handled == 3_000
    assert list(first.lag().values()) == [0, 0, 0]
    await caught_up(second)
    assert second.tally.handled == 0
    assert faults(await outputs(broker, out), 3_000) == []


async def test_events_of_its_own_have_ids_that_follow_from_the_input(broker: str, organisation: str) -> None:
    """A transform that publishes events keeps case, trace and lateness, and gives equal facts equal ids."""
    await topics(broker, organisation)
    target = "E09000098"
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.other.v1", 1, 1)])
    await publish(broker, numbered(organisation, 20))
    transform = made(broker, organisation, emits=[Updated])

    @transform.on(StatusChanged, organisations=[organisation])
    def update(event: Event[StatusChanged]) -> Updated:
        content = {"case_ref": event.data.case_ref, "organisation": target, "occurred_at": event.data.occurred_at}
        return Updated.model_validate(content)

    await caught_up(transform)
    found = [dict(record.headers) for record in await outputs(broker, f"{organisation}.servicerequests.v1")]
    source = [headers for headers in found if headers["ce_type"].endswith(b"status-changed.v1")]
    mine = [headers for headers in found if headers["ce_type"].endswith(b"updated.v1")]
    assert len(mine) == len(source) == 20
    assert len({headers["ce_id"] for headers in found}) == 40
    assert {headers["ce_traceparent"] for headers in mine} == {headers["ce_traceparent"] for headers in source}
    assert {headers["ce_source"] for headers in mine} == {f"urn:backbone:{organisation}:t".encode()}


async def test_what_cannot_be_transformed_parks_its_case_until_it_is_retried(broker: str, organisation: str) -> None:
    """A failing record and those behind it in its case go aside with position and all; a retry gives them in order."""
    out = await topics(broker, organisation, partitions=1)
    await publish(broker, numbered(organisation, 40, cases=4))
    mended = False
    transform = made(broker, organisation, to=[out])

    @transform.on(StatusChanged, organisations=[organisation])
    def twice(event: Event[StatusChanged]) -> list[Output]:
        text = (event.data.service_code or "").encode()
        if text == b"5" and not mended:
            message = "not this one"
            raise PermanentError(message)
        return [Output(text + b"/a"), Output(text + b"/b")]

    await caught_up(transform)
    connection = KafkaConnection(broker)
    letters = await open_letters(connection, transform.dead_letter_topic)
    assert [letter.code for letter in letters.open.values()] == ["handler.permanent"] + ["event.behind-dead"] * 8
    assert len(await outputs(broker, out)) == 2 * (40 - 9)
    assert transform.open_letters == 9
    mended = True
    running = asyncio.create_task(transform.run())
    await try_again(connection, transform.dead_letter_topic, list(letters.open.values()))
    async with asyncio.timeout(30):
        while len((await open_letters(connection, transform.dead_letter_topic)).open):
            await asyncio.sleep(0.05)
    transform.stop()
    await running
    assert faults(await outputs(broker, out), 40) == []


ENVELOPE = (("ce_specversion", b"1.0"), ("ce_id", b"1"))


@pytest.mark.parametrize(
    ("headers", "value", "code"),
    [
        ([], b"{}", "event.no-envelope"),
        ([("ce_type", b"org.councilbackbone.servicerequests.status-changed.v1")], b"{}", "event.no-envelope"),
        ([*ENVELOPE, ("ce_type", b"org.councilbackbone.servicerequests.status-changed.v1")], b"{", "event.undecodable"),
        ([*ENVELOPE, ("ce_type", b"org.councilbackbone.servicerequests.status-changed.v1")], b"{}", "event.schema"),
        ([*ENVELOPE, ("ce_type", b"org.councilbackbone.servicerequests.status-changed.v2")], b"{}",
         "event.unknown-major"),
        ([*ENVELOPE, ("ce_type", b"org.councilbackbone.servicerequests.revoked.v1")],
         b'{"case_ref":"1","organisation":"E09000099","occurred_at":"2031-06-14T08:05:00Z","reason":"typographical"}',
         "event.fact-not-handled"),
    ],
)  # fmt: skip
async def test_poison_is_set_aside_with_its_code(
    broker: str, organisation: str, headers: list[tuple[str, bytes]], value: bytes, code: str
) -> None:
    """What is no event, or not one that is known, never stops a partition and never is passed over in silence."""
    out = await topics(broker, organisation, partitions=1)
    async with PlainProducer(KafkaConnection(broker)) as producer:
        await producer.send(f"{organisation}.servicerequests.v1", (b"x", value, headers))
    await publish(broker, numbered(organisation, 3))
    transform = made(broker, organisation, to=[out])
    transform.on(StatusChanged, organisations=[organisation])(lambda event: Output(b"x"))
    await caught_up(transform)
    letters = await open_letters(KafkaConnection(broker), transform.dead_letter_topic)
    assert [letter.code for letter in letters.open.values()] == [code]
    assert next(iter(letters.open.values())).headers == tuple(headers)
    assert len(await outputs(broker, out)) == 3


class Children:
    """Transform processes over the same topics."""

    def __init__(self, broker: str, organisation: str, out: str) -> None:
        self._out = out
        self._environment = {**os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": organisation}
        self.all: list[asyncio.subprocess.Process] = []

    async def start(self, die_at: str = "") -> asyncio.subprocess.Process:
        """Start one more."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, self._out, die_at, env=self._environment, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self.all.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline()
        return process

    async def end(self) -> None:
        """Kill those that run."""
        for process in self.all:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def until_there(broker: str, topic: str, count: int, secs: float = 90) -> list[TopicRecord]:
    async with asyncio.timeout(secs):
        while len(found := await outputs(broker, topic)) < count:
            await asyncio.sleep(0.3)
    return found


@pytest.mark.timeout(240)
async def test_kills_zombies_and_a_second_instance_change_nothing(broker: str, organisation: str) -> None:
    """20,000 events come in while instances are killed, frozen past their session, stopped, and share the work."""
    out = await topics(broker, organisation)
    children, choose = Children(broker, organisation, out), random.Random(11)  # noqa: S311 - a schedule
    source = asyncio.create_task(publish(broker, numbered(organisation, 20_000), aborted=5))
    try:
        stays = await children.start()
        for kind in ("kill", "kill", "zombie", "term", "kill"):
            process = await children.start()
            await asyncio.sleep(choose.uniform(1.0, 3.0))
            if kind == "zombie":
                stays.send_signal(signal.SIGSTOP)
                await asyncio.sleep(8)
                stays.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM if kind == "term" else signal.SIGKILL)
            code = await asyncio.wait_for(process.wait(), 20)
            assert kind != "term" or code == 0
        await source
        assert faults(await until_there(broker, out, 40_000), 20_000) == []
    finally:
        await children.end()


@pytest.mark.parametrize(
    "point",
    [
        f"{name}:3" if name == "transaction.batch-sent" else name
        for name in points.POINTS
        if name.startswith(("state", "transaction", "commit", "transform"))
    ],
)
async def test_a_death_at_any_point_changes_nothing(broker: str, organisation: str, point: str) -> None:
    """An instance kills itself at a named point; the next goes on from what is committed."""
    out = await topics(broker, organisation)
    await publish(broker, numbered(organisation, 3_000))
    children = Children(broker, organisation, out)
    try:
        first = await children.start(point if ":" in point else f"{point}:1")
        assert await asyncio.wait_for(first.wait(), 60) == -signal.SIGKILL
        await children.start()
        assert faults(await until_there(broker, out, 6_000), 3_000) == []
    finally:
        await children.end()


@pytest.mark.timeout(240)
async def test_a_killed_broker_changes_nothing(organisation: str, tmp_path: Path) -> None:
    """The broker is killed under a running transform and comes back: it goes on by itself."""
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        out = await topics(kafka.bootstrap_servers, organisation)
        await publish(kafka.bootstrap_servers, numbered(organisation, 6_000))
        children = Children(kafka.bootstrap_servers, organisation, out)
        try:
            await children.start()
            await until_there(kafka.bootstrap_servers, out, 1)
            await kafka.kill()
            await kafka.start()
            assert faults(await until_there(kafka.bootstrap_servers, out, 12_000), 6_000) == []
        finally:
            await children.end()


async def test_a_position_that_is_not_on_the_topic_stops_it(broker: str, organisation: str) -> None:
    """An input that was made anew is not read from somewhere by itself: that would lose or repeat events."""
    out = await topics(broker, organisation, partitions=1)
    place = f"{organisation}.servicerequests.v1"
    async with PlainProducer(KafkaConnection(broker)) as producer:
        for partition in range(12):
            value = b'{"v":1,"offset":77,"generation":3}'
            await producer.send_to(positions_topic(organisation, "t"), partition, (f"at/{place}/0".encode(), value, []))
    transform = made(broker, organisation, to=[out])
    transform.on(StatusChanged, organisations=[organisation])(lambda event: Output(b"x"))
    with pytest.raises(FatalError) as caught:
        await caught_up(transform)
    assert caught.value.code == "input.position-lost"


async def test_positions_are_moved_by_command(
    broker: str, organisation: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transform that is stopped can be told to read again; a dry run only shows it."""
    out = await topics(broker, organisation, partitions=2)
    await publish(broker, numbered(organisation, 50))

    def run_anew() -> Transform:
        transform = made(broker, organisation, to=[out])
        transform.on(StatusChanged, organisations=[organisation])(lambda event: Output(b"x"))
        return transform

    await caught_up(run_anew())
    monkeypatch.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("BACKBONE_ORGANISATION", organisation)
    assert await command.seek("t", to="earliest", transform=True, dry_run=True, json=True) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [move["to"] for move in shown] == [0, 0]
    await caught_up(run_anew())
    assert len(await outputs(broker, out)) == 50
    assert await command.seek("t", to="earliest", transform=True) == 0
    await caught_up(run_anew())
    assert len(await outputs(broker, out)) == 100


async def test_missing_topics_are_named_at_the_start(
    broker: str, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transform whose topics are not there says which, or waits for them; the command makes its own."""
    transform = made(broker, organisation, to=[f"{organisation}.out"])
    transform.on(StatusChanged, organisations=[organisation])(lambda event: None)
    with pytest.raises(BackboneError, match=r"\.out") as caught:
        await transform.run(until_caught_up=True)
    assert caught.value.code == "topic.missing"
    serving = asyncio.create_task(transform.run())
    await until(lambda: transform.trouble == "topic.missing")
    monkeypatch.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("BACKBONE_ORGANISATION", organisation)
    assert await command.topics("t", transform=True, replication_factor=1) == 0
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.out", 1, 1)])
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.servicerequests.v1", 1, 1)])
    await until(lambda: transform.ready)
    transform.stop()
    await asyncio.wait_for(serving, 40)
