"""Brokers that are slow, cut off, full, too few, or stand still: feeds stall visibly, then go on by themselves."""

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from backbone import points
from backbone.config import Deployment, load
from backbone.kafka.readers import consumer
from backbone.provisioning import apply
from backbone.testing.kafka_proxy import PRODUCE, Disturbance
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker
from tests.faults.conftest import Stricken
from tests.faults.watching import Processes, settled, shown, until
from tests.outcomes import receipts
from tests.process_use import resident_bytes

FEED = (
    "\n  - {name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0,"
    " poll_interval_secs: 0.05, after: move}}"
)
PATIENCE = [f"--set=backbone.kafka.producer.{name}_DEADLINE_SECS=3" for name in ("SEND", "COMMIT")]
FULL_DISK_BYTES = 16_384
ONE_TRANSACTION_BYTES = 6_000_000
"""What a transaction and the one that is being prepared take; the whole file would become more than 28 MB of events."""


def read_to(process_id: int, file: Path) -> int | None:
    """Return how far a process has read an open file, or None while it has not opened it."""
    for link in Path(f"/proc/{process_id}/fd").iterdir():
        try:
            if link.readlink() == file:
                content = Path(f"/proc/{process_id}/fdinfo/{link.name}").read_text()
                return int(content.split("pos:")[1].split()[0])
        except FileNotFoundError:
            continue
    return None


async def end(deployment: Deployment, topic: str, partition: int = 0) -> int:
    """Return the end of a partition."""
    place = TopicPartition(topic, partition)
    async with consumer(deployment.connection, committed=False) as client:
        return int((await client.end_offsets([place]))[place])


@pytest.mark.xdist_group("stricken")
async def test_fault_07_slow_broker_and_network_partition(
    stricken: Stricken, deploy: Callable[..., Deployment]
) -> None:
    """While nothing can be delivered nothing more is read, memory stays what it was, and afterwards the file goes on.

    Deadlines are three seconds instead of ten.
    """
    deployment = deploy(FEED, at=stricken.proxied)
    await apply(deployment)
    wanted = list(rows(40_000))
    file = deployment.path.parent / "drop" / "20310106_a.csv"
    write(file, wanted)
    slow = [Disturbance(PRODUCE, "delay", 0.2) for _ in range(8)]
    async with Processes(deployment) as processes:
        worker = await processes.start("--once", *PATIENCE)
        async with asyncio.timeout(40):
            while not await end(deployment, f"{deployment.organisation}.servicerequests.v1"):
                await asyncio.sleep(0.05)
        for disturbance in slow:
            stricken.proxy.arm(disturbance)
        await asyncio.wait_for(slow[-1].met.wait(), 40)
        before = resident_bytes(worker.pid)
        cut = asyncio.create_task(stricken.proxy.partition(6.0))
        await stands_still(worker.pid, file)
        assert not cut.done(), "the partition was over before reading stopped"
        at = read_to(worker.pid, file)
        assert at is not None
        assert at < file.stat().st_size
        await processes.logged("feed.stalled")
        assert resident_bytes(worker.pid) - before < ONE_TRANSACTION_BYTES
        await cut
        assert await asyncio.wait_for(worker.wait(), 90) == 0
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    assert [receipt.published for receipt in await receipts(deployment)] == [40_000]


async def stands_still(process_id: int, file: Path, *, for_secs: float = 1.0) -> None:
    """Wait until a process has not read on in a file for some time."""
    loop = asyncio.get_running_loop()
    last, since = read_to(process_id, file), loop.time()
    async with asyncio.timeout(20):
        while loop.time() - since < for_secs:
            await asyncio.sleep(0.02)
            if (now := read_to(process_id, file)) != last or now is None:
                last, since = now, loop.time()


@pytest.mark.usefixtures("impatient")
@pytest.mark.xdist_group("stricken")
async def test_fault_10_full_broker_disk(stricken: Stricken, deploy: Callable[..., Deployment]) -> None:
    """The feed is stuck while the broker cannot write, the file stays where and what it was, and then it goes on."""
    deployment = deploy(FEED, at=stricken.direct)
    await apply(deployment)
    wanted = list(rows(9_000))
    drop = deployment.path.parent / "drop"
    worker = Worker(deployment.worker_settings())
    status = worker.shards[0].status
    running = asyncio.create_task(worker.run())
    write(drop / "20310106_a.csv", wanted[:100])
    await until(lambda: status.documents == 1)
    await settled(deployment)
    resource.prlimit(stricken.kafka.process_id, resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, FULL_DISK_BYTES))
    write(drop / "20310107_a.csv", wanted[100:])
    content = (drop / "20310107_a.csv").read_bytes()
    await until(lambda: shown(worker)[0] == "STUCK", secs=60)
    assert (drop / "20310107_a.csv").read_bytes() == content
    assert status.documents == 1
    await stricken.kafka.kill()
    await stricken.kafka.start()
    await until(lambda: status.documents == 2, secs=60)
    assert status.stalled_code == ""
    worker.stop()
    assert await running == 0
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.xdist_group("stricken")
async def test_fault_10_too_few_replicas_in_sync(stricken: Stricken, deploy: Callable[..., Deployment]) -> None:
    """Below the least number of replicas nothing is taken for written, and when the broker is back the feed goes on.

    A second broker joins for this test and dies in it; every topic is on both and wants both.
    """
    async with stricken.joined_by_another() as other:
        made = deploy(FEED, at=stricken.direct)
        text = made.path.read_text()
        made.path.write_text(text.replace("factor: 1, min_insync_replicas: 1", "factor: 2, min_insync_replicas: 2"))
        deployment = load(made.path)
        await apply(deployment)
        wanted = list(rows(2_000))
        drop = deployment.path.parent / "drop"
        worker = Worker(deployment.worker_settings())
        status = worker.shards[0].status
        running = asyncio.create_task(worker.run())
        write(drop / "20310106_a.csv", wanted[:1_000])
        await until(lambda: status.documents == 1, secs=60)
        await settled(deployment)
        await other.kill()
        write(drop / "20310107_a.csv", wanted[1_000:])
        await until(lambda: shown(worker)[0] == "STUCK", secs=60)
        assert status.documents == 1
        assert (drop / "20310107_a.csv").exists()
        await other.start()
        await until(lambda: status.documents == 2, secs=60)
        worker.stop()
        assert await running == 0
        assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


@pytest.mark.xdist_group("stricken")
async def test_core_09_broker_stands_still_for_forty_seconds_during_a_commit(
    stricken: Stricken, stricken_deployment: Deployment
) -> None:
    """The commit is given up at its own deadline, and what became of it is read when the broker answers: once each.

    Nothing is shortened here: ten seconds of patience, thirty of the transaction, forty of silence.
    """
    wanted = list(rows(6_000))
    worker = Worker(stricken_deployment.worker_settings())
    status, loop = worker.shards[0].status, asyncio.get_running_loop()
    silent = asyncio.Event()

    def hook(reached: str) -> None:
        if reached == "commit.sent" and not silent.is_set():
            stricken.kafka.pause()
            silent.set()

    points.hook = hook
    running = asyncio.create_task(worker.run())
    try:
        write(stricken_deployment.path.parent / "drop" / "20310106_a.csv", wanted)
        await asyncio.wait_for(silent.wait(), 40)
        began = loop.time()
        await until(lambda: shown(worker)[0] == "STUCK", secs=20)
        assert loop.time() - began < 15, "the commit was waited for longer than its deadline"
        await until(lambda: loop.time() - began > 40, secs=60)
    finally:
        points.hook = None
        stricken.kafka.resume()
    await until(lambda: status.documents == 1, secs=60)
    worker.stop()
    assert await running == 0
    assert faults(await events(stricken_deployment.connection, stricken_deployment.organisation), wanted) == []
