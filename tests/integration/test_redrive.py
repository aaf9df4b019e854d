"""Rejects go through again: re-mapped by new options or repaired by hand, same ids, in order, receipts balanced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from backbone.cli.rejects import open_rejects
from backbone.config import Deployment
from backbone.control import Command, message_of
from backbone.kafka.broker import PlainProducer
from backbone.moments import rfc3339
from backbone.provisioning import apply
from backbone.redrive import repaired
from backbone.rejects import REPAIR_TYPE
from backbone.rejects import message_of as reject_message
from backbone.testing.rows import Row, events, faults, headers, rows, seen, write
from backbone.worker import Worker
from tests.outcomes import balanced, rejects

FEED = (
    "\n  - {name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0,"
    " poll_interval_secs: 0.05}%s}"
)


@asynccontextmanager
async def running(deployment: Deployment) -> AsyncIterator[Worker]:
    worker = Worker(deployment.worker_settings())
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        assert await task == 0


async def command(deployment: Deployment, worker: Worker, **content: object) -> None:
    """Send a command and wait until it has been obeyed."""
    async with PlainProducer(deployment.connection) as producer:
        made = Command.model_validate({"feed": "hw", "at": rfc3339(datetime.now(UTC)), **content})
        offset = await producer.send(deployment.topics.control, message_of(made))
    async with asyncio.timeout(30):
        while any(shard.status.control <= offset for shard in worker.shards):
            await asyncio.sleep(0.02)


async def caught_up(worker: Worker, documents: int) -> None:
    async with asyncio.timeout(30):
        while sum(shard.status.documents for shard in worker.shards) < documents:
            await asyncio.sleep(0.02)


def unknown(row: Row) -> Row:
    """Return the row with a code that strict options do not know."""
    return Row(row.text.replace('"RSW",RES,1', '"ZZ9",,1'), row.case, row.time)


async def test_remapped_rejects_are_published_once_with_their_own_place(deploy: Callable[..., Deployment]) -> None:
    """After the options know the code, a redrive publishes the rejects late, with the ids they would have had."""
    strict, mapped = deploy(FEED % ", options: {default_state: null}"), None
    await apply(strict)
    every = list(rows(30))
    write(Path(strict.path.parent) / "drop" / "20310106.csv", [*every[:10], *map(unknown, every[10:20]), *every[20:]])
    async with running(strict) as worker:
        await caught_up(worker, 1)
    assert len(await open_rejects(strict)) == 10
    mapped = deploy(FEED % ", options: {default_state: open}")
    async with running(mapped) as worker:
        await command(mapped, worker, kind="redrive")
    found = await events(mapped.connection, mapped.organisation)
    assert faults([record for record in found if "ce_late" in headers(record)], every[10:20]) == []
    assert sorted(seen(found)) == sorted((row.case, row.time) for row in every)
    late = sorted(headers(record)["ce_sequence"] for record in found if "ce_late" in headers(record))
    assert late == [f"00000000-{number:09d}-00" for number in range(11, 21)]
    assert await open_rejects(mapped) == {}
    assert [(r.outcome, r.records, r.published) for r in await balanced(mapped)] == [
        ("complete", 30, 20),
        ("redriven", 10, 10),
    ]


async def test_a_repaired_record_keeps_its_identity(deploy: Callable[..., Deployment]) -> None:
    """A record that an operator mends is published under the id of the original; the reject is settled."""
    deployment = deploy(FEED % "")
    await apply(deployment)
    (good,) = rows(1)
    write(
        Path(deployment.path.parent) / "drop" / "20310106.csv",
        [good.text.replace("06/01/2031 08:00", "31/02/2031 08:00")],
    )
    async with running(deployment) as worker:
        await caught_up(worker, 1)
        (reject,) = await rejects(deployment)
        mended = repaired(reject, {**reject.raw, "History Date/Time": "06/01/2031 08:00"}, reject.rejected_at)
        async with PlainProducer(deployment.connection) as producer:
            await producer.send(
                deployment.topics.rejects,
                reject_message(mended, source="test", traceparent="", event_type=REPAIR_TYPE),
            )
        await command(deployment, worker, kind="redrive", ids=[reject.id])
    assert faults(await events(deployment.connection, deployment.organisation), [good]) == []
    assert await open_rejects(deployment) == {}


async def test_a_reject_that_a_later_file_publishes_is_settled_by_it(deploy: Callable[..., Deployment]) -> None:
    """When an overlapping file brings the same row after its code was mapped, the open reject is closed with it."""
    strict = deploy(FEED % ", options: {default_state: null}")
    await apply(strict)
    (row,) = map(unknown, rows(1))
    folder = Path(strict.path.parent) / "drop"
    write(folder / "20310106.csv", [row])
    async with running(strict) as worker:
        await caught_up(worker, 1)
    mapped = deploy(FEED % ", options: {default_state: open}")
    write(folder / "20310107.csv", [row, *rows(1, first=5)])
    async with running(mapped) as worker:
        await caught_up(worker, 1)
        await command(mapped, worker, kind="redrive")
    assert await open_rejects(mapped) == {}
    found = await events(mapped.connection, mapped.organisation)
    assert len(found) == 2
    assert not [record for record in found if "ce_late" in headers(record)]


async def test_with_hold_case_later_records_wait_and_follow_in_order(deploy: Callable[..., Deployment]) -> None:
    """Records of a case behind an open reject are parked, and come out behind it, in order, when it is re-driven."""
    held = ", on_reject: hold_case, options: {default_state: %s}"
    strict = deploy(FEED % (held % "null"))
    await apply(strict)
    every = list(rows(12, cases=2))
    write(Path(strict.path.parent) / "drop" / "20310106.csv", [*every[:4], unknown(every[4]), *every[5:]])
    async with running(strict) as worker:
        await caught_up(worker, 1)
    (receipt,) = await balanced(strict)
    assert receipt.reasons == {"record.unmapped-code": 1, "record.behind-reject": 3}
    mapped = deploy(FEED % (held % "open"))
    async with running(mapped) as worker:
        await command(mapped, worker, kind="redrive")
    assert faults(await events(mapped.connection, mapped.organisation), every) == []


async def test_a_held_document_can_be_released_and_discarded(deploy: Callable[..., Deployment]) -> None:
    """Release looks at it again; discard settles it."""
    deployment = deploy(FEED % "")
    await apply(deployment)
    (Path(deployment.path.parent) / "drop" / "20310106.csv").write_text("<html>")
    async with running(deployment) as worker:
        await caught_up(worker, 1)
        (receipt,) = await balanced(deployment)
        await command(deployment, worker, kind="release", sha256=receipt.sha256)
        await caught_up(worker, 2)
        assert [r.outcome for r in await balanced(deployment)] == ["held", "held"]
        await command(deployment, worker, kind="discard", sha256=receipt.sha256)
        assert not any(shard.status.held for shard in worker.shards)
