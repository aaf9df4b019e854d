"""Ending a producer under a broker that does not answer or is gone: quick, and nothing of it is left behind."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from backbone.kafka import guards
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from tests.faults.conftest import Stricken

pytestmark = pytest.mark.xdist_group("stricken")
QUICK_SECS: Final = 1.0
MOMENTS: Final = ("idle", "in a transaction", "sending", "committing", "aborting", "starting")


async def prepared(connection: KafkaConnection, name: str, topic: str, moment: str) -> AIOKafkaProducer:
    """Return a producer that is as far as it gets while the broker answers."""
    producer = AIOKafkaProducer(
        **connection.options(), transactional_id=name, acks="all", request_timeout_ms=15_000, linger_ms=0
    )
    if moment == "starting":
        return producer
    await producer.start()
    await producer.partitions_for(topic)
    if moment != "idle":
        await producer.begin_transaction()
    if moment in {"committing", "aborting"}:
        await producer.send_and_wait(topic, b"x", partition=0)
    return producer


def begun(producer: AIOKafkaProducer, topic: str, moment: str) -> "asyncio.Task[Any] | None":
    """Begin what the broker will not answer."""
    work: Coroutine[Any, Any, Any]
    match moment:
        case "sending":
            work = producer.send_and_wait(topic, b"x", partition=0)
        case "committing":
            work = producer.commit_transaction()
        case "aborting":
            work = producer.abort_transaction()
        case "starting":
            work = producer.start()
        case _:
            return None
    return asyncio.create_task(work)


@pytest.mark.parametrize("blow", ["SIGSTOP", "kill -9"])
async def test_core_07_discarding_is_quick_and_leaves_nothing(stricken: Stricken, organisation: str, blow: str) -> None:
    """At each moment of a producer's life: less than a second, no task left, no exception that nobody looked at."""
    connection, topic = KafkaConnection(stricken.direct), f"{organisation}.discarded"
    await create_topics(connection, [TopicSpec(topic, 1, 1)])
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))
    guards.install()
    before = asyncio.all_tasks()
    producers = {moment: await prepared(connection, f"{organisation}.{moment}", topic, moment) for moment in MOMENTS}
    if blow == "SIGSTOP":
        stricken.kafka.pause()
    else:
        await stricken.kafka.kill()
    took: dict[str, float] = {}
    try:
        pending = {
            moment: work
            for moment, producer in producers.items()
            if (work := begun(producer, topic, moment)) is not None
        }
        await asyncio.wait(pending.values(), timeout=0.3)  # so that it is under way
        for moment, producer in producers.items():
            began = loop.time()
            await guards.discard(producer)
            took[moment] = loop.time() - began
        done, waiting = await asyncio.wait(pending.values(), timeout=QUICK_SECS)
        assert not waiting
        for task in done:
            assert task.cancelled() or isinstance(task.exception(), KafkaError | AssertionError | OSError | None)
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
    finally:
        if blow == "SIGSTOP":
            stricken.kafka.resume()
        else:
            await stricken.kafka.start()
        del pending, producers, done, task, producer
        gc.collect()
        loop.set_exception_handler(None)
    assert {moment: secs for moment, secs in took.items() if secs > QUICK_SECS} == {}
    assert [task.get_coro() for task in left] == []
    assert [context["message"] for context in said] == []
