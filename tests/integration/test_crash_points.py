"""SIGKILL at every named point of a shard's life: another worker goes on, nothing missing, nothing twice."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backbone import points
from backbone.config import Deployment
from backbone.control import Command, message_of
from backbone.kafka.broker import PlainProducer
from backbone.provisioning import apply
from backbone.receipts import Receipt
from backbone.testing.rows import Row, events, faults, headers, rows, write
from backbone.worker import Worker, run_worker
from tests.outcomes import balanced

SCRIPT = Path(__file__).with_name("worker_process.py")
FIXED = ("  - {name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0,"
         " poll_interval_secs: 0.05}%s}")  # fmt: skip
AT = {"transaction.batch-sent": 5, "commit.answered": 2, "document.committed": 1}
"""At which time of reaching a point the process is killed; the first where nothing is said."""


async def killed(deployment: Deployment, point: str, times: int, *, forever: bool = False) -> None:
    """Run a worker process, until it has caught up or for ever, that kills itself at a point."""
    arguments = [str(SCRIPT), str(deployment.path), point, str(times), *(["forever"] if forever else [])]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL)
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL, f"{point} was never reached"


async def numbered(deployment: Deployment) -> list[Receipt]:
    """Return the receipts, each of which must balance, with ordinals that follow each other."""
    found = await balanced(deployment)
    assert [receipt.ordinal for receipt in found] == list(range(len(found)))
    return found


@pytest.mark.parametrize("point", [point for point in points.POINTS if not point.startswith(("redrive", "transform"))])
async def test_a_kill_at_any_point_loses_and_repeats_nothing(deploy: Callable[..., Deployment], point: str) -> None:
    """The first worker dies at the point; the second, fencing it, finishes: every row once, in order, one receipt."""
    first = deploy("\n" + FIXED % "", deployment="first")
    second = deploy("\n" + FIXED % "", deployment="second")  # a lease group of its own: no wait for the dead member
    await apply(first)
    wanted = list(rows(9_000))
    write(first.path.parent / "drop" / "20310106_a.csv", wanted)
    await killed(first, point, AT.get(point, 1))
    assert await run_worker(second.worker_settings(once=True)) == 0
    assert faults(await events(second.connection, second.organisation), wanted) == []
    (receipt,) = await numbered(second)
    assert (receipt.outcome, receipt.records, receipt.published) == ("complete", 9_000, 9_000)


@pytest.mark.parametrize("point", ["redrive.read", "commit.before", "redrive.committed"])
async def test_a_kill_in_a_redrive_publishes_each_reject_once(deploy: Callable[..., Deployment], point: str) -> None:
    """A re-drive that dies half-way is taken up again, and its events come out once."""
    strict = FIXED % ", options: {default_state: null}"
    first = deploy("\n" + strict, deployment="first")
    await apply(first)
    wanted = [
        Row(row.text.replace('"RSW",RES,1', '"ZZ9",,1'), row.case, row.time) for row in rows(20)
    ]  # a code that no rule knows
    write(first.path.parent / "drop" / "20310106_a.csv", wanted)
    assert await run_worker(first.worker_settings(once=True)) == 0
    assert await events(first.connection, first.organisation) == []
    mapped = FIXED % ", options: {default_state: open}"
    second, third = deploy("\n" + mapped, deployment="second"), deploy("\n" + mapped, deployment="third")
    async with PlainProducer(first.connection) as producer:
        command = Command(kind="redrive", feed="hw", at="2031-01-06T09:00:00Z")
        await producer.send(first.topics.control, message_of(command))
    await killed(second, point, 1, forever=True)
    assert await run_until_obeyed(third, 1) == 0
    found = await events(third.connection, third.organisation)
    assert faults(found, wanted) == []
    assert all(headers(record)["ce_late"] == "true" for record in found)
    assert [r.outcome for r in await numbered(third) if r.outcome == "redriven"] == ["redriven"]


async def run_until_obeyed(deployment: Deployment, commands: int) -> int:
    """Run a worker until its shards have obeyed so many commands."""
    worker = Worker(deployment.worker_settings())
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(30):
        while any(shard.status.control < commands for shard in worker.shards):
            await asyncio.sleep(0.05)
    worker.stop()
    return await running
