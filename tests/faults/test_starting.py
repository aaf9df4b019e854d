"""What a worker refuses to start on, and what operators may let it do again."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from backbone.cli.checkpoint import reset, retire, show
from backbone.config import Deployment, InvalidDeploymentError
from backbone.control import Command
from backbone.control import message_of as command_message
from backbone.errors import ConfigurationError
from backbone.kafka.broker import PlainProducer
from backbone.kafka.readers import consumer
from backbone.packed import Message
from backbone.provisioning import apply, ensure_fit_to_run
from backbone.state import meta_record, tombstone
from backbone.testing.rows import Row, events, faults, headers, rows, seen, write
from backbone.worker import Worker, run_worker
from tests.faults.watching import ROOT, until
from tests.outcomes import receipts

OWN = '''
from dataclasses import replace
from adapters import ADAPTERS
from schemas.servicerequests.v1 import StatusChanged as Original

class StatusChanged(Original):
    """A copy with a field more."""
    more: str = ""

found = next(one for one in ADAPTERS if one.name == "symology")
adapter = replace(found, emits=(StatusChanged,))
'''
FEED = (
    "\n  - {name: hw, adapter: symology, options: {default_state: %s}, source: {type: files, url: drop,"
    " pattern: '*.csv', ready_after_secs: 0, poll_interval_secs: 0.05}}"
)


def drop(deployment: Deployment) -> Path:
    return deployment.path.parent / "drop"


async def once(deployment: Deployment) -> int:
    return await run_worker(deployment.worker_settings(once=True))


def test_fault_17_event_that_is_none_of_the_vocabulary(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    """An adapter that emits a class of its own under a type of the vocabulary is refused with the deployment file."""
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(InvalidDeploymentError) as caught:
        deploy("\n  - {name: hw, adapter: 'own:adapter', source: {type: files, url: drop}}")
    assert [problem.code for problem in caught.value.problems] == ["config.unknown-event"]


def test_fault_17_schema_that_is_not_as_it_was_released(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    """A worker with a vocabulary that would break its readers ends before it connects, and says what broke."""
    deployment = deploy()
    shutil.copytree(ROOT / "schemas", tmp_path / "altered" / "schemas", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "altered" / "schemas" / "servicerequests" / "v1.py"
    altered = re.sub(r"\n    state: .*", "\n    state: int", module.read_text(), count=1)
    assert altered != module.read_text()
    module.write_text(altered)
    ran = subprocess.run(
        [sys.executable, "-m", "backbone", "run", "--once", "--config", str(deployment.path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "altered")}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert "error config.schema-breaks: servicerequests.v1 is not as it was released" in ran.stderr


def unknown(row: Row) -> Row:
    """Return the row with a code that strict options do not know."""
    return Row(row.text.replace('"RSW",RES,1', '"ZZ9",,1'), row.case, row.time)


async def test_fault_34_operator_replay(deploy: Callable[..., Deployment]) -> None:
    """What is published again by command keeps its ids and has another trace; a re-drive asked for twice is one."""
    deployment = deploy(FEED % "null")
    await apply(deployment)
    wanted = list(rows(40))
    write(drop(deployment) / "20310106_a.csv", [*wanted[:30], *map(unknown, wanted[30:])])
    assert await once(deployment) == 0
    deployment = deploy(FEED % "open")
    worker = Worker(deployment.worker_settings())
    running = asyncio.create_task(worker.run())
    async with PlainProducer(deployment.connection) as producer:
        for second in range(2):
            command = Command(kind="redrive", feed="hw", at=f"2031-01-06T09:00:0{second}Z")
            await producer.send(deployment.topics.control, command_message(command))
    await until(lambda: worker.shards[0].status.control == 2)
    worker.stop()
    assert await running == 0
    first = await events(deployment.connection, deployment.organisation)
    assert sorted(seen(first)) == sorted((row.case, row.time) for row in wanted)
    await reset("hw", config=deployment.path)
    assert await once(deployment) == 0
    again = await events(deployment.connection, deployment.organisation)
    runs: dict[str, set[str]] = {}
    for record in again:
        runs.setdefault(headers(record)["ce_id"], set()).add(headers(record)["ce_traceparent"])
    assert len(again) == 2 * len(wanted)
    assert {len(traces) for traces in runs.values()} == {2}
    assert set(runs) == {headers(record)["ce_id"] for record in first}
    assert [receipt.outcome for receipt in await receipts(deployment)] == ["complete", "redriven", "complete"]


async def put(deployment: Deployment, partition: int, message: Message) -> None:
    """Write a record of the state as nobody should."""
    async with PlainProducer(deployment.connection) as producer:
        await producer.send_to(deployment.topics.state, partition, message)


async def test_core_13_another_number_of_partitions(
    deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that was made for another number of partitions is refused: every shard would look in another place."""
    deployment = deploy()
    monkeypatch.setattr("backbone.provisioning.meta_record", lambda _: meta_record(48))
    await apply(deployment)
    with pytest.raises(ConfigurationError) as caught:
        await ensure_fit_to_run(deployment)
    assert caught.value.code == "state.partitions-differ"


async def test_core_13_a_checkpoint_that_somebody_removed(deployment: Deployment) -> None:
    """A tombstone for the checkpoint of a shard that has receipts is a lost state, not a new feed."""
    wanted = list(rows(20))
    write(drop(deployment) / "20310106_a.csv", wanted)
    worker = Worker(deployment.worker_settings(once=True))
    assert await worker.run() == 0
    await put(deployment, worker.shards[0].state_partition, tombstone("cp/hw/main"))
    after = Worker(deployment.worker_settings(once=True))
    assert await after.run() == 5
    assert after.shards[0].status.stalled_code == "state.lost"
    assert faults(await events(deployment.connection, deployment.organisation), wanted) == []


async def test_core_13_a_feed_that_is_removed(
    deploy: Callable[..., Deployment], capsys: pytest.CaptureFixture[str]
) -> None:
    """Retiring a feed settles what its worker left open, at once; its memory goes only when that is asked for."""
    other = (FEED % "open").replace("hw", "other").replace("drop", "elsewhere")
    both = deploy(FEED % "open" + other)
    await apply(both)
    wanted = list(rows(20))
    write(drop(both) / "20310106_a.csv", wanted)
    (both.path.parent / "elsewhere").mkdir()
    assert await once(both) == 0
    topic = f"{both.organisation}.servicerequests.v1"
    left = AIOKafkaProducer(**both.connection.options(), transactional_id=f"{both.organisation}.hw.main", acks="all")
    await left.start()
    await left.begin_transaction()
    at = (await left.send_and_wait(topic, b"{}", key=b"left open", partition=0)).offset
    with pytest.raises(ConfigurationError, match="hw is a feed of"):
        await retire("hw", config=both.path)
    without = deploy(other)
    with pytest.raises(ConfigurationError, match="knows no feed"):
        await retire("nobody", config=without.path)
    await retire("hw", config=without.path)
    async with consumer(both.connection) as committed:
        assert (await committed.end_offsets([TopicPartition(topic, 0)]))[TopicPartition(topic, 0)] > at
    await left.stop()
    await show("hw", config=without.path)
    assert "hw/main" in capsys.readouterr().out
    assert await once(deploy(FEED % "open")) == 0
    assert faults(await events(both.connection, both.organisation), wanted) == [], "it remembers what it read"
    await retire("hw", forget=True, config=deploy(other).path)
    assert await once(deploy(FEED % "open")) == 0
    assert len(await events(both.connection, both.organisation)) == 2 * len(wanted)
