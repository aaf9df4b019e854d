"""Topics that are deleted and made anew: noticed before anything is published twice, never taken for an empty start."""

import asyncio
from pathlib import Path

import pytest

from backbone.cli.checkpoint import accept_topics, reset
from backbone.config import Deployment
from backbone.errors import ConfigurationError
from backbone.kafka.admin import admin, describe_topics
from backbone.provisioning import apply, ensure_fit_to_run
from backbone.testing.rows import events, faults, headers, rows, write
from backbone.worker import Worker, run_worker
from tests.faults.watching import until
from tests.outcomes import receipts

FIRST, SECOND = list(rows(200)), list(rows(100, first=200))


def drop(deployment: Deployment) -> Path:
    return deployment.path.parent / "drop"


async def delete(deployment: Deployment, topic: str) -> None:
    """Delete a topic and wait until it is gone."""
    async with admin(deployment.connection) as client:
        await client.delete_topics([topic])
    async with asyncio.timeout(20):
        while await describe_topics(deployment.connection, [topic]):
            await asyncio.sleep(0.02)


def event_topic(deployment: Deployment) -> str:
    return f"{deployment.organisation}.servicerequests.v1"


async def stopped_with(deployment: Deployment) -> str:
    """Run a worker that must end by itself with exit code 5; return why."""
    worker = Worker(deployment.worker_settings(once=True))
    assert await asyncio.wait_for(worker.run(), 60) == 5
    return worker.shards[0].status.stalled_code


@pytest.mark.parametrize("name", ["state", "events"])
async def test_fault_32_topic_made_anew_under_a_running_worker(deployment: Deployment, name: str) -> None:
    """The feed stops with its code, and what comes afterwards is not published as if nothing had happened."""
    write(drop(deployment) / "20310106_a.csv", FIRST)
    worker = Worker(deployment.worker_settings())
    running = asyncio.create_task(worker.run())
    await until(lambda: worker.shards[0].status.documents == 1)
    topic = deployment.topics.state if name == "state" else event_topic(deployment)
    await delete(deployment, topic)
    await apply(deployment)
    write(drop(deployment) / "20310107_a.csv", SECOND)
    assert await asyncio.wait_for(running, 60) == 5
    assert worker.shards[0].status.judged(0) == ("FAILING", "topic.made-anew")
    published = FIRST if name == "state" else []
    assert faults(await events(deployment.connection, deployment.organisation), published) == []
    assert len(await receipts(deployment)) == 1


async def test_fault_32_state_topic_lost_between_runs(deployment: Deployment) -> None:
    """An empty state is not taken for a new feed where receipts tell of an old one; a command begins again."""
    write(drop(deployment) / "20310106_a.csv", FIRST)
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    await delete(deployment, deployment.topics.state)
    await apply(deployment)
    assert await stopped_with(deployment) == "state.lost"
    assert faults(await events(deployment.connection, deployment.organisation), FIRST) == []
    await reset("hw", config=deployment.path)
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    again = await events(deployment.connection, deployment.organisation)
    ids = [headers(record)["ce_id"] for record in again]
    assert len(ids) == 2 * len(FIRST)
    assert len(set(ids)) == len(FIRST), "what is published again has the ids that it had"
    assert [receipt.ordinal for receipt in await receipts(deployment)] == [0, 1]


async def test_fault_32_state_topic_made_anew_by_other_tools(deployment: Deployment) -> None:
    """A state topic without its first record is refused before a worker begins."""
    write(drop(deployment) / "20310106_a.csv", FIRST)
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    (spec,) = (await describe_topics(deployment.connection, [deployment.topics.state])).values()
    await delete(deployment, deployment.topics.state)
    async with admin(deployment.connection) as client:
        from aiokafka.admin import NewTopic  # noqa: PLC0415 - made by another tool, with its own client

        settings = {name: spec.settings[name] for name in ("cleanup.policy", "unclean.leader.election.enable")}
        await client.create_topics([NewTopic(spec.name, spec.partitions, 1, topic_configs=settings)])
    async with asyncio.timeout(20):
        while not await describe_topics(deployment.connection, [spec.name]):
            await asyncio.sleep(0.02)
    with pytest.raises(ConfigurationError) as caught:
        await ensure_fit_to_run(deployment)
    assert caught.value.code == "state.partitions-differ"


async def test_fault_32_event_topic_made_anew_between_runs(deployment: Deployment) -> None:
    """The feed stops; once somebody accepts the new topic it goes on behind what it had published."""
    write(drop(deployment) / "20310106_a.csv", FIRST)
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    await delete(deployment, event_topic(deployment))
    await apply(deployment)
    write(drop(deployment) / "20310107_a.csv", SECOND)
    assert await stopped_with(deployment) == "topic.made-anew"
    assert await events(deployment.connection, deployment.organisation) == []
    await accept_topics("hw", config=deployment.path)
    assert await run_worker(deployment.worker_settings(once=True)) == 0
    assert faults(await events(deployment.connection, deployment.organisation), SECOND) == []


@pytest.mark.usefixtures("impatient")
async def test_fault_32_topic_deleted_while_running(deployment: Deployment) -> None:
    """While a topic is missing the feed is stuck with that code, and nothing is taken for delivered."""
    worker = Worker(deployment.worker_settings())
    running = asyncio.create_task(worker.run())
    await until(worker.shards[0].caught_up.is_set)
    await delete(deployment, deployment.topics.receipts)
    write(drop(deployment) / "20310106_a.csv", FIRST)
    await until(lambda: worker.shards[0].status.stalled_code == "topic.missing", secs=60)
    assert worker.shards[0].status.documents == 0
    worker.stop()
    assert await running == 0
