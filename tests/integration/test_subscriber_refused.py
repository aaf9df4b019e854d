"""Dead letters that their topic does not take: the subscriber pauses where it is, visibly, and never loops."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backbone.embedded.broker import free_port
from backbone.errors import BackboneError
from backbone.kafka.admin import TopicSpec, alter_settings, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.subscriber import Event, PermanentError, Subscriber
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import changed, dead_letters, make_topics, publish, quick, running, until


async def missing(connection: KafkaConnection, topic: str) -> Callable[[], Awaitable[None]]:
    """Have no topic; return what makes it."""
    return lambda: create_topics(connection, [TopicSpec(topic, 1, 1)])


async def full(connection: KafkaConnection, topic: str) -> Callable[[], Awaitable[None]]:
    """Have one that takes no record of any size; return what makes room."""
    await create_topics(connection, [TopicSpec(topic, 1, 1, {"max.message.bytes": "100"})])
    return lambda: alter_settings(connection, topic, {"max.message.bytes": "1000000"})


def failing(broker: str, organisation: str, **more: object) -> Subscriber:
    """Return a subscriber that can do nothing with the case c3."""
    subscriber = Subscriber("s", quick(broker, organisation, **more))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if event.subject == "c3":
            raise PermanentError("secret-canary", code="handler.unknown-case")

    return subscriber


@pytest.mark.parametrize("refusing", [missing, full])
async def test_without_its_dead_letter_topic_it_waits_visibly_and_goes_on(
    broker: str, organisation: str, refusing: Callable[..., Awaitable[Callable[[], Awaitable[None]]]]
) -> None:
    """Nothing behind the event is committed, readiness says why, the other cases are done; then the cause is mended."""
    mend = await refusing(KafkaConnection(broker), f"{organisation}.dead.s")
    await make_topics(broker, organisation, partitions=1, dead=False)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number}", number) for number in range(20)))
    port = free_port()
    subscriber = failing(broker, organisation, http=f"127.0.0.1:{port}")
    async with running(subscriber), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await until(lambda: subscriber.trouble == "dead-letter.refused")
        await until(lambda: subscriber.tally.handled == 19)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "dead-letter.refused")
        (run,) = subscriber.runtime.runs.values()
        assert run.progress.position == 3
        assert subscriber.oldest_waiting_secs > 0
        assert subscriber.delay_secs > 0
        await mend()
        await until(lambda: run.progress.position == 20)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/livez")).text == "ok"
        metrics = (await client.get("/metrics")).text
    found = {
        sample.name: sample.value for family in text_string_to_metric_families(metrics) for sample in family.samples
    }
    assert found["backbone_subscriber_handled_total"] == 19
    assert found["backbone_subscriber_dead_total"] == 1
    assert found["backbone_subscriber_open_letters"] == 1
    assert found["backbone_subscriber_ready"] == 1
    assert found["backbone_subscriber_oldest_waiting_seconds"] == 0
    assert "canary" not in metrics
    assert await dead_letters(broker, organisation) == [("dead", "c3", "handler.unknown-case")]


async def test_a_run_that_is_to_end_by_itself_says_what_is_refused(broker: str, organisation: str) -> None:
    """It does not wait for ever; what was done before the event is committed, and the next run goes on there."""
    await make_topics(broker, organisation, partitions=1, dead=False)
    speaker = Publisher(organisation)
    await publish(broker, speaker.messages(changed(f"c{number}", number) for number in range(5)))
    subscriber = failing(broker, organisation)
    with pytest.raises(BackboneError, match=rf"{organisation}\.dead\.s") as caught:
        await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)
    assert caught.value.code == "dead-letter.refused"
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.dead.s", 1, 1)])
    again = failing(broker, organisation)
    await asyncio.wait_for(again.run(until_caught_up=True), 60)
    assert (again.tally.handled, again.tally.dead) == (1, {"handler.unknown-case": 1})
