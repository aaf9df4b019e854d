"""aiokafka's clients without their sockets: somebody else carries their requests and brings the answers.

The producer, its sender, its retries and our guards, the consumer, its fetcher and its group membership stay what they
are; only aiokafka's network client is another one. Simulations use it; see ``docs/simulation.md``.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import BrokerMetadata, TopicPartition

from backbone.kafka.connection import KafkaConnection

NOT_READY: Final[type[Exception]] = NodeNotReadyError
"""What a wire raises where no connection could be made: nothing was sent."""
CUT: Final[type[Exception]] = KafkaConnectionError
"""What it raises where the connection broke while an answer was awaited."""
NO_ANSWER: Final[type[Exception]] = RequestTimedOutError
"""What it raises where no answer came in time."""

Client = TypeVar("Client")


class Wire(Protocol):
    """Carry one client's requests. It raises what aiokafka's own network client raises."""

    @property
    def topics(self) -> Mapping[str, int]:
        """Return all topics with their numbers of partitions."""
        ...

    @property
    def nodes(self) -> Sequence[int]:
        """Return all nodes, those that are down as well."""
        ...

    def leader(self, topic: str, partition: int) -> int:
        """Return the node that leads a partition."""
        ...

    async def bootstrap(self) -> None:
        """Reach any broker; raises ``CUT``."""
        ...

    async def coordinator(self, key: str) -> int:
        """Return the node that coordinates a group or a transactional id; raises ``NOT_READY``."""
        ...

    async def ready(self, node: int) -> bool:
        """Say whether a broker can be reached."""
        ...

    async def ask(self, node: int, channel: str, request: Any) -> Any:
        """Send a request of aiokafka's and return the answer; raises ``NOT_READY``, ``CUT`` or ``NO_ANSWER``."""
        ...

    def close(self) -> None:
        """Cut every connection."""
        ...


class SocketlessCluster:
    """What a client knows of the cluster: everything, always."""

    def __init__(self, wire: Wire) -> None:
        """Ask the wire."""
        self._wire = wire

    def topics(self, exclude_internal_topics: bool = True) -> set[str]:  # noqa: FBT001, FBT002 - aiokafka's signature
        """Return all topics."""
        del exclude_internal_topics
        return set(self._wire.topics)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return a topic's partitions, or None where there is no such topic."""
        count = self._wire.topics.get(topic)
        return None if count is None else set(range(count))

    def leader_for_partition(self, place: TopicPartition) -> int | None:
        """Return the leading node."""
        return self._wire.leader(place.topic, place.partition)

    def brokers(self) -> list[BrokerMetadata]:
        """Return all brokers."""
        return [BrokerMetadata(node, "", 0, None) for node in self._wire.nodes]

    def add_listener(self, listener: Callable[..., object]) -> None:
        """Do nothing: the cluster does not change."""


class SocketlessClient:
    """Stand in for ``aiokafka.client.AIOKafkaClient``, as far as its producer and its consumer use it."""

    _client_id = "socketless"
    _metadata_max_age_ms = 300_000

    def __init__(self, wire: Wire) -> None:
        """Take the wire of one client."""
        self.cluster = SocketlessCluster(wire)
        self._wire = wire
        self._loop = asyncio.get_running_loop()

    async def bootstrap(self) -> None:
        """Reach any broker."""
        await self._wire.bootstrap()

    async def close(self) -> None:
        """Cut every connection."""
        self._wire.close()

    async def send(self, node_id: int, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        """Send a request and return its answer."""
        return await self._wire.ask(node_id, "data" if group == ConnectionGroup.DEFAULT else "coordination", request)

    async def ready(self, node_id: int, *, group: int = ConnectionGroup.DEFAULT) -> bool:
        """Say whether a broker can be reached."""
        del group
        return await self._wire.ready(node_id)

    async def coordinator_lookup(self, coordinator_type: int, coordinator_key: str) -> int:
        """Return the coordinator's node."""
        del coordinator_type
        return await self._wire.coordinator(coordinator_key)

    async def fetch_all_metadata(self) -> SocketlessCluster:
        """Return what is known of all topics."""
        await self._wire.bootstrap()
        return self.cluster

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        partitions = self.cluster.partitions_for_topic(topic)
        if partitions is None:
            raise UnknownTopicOrPartitionError
        return partitions

    async def _maybe_wait_metadata(self) -> None:
        """Do nothing: what is known is right."""

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        """Return a future that is done: what is known is right."""
        done: asyncio.Future[bool] = self._loop.create_future()
        done.set_result(True)
        return done

    def set_topics(self, topics: Iterable[str]) -> "asyncio.Future[bool]":
        """Do nothing: all topics are known."""
        del topics
        return self.force_metadata_update()

    def add_topic(self, topic: str) -> "asyncio.Future[bool]":
        """Do nothing: all topics are known."""
        return self.set_topics([topic])


def _nowhere() -> Wire:
    message = "a socketless connection needs somebody who carries its requests"
    raise NotImplementedError(message)


@dataclass(frozen=True, slots=True)
class SocketlessConnection(KafkaConnection):
    """A connection whose clients are given a wire each."""

    wire: Callable[[], Wire] = _nowhere

    @property
    def has_sockets(self) -> bool:
        """Say that there is no network."""
        return False

    def attached(self, client: Client) -> Client:
        """Take a client's sockets away before it uses them."""
        stand_in = SocketlessClient(self.wire())
        made: Any = client
        if isinstance(client, AIOKafkaProducer):
            made.client = made._sender.client = stand_in
            made._metadata = made._message_accumulator._cluster = stand_in.cluster
        else:
            made._client = stand_in
        return client
