"""Documents and records that are not what they should be, or change under our hands."""

import asyncio
import csv
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from backbone import points
from backbone.config import Deployment
from backbone.kafka.admin import alter_settings
from backbone.provisioning import apply, ensure_fit_to_run
from backbone.testing.rows import HEADER, events, faults, rows, write
from backbone.topics import LEAST_MESSAGE_BYTES, TopicsRefusedError
from backbone.worker import Worker, run_worker
from tests.faults.watching import ROOT, shown, until
from tests.outcomes import receipts, rejects

BAD = "31/02/2031 09:00,06/01/2031,799000,RECORDED,,NI2,N3,RSW,RES,1\n"
INJECTED = '=HYPERLINK("http://example.org","x")+cmd|\' /C calc\'!A0'
KILLED = ROOT / "tests" / "integration" / "worker_process.py"


def drop(deployment: Deployment) -> Path:
    return deployment.path.parent / "drop"


async def once(deployment: Deployment) -> None:
    assert await run_worker(deployment.worker_settings(once=True)) == 0


async def test_fault_13_poison_record_and_a_death(deployment: Deployment) -> None:
    """A reject is in the transaction of its checkpoint: killed before the commit it is not there, afterwards once."""
    wanted = list(rows(200))
    write(drop(deployment) / "20310106_a.csv", [*wanted[:50], BAD, *wanted[50:]])
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(KILLED), str(deployment.path), "commit.before", "1", stderr=asyncio.subprocess.DEVNULL
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    assert await rejects(deployment) == []
    await once(deployment)
    assert [(reject.code, reject.record_number) for reject in await rejects(deployment)] == [("record.bad-date", 51)]
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


LARGE = """
from typing_extensions import TypedDict
from backbone import Adapter, FeedOptions, Identity, UnmappedCodeError
from backbone.formats import JsonLinesLayout
from schemas.servicerequests.v1 import Opened

class Record(TypedDict):
    id: str
    does: str

def translate(record, context):
    if record["does"] == "unknown":
        raise UnmappedCodeError("does", record["does"])
    text = "x" * 20_000 if record["does"] == "grow" else "short"
    media = ("https://example.org/" + "z" * 2_000,) * 20 if record["does"] == "grow" else ()
    return Opened(case_ref=record["id"], organisation=context.organisation, occurred_at="2031-01-06T08:00:00Z",
                  description=text, public_update=text, media=media)

adapter = Adapter(name="large", version="1.0.0", layouts=(JsonLinesLayout("lines"),), record=Record,
                  identity=Identity(record=lambda raw: raw["id"]), emits=(Opened,), translate=translate,
                  options=FeedOptions)
"""


async def test_fault_14_oversized_records(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    """A record or an event that is too large is a reject with a pointer, its bytes a digest; the rest flows, once."""
    (tmp_path / "large.py").write_text(LARGE)
    feed = "\n  - {name: hw, adapter: 'large:adapter', source: {type: files, url: drop, ready_after_secs: 0}}"
    deployment = deploy(feed)
    await apply(deployment)
    lines = [
        {"id": "first", "does": "open"},
        {"id": "longer than a record may be", "does": "open", "more": "x" * 1_100_000},
        {"id": "larger than a reject may keep", "does": "unknown", "more": "x" * 300_000},
        {"id": "event that grows too large", "does": "grow"},
        {"id": "last", "does": "open"},
    ]
    encoded = [orjson.dumps(line) + b"\n" for line in lines]
    (drop(deployment) / "20310106_a.jsonl").write_bytes(b"".join(encoded))
    await once(deployment)
    found = {reject.record_number: reject for reject in await rejects(deployment)}
    assert {number: reject.code for number, reject in found.items()} == {
        2: "record.oversize", 3: "record.unmapped-code", 4: "record.event-too-large",
    }  # fmt: skip
    assert [found[number].offset for number in (2, 3, 4)] == [len(b"".join(encoded[:at])) for at in (1, 2, 3)]
    assert found[3].raw_cut
    assert set(found[3].raw) == {"sha256", "size_bytes"}
    assert len(await events(deployment.connection, deployment.organisation)) == 2
    (receipt,) = await receipts(deployment)
    assert (receipt.outcome, receipt.records, receipt.published, receipt.rejected) == ("complete", 5, 2, 3)
    await once(deployment)
    assert len(await receipts(deployment)) == 1


async def test_fault_15_reject_topic_that_refuses(deployment: Deployment) -> None:
    """While a reject cannot be written its whole transaction waits: no event without it, and afterwards everything."""
    await alter_settings(deployment.connection, deployment.topics.rejects, {"max.message.bytes": "300"})
    with pytest.raises(TopicsRefusedError) as caught:
        await ensure_fit_to_run(deployment)
    assert caught.value.code == "topic.message-size"
    wanted = list(rows(200))
    write(drop(deployment) / "20310106_a.csv", [*wanted[:50], BAD, *wanted[50:]])
    worker = Worker(deployment.worker_settings())
    running = asyncio.create_task(worker.run())
    await until(lambda: shown(worker) == ("STUCK", "topic.refused"))
    assert await events(deployment.connection, deployment.organisation) == []
    assert await receipts(deployment) == []
    steps = await apply(deployment)
    assert [(step.topic, step.settings) for step in steps] == [
        (deployment.topics.rejects, {"max.message.bytes": str(LEAST_MESSAGE_BYTES)})
    ]
    await until(lambda: worker.shards[0].status.documents == 1)
    worker.stop()
    assert await running == 0
    assert len(await rejects(deployment)) == 1
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


@pytest.mark.parametrize("how", ["replaced", "cut between rows", "cut in a row"])
async def test_fault_20_file_that_changes_while_it_is_read(deployment: Deployment, how: str) -> None:
    """What was committed stands with a receipt that says so; what lies there now comes as a document of its own."""
    old, new = list(rows(9_000)), list(rows(1_000, first=20_000))
    path = drop(deployment) / "20310106_a.csv"
    write(path, old)
    left = [*old[:4_000], *new] if how == "replaced" else old[:7_000]
    content = (HEADER + "".join(row.text for row in left)).encode()

    def change(reached: str) -> None:
        if reached != "commit.answered":
            return
        points.hook = None
        if how == "replaced":
            hidden = path.with_name(".new")
            hidden.write_bytes(content)
            hidden.rename(path)
        else:
            os.truncate(path, len(content) + (20 if how == "cut in a row" else 0))

    points.hook = change
    try:
        await once(deployment)
    finally:
        points.hook = None
    first, second = await receipts(deployment)
    assert (first.outcome, first.code) == ("aborted", "document.changed")
    assert second.outcome == "complete"
    assert first.sha256 != second.sha256
    found = await events(deployment.connection, deployment.organisation)
    assert faults(found, [*old[: first.published], *left[4_000:]] if how == "replaced" else left) == []
    assert second.duplicate == min(first.published, 4_000 if how == "replaced" else 7_000)
    assert [reject.code for reject in await rejects(deployment)] == (["record.ragged"] if how == "cut in a row" else [])


async def test_fault_25_formulas_in_fields(deployment: Deployment) -> None:
    """What a spreadsheet would run is kept as it came, and the one CSV that we write holds no such cell."""
    (good,) = rows(1)
    quoted = '"' + INJECTED.replace('"', '""') + '"'
    write(drop(deployment) / "20310106_a.csv", [good, BAD.replace("RECORDED", quoted)])
    await once(deployment)
    (reject,) = await rejects(deployment)
    assert reject.raw["Stage Desc."] == INJECTED
    with (ROOT / "contracts" / "csv-datadictionary" / "data-dictionary.csv").open(newline="") as file:
        assert [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))] == []
