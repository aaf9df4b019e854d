"""The worker's own machine: a full disk, and clocks that are wrong or go backwards."""

import asyncio
import gzip
import resource
import signal
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from backbone.config import Deployment
from backbone.control import Command
from backbone.control import message_of as command_message
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.broker import PlainProducer
from backbone.kafka.readers import consumer
from backbone.provisioning import apply
from backbone.testing.rows import HEADER, Row, events, faults, rows, seen, write
from tests.faults.conftest import Stricken
from tests.faults.watching import Processes, stalled, until
from tests.outcomes import receipts

pytestmark = pytest.mark.xdist_group("stricken")
FEED = """
  - {name: hw, adapter: symology, options: {default_state: null},
     source: {type: files, url: drop, pattern: "*.csv", ready_after_secs: 0.2, poll_interval_secs: 0.05}}
"""


async def test_fault_11_full_local_disk(deployment: Deployment) -> None:
    """Nothing that cannot be unpacked is held or lost, and a log that cannot be written stops nobody.

    The limit on files is the process's own, so that no disk has to be filled.
    """
    wanted = list(rows(300))
    drop = deployment.path.parent / "drop"
    packed = drop / "20310106_a.csv"
    packed.write_bytes(gzip.compress((HEADER + "".join(row.text for row in wanted[:200])).encode()))
    async with Processes(deployment) as processes:
        worker = await processes.start(limit="-S -f 0")
        await stalled(deployment, "source.spool-unwritable")
        assert await receipts(deployment) == []
        assert processes.log() == [], "the log was to fail as well"
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await processes.logged("document.finished", outcome="complete", published=200)
        write(drop / "20310107_a.csv", wanted[200:])
        await processes.logged("document.finished", outcome="complete", published=100)
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 20) == 0
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


def unknown(row: Row) -> Row:
    """Return the row with a code that strict options do not know."""
    return Row(row.text.replace('"RSW",RES,1', '"ZZ9",,1'), row.case, row.time)


async def test_fault_12_clock_that_is_wrong_and_goes_backwards(
    stricken: Stricken, deploy: Callable[..., Deployment]
) -> None:
    """Order and readiness go by offsets and monotonic time; nothing is deleted for what the worker's clock says.

    It begins two days ahead and falls back by twenty days a second, through all that retention counts with.
    """
    deployment = deploy(FEED, at=stricken.direct)
    await apply(deployment)
    wanted = list(rows(120))
    drop = deployment.path.parent / "drop"
    async with Processes(deployment) as processes:
        worker = await processes.start("--clock", f"{2 * 86_400},{-20 * 86_400}")
        for number in range(4):
            part = wanted[number * 30 : number * 30 + 30]
            write(drop / f"2031010{number}_a.csv", [unknown(part[0]), *part[1:]])
            await processes.logged("document.finished", document=f"2031010{number}_a.csv", published=29, rejected=1)
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), 20) == 0
        await retention_passed(stricken, deployment)
        deployment.path.write_text(deployment.path.read_text().replace("default_state: null", "default_state: open"))
        async with PlainProducer(deployment.connection) as producer:
            command = Command(kind="redrive", feed="hw", at="2031-01-06T09:00:00Z")
            await producer.send(deployment.topics.control, command_message(command))
        await processes.start("--clock", "0,0")
        await until(lambda: len([line for line in processes.log(1) if line["event"] == "rejects.redriven"]) == 4)
    found = await events(deployment.connection, deployment.organisation)
    punctual = [record for record in found if "ce_late" not in dict(record.headers)]
    assert faults(punctual, [row for number, row in enumerate(wanted) if number % 30]) == []
    assert sorted(seen(found)) == sorted((row.case, row.time) for row in wanted)
    assert [receipt.ordinal for receipt in await receipts(deployment)] == list(range(8))


async def retention_passed(stricken: Stricken, deployment: Deployment) -> None:
    """Wait until the broker has deleted what was too old: a record of 1970 on a topic of its own goes with it."""
    name = f"{deployment.organisation}.old"
    await create_topics(deployment.connection, [TopicSpec(name, 1, 1, {"retention.ms": "1000"})])
    async with AIOKafkaProducer(bootstrap_servers=stricken.direct) as producer:
        await producer.send_and_wait(name, b"old", timestamp_ms=1)
    place = TopicPartition(name, 0)
    async with consumer(deployment.connection) as client, asyncio.timeout(60):
        while (await client.beginning_offsets([place]))[place] == 0:
            await asyncio.sleep(0.1)
