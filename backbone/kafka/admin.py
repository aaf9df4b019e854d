"""Provisioning: topics are described and created with aiokafka; settings are altered with confluent-kafka.

aiokafka's only way to alter a setting resets every other one of the topic, which would turn a compacted state topic
into one that deletes checkpoints; so incremental alteration goes through confluent-kafka, here and nowhere else.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from backbone.errors import FatalError, UnreachableError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is or as it should be; ``settings`` are Kafka's own names and texts."""

    name: str
    partitions: int
    replication_factor: int
    settings: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def admin(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client; errors become ours."""
    client = AIOKafkaAdminClient(**connection.options(), request_timeout_ms=15_000)
    try:
        await client.start()
        yield client
    except (KafkaError, AssertionError, TimeoutError) as error:
        raise await explained(error, connection) from error
    finally:
        await client.close()


async def describe_topics(connection: KafkaConnection, names: Sequence[str]) -> dict[str, TopicSpec]:
    """Return the topics among ``names`` that exist, with every setting in force."""
    async with admin(connection) as client:
        described = [topic for topic in await client.describe_topics(list(names)) if topic["error_code"] == 0]
        if not described:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic["topic"]) for topic in described]
        settings: dict[str, dict[str, str]] = {}
        for response in await client.describe_configs(resources):
            for resource in response.resources:
                code, _, _, name, entries = resource[:5]
                if code == 0:
                    settings[name] = {entry[0]: str(entry[1]) for entry in entries}
    return {
        topic["topic"]: TopicSpec(
            topic["topic"],
            len(topic["partitions"]),
            min(len(partition["replicas"]) for partition in topic["partitions"]),
            settings.get(topic["topic"], {}),
        )
        for topic in described
    }


async def create_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> None:
    """Create topics and wait until every one can be described; one that exists already is left as it is."""
    if not specs:
        return
    wanted = [
        NewTopic(spec.name, spec.partitions, spec.replication_factor, topic_configs=dict(spec.settings))
        for spec in specs
    ]
    async with admin(connection) as client:
        response = await client.create_topics(wanted, timeout_ms=15_000)
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code != 0 and error is not TopicAlreadyExistsError:
            detail = str(rest[0]) if rest and rest[0] else error.__name__
            raise FatalError(f"topic {name} was not created: {detail}", code="topic.not-created")
    await _visible(connection, [spec.name for spec in specs])


async def _visible(connection: KafkaConnection, names: Sequence[str]) -> None:
    """Wait, at most ten seconds, until new topics can be described."""
    async with asyncio.timeout(10):
        while len(await describe_topics(connection, names)) < len(set(names)):
            await asyncio.sleep(0.05)


async def cluster_id(connection: KafkaConnection) -> str:
    """Return the cluster's id; the cheapest proof that it answers."""
    async with admin(connection) as client:
        described: dict[str, Any] = await client.describe_cluster()
    return str(described.get("cluster_id"))


async def alter_settings(connection: KafkaConnection, name: str, settings: Mapping[str, str]) -> None:
    """Change these settings of a topic and no others."""
    await asyncio.to_thread(_alter, connection, name, dict(settings))


def _alter(connection: KafkaConnection, name: str, settings: dict[str, str]) -> None:
    from confluent_kafka import KafkaException  # noqa: PLC0415 - librdkafka is loaded by provisioning alone
    from confluent_kafka import admin as provisioning_module  # noqa: PLC0415

    provisioning: Any = provisioning_module  # its types are exported by a star import only

    entries = [
        provisioning.ConfigEntry(key, value, incremental_operation=provisioning.AlterConfigOpType.SET)
        for key, value in settings.items()
    ]
    resource = provisioning.ConfigResource(provisioning.ResourceType.TOPIC, name, incremental_configs=entries)
    client = provisioning.AdminClient(connection.librdkafka_options())
    try:
        for future in client.incremental_alter_configs([resource], request_timeout=15).values():
            future.result()
    except KafkaException as error:
        message = f"the settings of topic {name} were not changed: {error.args[0].name()}"
        raise UnreachableError(message, code="topic.not-altered") from error
