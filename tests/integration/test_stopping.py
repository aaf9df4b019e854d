"""SIGTERM ends a worker in order within ten seconds, wherever it is and whatever its broker does; a second at once."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer

from backbone.cli.running import newest
from backbone.config import Deployment
from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import free_port
from backbone.provisioning import apply
from backbone.testing.kafka_proxy import END_TXN, Disturbance, KafkaProxy
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker, run_worker

WITHIN_SECS = 10.0
HAND_OVER_SECS = 3.0
JOIN_GROUP = 11
FEED = (
    "\n  - {name: hw, adapter: symology, state_partition: 3, source: {type: files, url: drop, pattern: '*.csv',"
    " ready_after_secs: 0, poll_interval_secs: 0.05}}"
)
RECORDS = 12_000


@dataclass
class Broker:
    """A broker of this module's own, which clients reach through a proxy."""

    kafka: EmbeddedKafka
    proxy: KafkaProxy
    address: str


@pytest.fixture(scope="module")
async def behind_proxy() -> AsyncIterator[Broker]:
    """Give a broker that may be stopped, and whose requests can be held."""
    port, upstream = free_port(), free_port()
    extra = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    async with KafkaProxy(port, upstream) as proxy, EmbeddedKafka(port=upstream, extra=extra) as kafka:
        yield Broker(kafka, proxy, f"127.0.0.1:{port}")


@pytest.fixture
async def deployment(behind_proxy: Broker, deploy: Callable[..., Deployment]) -> Deployment:
    """Give a deployment on that broker, with a file to read."""
    made = deploy(FEED, at=behind_proxy.address)
    await apply(made)
    write(made.path.parent / "drop" / "20310106.csv", rows(RECORDS))
    return made


class Process:
    """`backbone run` as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.log: list[dict[str, object]] = []
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, deployment: Deployment, *how: str) -> "Process":
        """Start one; ``how`` stands in for the module that is run."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *(how or ("-m", "backbone")), "run", "--config", str(deployment.path), "--log-json",
                stderr=asyncio.subprocess.PIPE,
            )
        )  # fmt: skip

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log.append(json.loads(line))

    async def said(self, event: str) -> None:
        """Wait until the log has an event."""
        async with asyncio.timeout(60):
            while not any(line["event"] == event for line in self.log):
                await asyncio.sleep(0.01)

    async def ends(self, code: int, within_secs: float) -> None:
        """Send SIGTERM; it must end with the exit code in time."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self._process.wait(), 30) == code, self.log
        assert time.monotonic() - began < within_secs
        await self._reading

    def signal(self) -> None:
        """Send SIGTERM and do not wait."""
        self._process.send_signal(signal.SIGTERM)


async def handed_over(deployment: Deployment) -> float:
    """Start a worker in this process; return how many seconds it takes until it has the shard."""
    worker = Worker(deployment.worker_settings())
    began = time.monotonic()
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(30):
        while not worker.shards[0].status.opened:
            await asyncio.sleep(0.01)
    took = time.monotonic() - began
    worker.stop()
    await running
    return took


async def test_a_transaction_in_hand_is_committed(behind_proxy: Broker, deployment: Deployment) -> None:
    """A commit that takes two seconds is waited for; the next worker has the shard at once and goes on behind it."""
    held = Disturbance(END_TXN, "delay", 2.0, after=1)
    behind_proxy.proxy.arm(held)
    process = await Process.start(deployment)
    await asyncio.wait_for(held.met.wait(), 60)
    await process.ends(0, WITHIN_SECS)
    assert not any(line["event"] == "lease.work-cut-off" for line in process.log)
    assert await handed_over(deployment) < HAND_OVER_SECS
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    assert faults(await events(deployment.connection, deployment.organisation), list(rows(RECORDS))) == []


async def test_a_transaction_that_cannot_end_is_cut_off(behind_proxy: Broker, deployment: Deployment) -> None:
    """A commit without an answer is given up within the bound, the group is left, and nothing is lost or repeated."""
    held = Disturbance(END_TXN, "delay", 60.0, after=1)
    behind_proxy.proxy.arm(held)
    process = await Process.start(deployment)
    await asyncio.wait_for(held.met.wait(), 60)
    await process.ends(0, WITHIN_SECS)
    assert any(line["event"] == "lease.work-cut-off" for line in process.log)
    assert await handed_over(deployment) < HAND_OVER_SECS
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    assert faults(await events(deployment.connection, deployment.organisation), list(rows(RECORDS))) == []


async def test_a_second_signal_means_now(behind_proxy: Broker, deployment: Deployment) -> None:
    """While the first one still waits for a commit, a second one ends the process with 130 at once."""
    held = Disturbance(END_TXN, "delay", 60.0)
    behind_proxy.proxy.arm(held)
    process = await Process.start(deployment)
    await asyncio.wait_for(held.met.wait(), 60)
    async with asyncio.timeout(60):  # until it has been heard of: its silence is to tell afterwards
        while not await newest(deployment):
            await asyncio.sleep(0.1)
    process.signal()
    await process.said("worker.stopping")
    await process.ends(130, 1.0)
    async with asyncio.timeout(WITHIN_SECS):  # it has said good-bye to nobody: its silence tells
        while True:
            (found,) = await newest(deployment)
            if found.judged(int(time.time() * 1_000)) == ("STUCK", "feed.nobody-runs-it"):
                break
            await asyncio.sleep(0.1)


async def test_while_the_group_does_not_answer(behind_proxy: Broker, deployment: Deployment) -> None:
    """A worker that waits for its share of the shards is no member yet: it ends, and the next one has them at once."""
    held = Disturbance(JOIN_GROUP, "delay", 60.0, after=1)
    behind_proxy.proxy.arm(held)
    process = await Process.start(deployment)
    await asyncio.wait_for(held.met.wait(), 60)
    await process.ends(0, WITHIN_SECS)
    assert await handed_over(deployment) < HAND_OVER_SECS


async def test_while_the_state_is_loaded(deployment: Deployment) -> None:
    """A worker that waits behind a transaction that hangs ends at once, and leaves its group."""
    sibling = AIOKafkaProducer(
        **deployment.connection.options(), transactional_id=f"{deployment.organisation}.hanging", acks="all"
    )
    await sibling.start()
    await sibling.begin_transaction()
    await (await sibling.send(deployment.topics.state, b"{}", key=b"other/shard", partition=3))
    process = await Process.start(deployment)
    await process.said("alarm.raised")
    await process.ends(0, WITHIN_SECS / 2)
    await sibling.abort_transaction()
    await sibling.stop()
    assert await handed_over(deployment) < HAND_OVER_SECS


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_under_a_dead_broker(behind_proxy: Broker, deployment: Deployment, how: str) -> None:
    """In the middle of a file, under a broker that is silent or gone, and again while it waits for it at a start."""
    process = await Process.start(deployment)
    async with asyncio.timeout(60):
        while not await events(deployment.connection, deployment.organisation):
            await asyncio.sleep(0.02)
    if how == "killed":
        await behind_proxy.kafka.kill()
    else:
        behind_proxy.kafka.pause()
    waiting = await Process.start(deployment)
    try:
        await process.said("feed.needs-somebody")
        await process.ends(0, WITHIN_SECS)
        await waiting.said("feed.needs-somebody")
        await waiting.ends(0, WITHIN_SECS)
    finally:
        if how == "killed":
            await behind_proxy.kafka.start()
        else:
            behind_proxy.kafka.resume()
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    assert faults(await events(deployment.connection, deployment.organisation), list(rows(RECORDS))) == []


HANGING_MOUNT = """
import os, sys, time
scandir = os.scandir
os.scandir = lambda path: time.sleep(600) if str(path).endswith("drop") else scandir(path)
from backbone.cli import main
main()
"""


async def test_while_a_mount_hangs(deployment: Deployment) -> None:
    """A thread that never comes back from a network mount shows, and does not keep the process."""
    process = await Process.start(deployment, "-c", HANGING_MOUNT)
    await process.said("feed.needs-somebody")
    assert [line["code"] for line in process.log if line["event"] == "feed.needs-somebody"] == ["source.silent"]
    await process.ends(0, WITHIN_SECS)
