"""Look at a deployment's topics, make them as they must be, and refuse to run where they are not."""

import orjson

from backbone.config import Deployment
from backbone.errors import ConfigurationError
from backbone.feed import STATE_PARTITIONS
from backbone.kafka.admin import alter_settings, create_topics, describe_topics
from backbone.kafka.broker import PlainProducer
from backbone.kafka.readers import first_record
from backbone.state import META_KEY, meta_record
from backbone.topics import Step, plan, raise_for, refusals, wanted_topics


async def planned(deployment: Deployment) -> list[Step]:
    """Return what `apply` would do, refusals included. Raises UnreachableError."""
    wanted = wanted_topics(deployment)
    existing = await describe_topics(deployment.connection, [spec.name for spec in wanted])
    return plan(wanted, existing)


async def apply(deployment: Deployment) -> list[Step]:
    """Create what is missing and change what is safe; return the steps, those refused included.

    Nothing is done to a topic that is refused.
    """
    steps = await planned(deployment)
    refused = {step.topic for step in steps if step.action == "refuse"}
    await create_topics(deployment.connection, [step.spec for step in steps if step.spec is not None])
    for step in steps:
        if step.action == "change" and step.topic not in refused and step.settings is not None:
            await alter_settings(deployment.connection, step.topic, step.settings)
    await _pin_partitions(deployment)
    return steps


async def _pin_partitions(deployment: Deployment) -> None:
    """Write the number of state partitions, which is part of every shard's place, as the topic's first record."""
    if await first_record(deployment.connection, deployment.topics.state, 0) is None:
        async with PlainProducer(deployment.connection) as producer:
            await producer.send_to(deployment.topics.state, 0, meta_record(STATE_PARTITIONS))


async def ensure_fit_to_run(deployment: Deployment) -> None:
    """Raise TopicsRefusedError or ConfigurationError where running would lose data.

    Raises UnreachableError without a broker.
    """
    wanted = wanted_topics(deployment)
    existing = await describe_topics(deployment.connection, [spec.name for spec in wanted])
    raise_for(refusals(wanted, existing))
    first = await first_record(deployment.connection, deployment.topics.state, 0)
    pinned = None
    if first is not None and first.key == META_KEY and first.value is not None:
        pinned = orjson.loads(first.value)["partitions"]
    if pinned != STATE_PARTITIONS:
        message = f"the state topic is pinned to {pinned} partitions; this program has {STATE_PARTITIONS}"
        guidance = "run `backbone topics apply` on a new state topic; an old one must not be shared out anew"
        raise ConfigurationError(message, code="state.partitions-differ", guidance=guidance)
