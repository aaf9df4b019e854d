"""Subscribers are told to stop: whatever handlers do, and be the broker there or not, they end within a bound."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from backbone.embedded import EmbeddedKafka
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.groups import move_group
from backbone.subscriber import Event, Subscriber
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import changed, make_topics, number_of, publish, quick, running, until

HANGS = {
    "waits": "await asyncio.sleep(3_600)",
    "is deaf": """while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)""",
    "left a thread": "await asyncio.to_thread(time.sleep, 3_600)",
}
CHILD = """
import asyncio, contextlib, sys, time
from backbone.subscriber import Settings, Subscriber
from schemas.servicerequests.v1 import StatusChanged

subscriber = Subscriber("s", Settings(concurrency=2, stop_within_secs=1))

@subscriber.on(StatusChanged, organisations=[subscriber.settings.organisation])
async def handle(event):
    if event.data.service_code == "0":
        return
    print(event.data.service_code, flush=True)
    {does}

subscriber.main()
"""


async def started(folder: Path, broker: str, organisation: str, does: str) -> asyncio.subprocess.Process:
    """Return a process whose handlers do as they like with two cases, once they do."""
    (folder / "service.py").write_text(CHILD.replace("{does}", does))
    environment = {**os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": organisation}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(2):
        assert await asyncio.wait_for(process.stdout.readline(), 60)
    return process


@pytest.mark.parametrize("does", HANGS)
async def test_handlers_that_never_end_do_not_hold_the_process(
    broker: str, organisation: str, tmp_path: Path, does: str
) -> None:
    """SIGTERM ends it cleanly all the same; what was done is committed, what hangs is not."""
    await make_topics(broker, organisation, partitions=1)
    cases = [changed("a", 0), changed("b", 1), changed("c", 2), changed("d", 0)]
    await publish(broker, Publisher(organisation).messages(cases))
    process = await started(tmp_path, broker, organisation, HANGS[does])
    try:
        process.terminate()
        told = time.monotonic()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert time.monotonic() - told < 25
    finally:
        if process.returncode is None:
            process.kill()
    moves = await move_group(KafkaConnection(broker), f"{organisation}.subscriber.s", "latest", dry_run=True)
    assert [move.before for move in moves if move.topic.startswith(organisation)] == [1]


async def test_a_broker_that_is_gone_does_not_hold_the_process(tmp_path: Path) -> None:
    """Neither the commit nor the leaving of the group is waited for for ever."""
    async with EmbeddedKafka() as kafka:
        await make_topics(kafka.bootstrap_servers, "E09000098", partitions=1)
        speaker = Publisher("E09000098")
        await publish(kafka.bootstrap_servers, speaker.messages([changed("b", 1), changed("c", 2)]))
        process = await started(tmp_path, kafka.bootstrap_servers, "E09000098", HANGS["waits"])
        await kafka.kill()
        try:
            process.terminate()
            told = time.monotonic()
            await asyncio.wait_for(process.wait(), 60)
            assert time.monotonic() - told < 35
        finally:
            if process.returncode is None:
                process.kill()


async def test_who_runs_it_in_a_program_of_his_own_may_cancel_it(broker: str, organisation: str) -> None:
    """A cancelled run leaves nothing behind: no task, no member of the group, and it can run again."""
    await make_topics(broker, organisation, partitions=1)
    await publish(broker, [Publisher(organisation).message(changed("a", 1))])
    before = asyncio.all_tasks()
    subscriber, seen = Subscriber(f"s-{organisation}", quick(broker, organisation, stop_within_secs=1)), []

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        seen.append(number_of(event))

    run = asyncio.create_task(subscriber.run())
    await until(lambda: seen == [1])
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 30)
    await until(lambda: asyncio.all_tasks() <= before)
    assert await move_group(KafkaConnection(broker), subscriber.group, "latest", dry_run=True)
    await publish(broker, [Publisher(organisation, "other").message(changed("a", 2))])
    async with running(subscriber):
        await until(lambda: seen == [1, 2])


async def test_a_handler_that_outlives_its_partition_is_cut_off(broker: str, organisation: str) -> None:
    """Its case goes on with the next owner: the two never work on it side by side."""
    await make_topics(broker, organisation, partitions=1)
    await publish(broker, [Publisher(organisation).message(changed("a", 1))])
    at_work: list[int] = []
    begun, most = 0, 0
    release = asyncio.Event()

    def instance() -> Subscriber:
        subscriber = Subscriber("s", quick(broker, organisation))

        @subscriber.on(StatusChanged, organisations=[organisation])
        async def handle(event: Event[StatusChanged]) -> None:
            nonlocal begun, most
            begun += 1
            at_work.append(begun)
            most = max(most, len(at_work))
            try:
                await release.wait()
            finally:
                at_work.pop()

        return subscriber

    first, second = instance(), instance()
    async with running(first):
        await until(lambda: begun == 1)
        async with running(second):
            await until(lambda: begun == 2)
            release.set()
            await until(lambda: first.tally.handled + second.tally.handled == 1)
    assert most == 1
