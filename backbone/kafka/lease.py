"""Leases: the consumer group over the state topic says which worker owns which of its partitions.

The group only shares the work out; safety comes from fencing. So a worker confirms its lease before it initialises a
transactional id, or two workers would fence each other in turns. See ``docs/adr/0002-exactly-once.md``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from backbone.errors import BackboneError, FatalError, FencedError
from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.producer import classified

SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_MS: Final = 1_000
REBALANCE_TIMEOUT_MS: Final = 10_000
CONFIRM_DEADLINE_SECS: Final = 5.0
POLL_MS: Final = 1_000

log = structlog.get_logger(__name__)

Assigned = Callable[[frozenset[int]], Awaitable[None]]
Revoked = Callable[[], Awaitable[None]]


def share_out(
    weights: Mapping[int, int], owned: Mapping[str, frozenset[int]], partitions: Iterable[int]
) -> dict[str, list[int]]:
    """Share partitions out over members: heavy ones first, each kept by its owner unless that would be unfair.

    ``weights`` counts the shards of each partition, ``owned`` what each member has now. Pure and deterministic, as
    every member may be the one that decides.
    """
    members = sorted(owned)
    load = dict.fromkeys(members, 0)
    shared: dict[str, list[int]] = {member: [] for member in members}
    everything = sorted(partitions, key=lambda partition: (-weights.get(partition, 0), partition))
    fair = -(-sum(weights.get(partition, 0) for partition in everything) // len(members))
    for partition in everything:
        weight = weights.get(partition, 0)
        keepers = [member for member in members if partition in owned[member] and load[member] + weight <= fair]
        chosen = keepers[0] if keepers else min(members, key=lambda member: (load[member], len(shared[member]), member))
        load[chosen] += weight
        shared[chosen].append(partition)
    return shared


def weighted_assignor(weights: Mapping[int, int]) -> type[AbstractPartitionAssignor]:
    """Return an assignor class, as aiokafka wants one, that shares out by the configured shards."""

    class WeightedAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed
        name = "backbone-weighted"
        version = 0
        owned: frozenset[int] = frozenset()

        @classmethod
        def assign(
            cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            topic = next(iter(members.values())).subscription[0]
            owned = {member: _unpacked(metadata.user_data) for member, metadata in members.items()}
            shared = share_out(weights, owned, cluster.partitions_for_topic(topic) or ())
            return {
                member: ConsumerProtocolMemberAssignment(cls.version, [(topic, sorted(partitions))], b"")
                for member, partitions in shared.items()
            }

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), _packed(cls.owned))

        @classmethod
        def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
            cls.owned = frozenset(place.partition for place in assignment.partitions())

    return WeightedAssignor


def _packed(partitions: frozenset[int]) -> bytes:
    return ",".join(str(partition) for partition in sorted(partitions)).encode()


def _unpacked(data: bytes | None) -> frozenset[int]:
    return frozenset(int(part) for part in (data or b"").decode().split(",") if part)


class Lease(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Membership of one worker in the group.

    ``assigned`` is awaited with the partitions that are now ours and must return at once: heartbeats rest meanwhile.
    ``revoked`` is awaited before partitions go back and may take up to half the rebalance time-out. An exception in
    either ends ``run``, as the client would swallow it.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        topic: str,
        weights: Mapping[int, int],
        *,
        assigned: Assigned,
        revoked: Revoked,
    ) -> None:
        """Prepare; nothing is sent before ``run``."""
        self._connection = connection
        self._group = group
        self._topic = topic
        self._assignor = weighted_assignor(weights)
        self._on_assigned = assigned
        self._on_revoked = revoked
        self._client: AIOKafkaConsumer | None = None
        self._failure: BaseException | None = None
        self.partitions: frozenset[int] = frozenset()

    async def run(self) -> None:
        """Be a member until cancelled; raises what ended the membership. Cancelling leaves the group."""
        self._failure = None
        client = self._client = self._connection.attached(
            AIOKafkaConsumer(
                **self._connection.options(),
                group_id=self._group,
                partition_assignment_strategy=[self._assignor],
                enable_auto_commit=False,
                isolation_level="read_committed",
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
                max_poll_interval_ms=300_000,
                request_timeout_ms=REBALANCE_TIMEOUT_MS + 5_000,
            )
        )
        try:
            client.subscribe([self._topic], listener=self)
            await client.start()
            while self._failure is None:
                await client.getmany(timeout_ms=POLL_MS)  # nothing comes, as all is paused; errors surface here
                if client._coordinator.coordinator_id is None:
                    self._connection.ensure_certificate()
            raise self._failure
        except (KafkaError, AssertionError, asyncio.CancelledError) as error:
            problem = await explained(error, self._connection)
            if problem is error:
                raise
            raise problem from error
        finally:
            self._client = None
            self.partitions = frozenset()
            await self._stop(client)

    async def _stop(self, client: AIOKafkaConsumer) -> None:
        """Leave the group; a broker that does not answer is given two seconds, as its group then forgets us anyway."""
        if not await guards.discard_consumer(client):
            log.warning("lease.left-without-answer", group=self._group)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause what we got, as nothing is read through the group, and pass it on."""
        places = list(assigned)
        try:
            if self._client is not None and places:
                self._client.pause(*places)
            self.partitions = frozenset(place.partition for place in places)
            await self._on_assigned(self.partitions)
        except BaseException as error:
            self._failure = error
            raise

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give everything back: the eager protocol revokes all at every rebalance."""
        del revoked
        try:
            self.partitions = frozenset()
            await self._on_revoked()
        except BaseException as error:
            self._failure = error
            raise

    @property
    def connected(self) -> bool:
        """Say whether the group's coordinator answered within the session's time-out."""
        return self._client is not None and self._client._coordinator.coordinator_id is not None

    async def confirm(self, partition: int) -> bool:
        """Say whether the group still counts us as the partition's owner: it takes a commit of our generation.

        Raises FatalError where an ACL denies it, which asking again does not change.
        """
        client = self._client
        if client is None or partition not in self.partitions:
            return False
        try:
            commit = client.commit({TopicPartition(self._topic, partition): 0})
            await asyncio.wait_for(commit, CONFIRM_DEADLINE_SECS)
        except (KafkaError, TimeoutError, AssertionError, BackboneError) as error:
            mapped = classified(error, self._connection.principal)
            if isinstance(mapped, FatalError) and not isinstance(mapped, FencedError):
                raise mapped from error
            return False
        return partition in self.partitions
