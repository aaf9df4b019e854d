"""The main job on a real broker: files in, events, rejects and receipts out, exactly once."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from backbone.config import Deployment
from backbone.provisioning import apply
from backbone.testing.rows import events, faults, headers, rows, write
from backbone.worker import Worker, run_worker
from tests.outcomes import receipts, rejects

BAD = "31/02/2031 09:00,06/01/2031,799000,RECORDED,,NI2,N3,RSW,RES,1\n"


def drop(deployment: Deployment) -> Path:
    return deployment.path.parent / "drop"


async def once(deployment: Deployment) -> None:
    assert await run_worker(deployment.worker_settings(once=True)) == 0


async def test_a_file_becomes_events_rejects_and_a_balanced_receipt(deployment: Deployment) -> None:
    """Every row has one outcome, the receipt proves it, and readers see each event once and in order."""
    wanted = list(rows(12_000))
    write(drop(deployment) / "20310106_a.csv", [*wanted[:50], BAD, *wanted[50:]])
    await once(deployment)
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    (receipt,) = await receipts(deployment)
    assert (receipt.outcome, receipt.records, receipt.published, receipt.rejected) == ("complete", 12_001, 12_000, 1)
    (reject,) = await rejects(deployment)
    assert (reject.code, reject.record_number, reject.raw["CRNo"]) == ("record.bad-date", 51, "799000")
    content = (drop(deployment) / "20310106_a.csv").read_bytes()
    assert reject.offset is not None
    assert content[reject.offset :].startswith(b"31/02/2031")


async def test_an_event_carries_the_whole_envelope(deployment: Deployment) -> None:
    """Headers are CloudEvents binary mode, the key is the case, the value is compact JSON."""
    write(drop(deployment) / "20310106_a.csv", rows(1))
    await once(deployment)
    (record,) = await events(deployment.connection, deployment.organisation)
    found = headers(record)
    assert record.key == b"700000"
    assert found["ce_specversion"] == "1.0"
    assert found["ce_source"] == f"urn:backbone:{deployment.organisation}:symology"
    assert found["ce_type"] == "org.councilbackbone.servicerequests.status-changed.v1"
    assert found["ce_dataschema"] == "urn:backbone:schema:servicerequests:StatusChanged:v1"
    assert found["ce_time"] == "2031-01-06T08:00:00Z"
    assert found["ce_datacategory"] == "none"
    assert found["ce_recordedtime"].endswith("Z")
    assert orjson.loads(record.value or b"")["state"] == "internal_referral"


async def test_what_was_sent_before_is_a_duplicate(deployment: Deployment) -> None:
    """The same file under another name, and rows that a later file repeats, are published once."""
    wanted = list(rows(300))
    write(drop(deployment) / "20310106_a.csv", wanted[:200])
    write(drop(deployment) / "20310107_a.csv", wanted[:200])
    write(drop(deployment) / "20310108_a.csv", wanted[150:])
    await once(deployment)
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []
    outcomes = [(r.outcome, r.records, r.published, r.duplicate) for r in await receipts(deployment)]
    assert outcomes == [("complete", 200, 200, 0), ("duplicate", 200, 0, 200), ("complete", 150, 100, 50)]


async def test_a_document_that_is_not_what_it_claims_is_held_and_the_others_go_on(deployment: Deployment) -> None:
    """An error page under the name of an extract has a receipt that says so; the next file is read."""
    (drop(deployment) / "20310106_a.csv").write_text("<html><body>503</body></html>")
    write(drop(deployment) / "20310107_a.csv", rows(5))
    await once(deployment)
    assert [(r.outcome, r.code) for r in await receipts(deployment)] == [
        ("held", "document.unknown-layout"),
        ("complete", ""),
    ]


async def test_a_second_run_does_nothing_again(deployment: Deployment) -> None:
    """Files left in place are known by the ledger after a restart."""
    write(drop(deployment) / "20310106_a.csv", rows(20))
    await once(deployment)
    await once(deployment)
    assert len(await receipts(deployment)) == 1
    assert len(await events(deployment.connection, deployment.organisation)) == 20


async def test_two_workers_share_feeds_and_publish_everything_once(deploy: Callable[..., Deployment]) -> None:
    """Leases move when a worker joins and leaves under load; nothing is missing, nothing twice."""
    feed = (
        "\n  - {{name: f{0}, adapter: symology, system: s{0}, source: {{type: files, url: drop/f{0}, pattern: '*.csv',"
        " ready_after_secs: 0, poll_interval_secs: 0.05}}}}"
    )
    deployment = deploy("".join(feed.format(number) for number in range(4)))
    await apply(deployment)
    wanted = list(rows(8_000))
    for number in range(4):
        (drop(deployment) / f"f{number}").mkdir()
        for part in range(4):
            mine = wanted[number::4][part * 500 : part * 500 + 500]
            write(drop(deployment) / f"f{number}" / f"2031010{part}.csv", mine)
    first, second = Worker(deployment.worker_settings()), Worker(deployment.worker_settings())
    first.name, second.name = "first", "second"
    running = [asyncio.create_task(first.run()), asyncio.create_task(second.run())]
    async with asyncio.timeout(60):
        while len(await receipts(deployment)) < 8:
            await asyncio.sleep(0.05)
        first.stop()
        assert await running[0] == 0
        while len(await receipts(deployment)) < 16:
            await asyncio.sleep(0.05)
    second.stop()
    assert await running[1] == 0
    found = await events(deployment.connection, deployment.organisation)
    assert len(found) == len(wanted)
    assert len({headers(record)["ce_id"] for record in found}) == len(wanted)


async def test_after_the_receipt_a_file_is_moved(deploy: Callable[..., Deployment]) -> None:
    """A complete file goes to the done folder; a held one stays where somebody will look for it."""
    deployment = deploy(
        "\n  - {name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0,"
        " poll_interval_secs: 0.05, after: move}}"
    )
    await apply(deployment)
    write(drop(deployment) / "20310106_a.csv", rows(3))
    (drop(deployment) / "20310107_a.csv").write_text("not an extract\n")
    await once(deployment)
    left = sorted(str(path.relative_to(drop(deployment))) for path in drop(deployment).rglob("*.csv"))
    assert left == ["20310107_a.csv", "done/20310106_a.csv"]


async def test_a_worker_process_ends_in_order_on_sigterm(deployment: Deployment) -> None:
    """SIGTERM in the middle of a large file exits 0; the next worker goes on and nothing is missing or twice."""
    wanted = list(rows(40_000))
    write(drop(deployment) / "20310106_a.csv", wanted)
    script = Path(__file__).with_name("worker_process.py")
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), str(deployment.path))
    async with asyncio.timeout(30):
        while not await events(deployment.connection, deployment.organisation):
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 15) == 0
    await once(deployment)
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


async def test_a_worker_whose_feeds_have_all_failed_exits_5(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    """A feed whose adapter fails on everything ends visibly, nothing is acknowledged, and the exit code says so."""
    (tmp_path / "failing.py").write_text(
        "from dataclasses import replace\n"
        "from adapters import ADAPTERS\n"
        "def translate(record, context):\n"
        "    raise ZeroDivisionError\n"
        "adapter = replace(ADAPTERS[-1], translate=translate)\n"
    )
    deployment = deploy(
        "\n  - {name: hw, adapter: 'failing:adapter', source: {type: files, url: drop, pattern: '*.csv',"
        " ready_after_secs: 0, poll_interval_secs: 0.05}}"
    )
    await apply(deployment)
    write(drop(deployment) / "20310106_a.csv", rows(200))
    worker = Worker(deployment.worker_settings())
    assert await asyncio.wait_for(worker.run(), 30) == 5
    assert worker.shards[0].status.judged(0) == ("FAILING", "feed.translate-failing")
    assert await receipts(deployment) == []
    assert await rejects(deployment) == []
