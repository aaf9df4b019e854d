"""Workers that stand still, that lose their lease in the middle of a batch, and that come back as zombies."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from backbone.config import Deployment, load
from backbone.provisioning import apply
from backbone.testing.kafka_proxy import END_TXN, Disturbance
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker
from tests.faults.conftest import Stricken
from tests.faults.watching import Processes, frozen, unsettled, until
from tests.outcomes import receipts

SHORT_TRANSACTIONS = "--set=backbone.kafka.producer.TRANSACTION_TIMEOUT_MS=1000"


async def test_fault_08_frozen_past_the_transaction_timeout(deployment: Deployment) -> None:
    """A process that stood still while its transaction timed out initialises its id again, reads, and goes on.

    Its transactions time out after one second instead of thirty; the broker looks for such ones every ten seconds.
    """
    wanted = list(rows(9_000))
    write(deployment.path.parent / "drop" / "20310106_a.csv", wanted)
    topic = f"{deployment.organisation}.servicerequests.v1"
    async with Processes(deployment) as processes:
        worker = await processes.start("--once", SHORT_TRANSACTIONS, "--freeze-at=commit.before:2")
        await frozen(worker)
        assert await unsettled(deployment, topic) > 0
        async with asyncio.timeout(40):
            while await unsettled(deployment, topic):
                await asyncio.sleep(0.2)
        worker.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(worker.wait(), 60) == 0
        assert len([line for line in processes.log() if line["event"] == "shard.opened"]) >= 2
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    assert [receipt.published for receipt in await receipts(deployment)] == [9_000]


async def test_fault_05_zombie_that_comes_back(deployment: Deployment) -> None:
    """A worker that was frozen past its lease is fenced, says so, and never takes the shard back by force.

    The one that took over is interrupted at most once.
    """
    wanted = list(rows(12_000))
    drop = deployment.path.parent / "drop"
    write(drop / "20310106_a.csv", wanted[:9_000])
    async with Processes(deployment) as processes:
        zombie = await processes.start("--no-watchdog", "--freeze-at=commit.before:2")
        await frozen(zombie)
        await processes.start()
        await processes.logged("document.finished", 1, document="20310106_a.csv")
        zombie.send_signal(signal.SIGCONT)
        await processes.logged("shard.fenced", 0)
        await processes.logged("lease.assigned", 0)
        write(drop / "20310107_a.csv", wanted[9_000:])
        await until(
            lambda: any(line.get("document") == "20310107_a.csv" for line in (*processes.log(0), *processes.log(1)))
        )
        for worker in processes.all:
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), 20) == 0
        fenced = [line for line in processes.log(1) if line["event"] == "shard.fenced"]
        assert len(fenced) <= 1
        assert len([line for line in processes.log(0) if line["event"] == "shard.fenced"]) == 1
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    assert [receipt.published for receipt in await receipts(deployment)] == [9_000, 3_000]


TWO_FEEDS = "".join(
    f"\n  - {{name: {name}, adapter: symology, system: {name}, source: {{type: files, url: drop/{name},"
    " pattern: '*.csv', ready_after_secs: 0, poll_interval_secs: 0.05}}"
    for name in ("one", "two")
)


@pytest.mark.xdist_group("stricken")
async def test_fault_09_rebalance_in_the_middle_of_a_batch(
    stricken: Stricken, deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that is cut off by a rebalance is thrown away; its commit, which arrives late, changes nothing.

    The commits of both shards hang in the network while a second worker joins; they are waited for for half a second
    instead of five.
    """
    monkeypatch.setattr("backbone.worker.STOP_DEADLINE_SECS", 0.5)
    deployment = deploy(TWO_FEEDS, at=stricken.proxied)
    await apply(deployment)
    wanted = list(rows(6_000))
    for number, name in enumerate(("one", "two")):
        folder = deployment.path.parent / "drop" / name
        folder.mkdir()
        write(folder / "20310106_a.csv", wanted[number::2])
    late = [
        Disturbance(END_TXN, "delay", 4.0, transactional_id=f"{deployment.organisation}.{name}.main".encode())
        for name in ("one", "two")
    ]
    for disturbance in late:
        stricken.proxy.arm(disturbance)
    first, second = Worker(deployment.worker_settings()), Worker(direct(deployment, stricken).worker_settings())
    first.name, second.name = "first", "second"
    running = [asyncio.create_task(first.run())]
    await asyncio.wait_for(asyncio.gather(*(disturbance.met.wait() for disturbance in late)), 30)
    running.append(asyncio.create_task(second.run()))
    await until(lambda: sum(shard.status.documents for shard in (*first.shards, *second.shards)) >= 2, secs=60)
    for worker in (first, second):
        worker.stop()
    assert await asyncio.gather(*running) == [0, 0]
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    assert sorted((receipt.feed, receipt.published) for receipt in await receipts(deployment)) == [
        ("one", 3_000),
        ("two", 3_000),
    ]


def direct(deployment: Deployment, stricken: Stricken) -> Deployment:
    """Return the same deployment with a connection that no proxy stands before."""
    path = deployment.path.with_name("direct.yaml")
    path.write_text(deployment.path.read_text().replace(stricken.proxied, stricken.direct))
    return load(path)
