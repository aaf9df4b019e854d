"""Changing what shards remember, by command: as their owner for a moment, so that nobody else writes meanwhile.

A worker that runs such a shard is fenced by it, opens the shard again and finds what was changed.
"""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backbone.errors import ConfigurationError
from backbone.feed import STATE_PARTITIONS, ServiceTopics
from backbone.kafka.broker import KafkaBroker
from backbone.kafka.connection import KafkaConnection
from backbone.moments import rfc3339
from backbone.packed import Message, pack
from backbone.state import ShardState

Change = Callable[[ShardState, int], Sequence[Message]]
"""From a shard's state and the number of the last document that it has a receipt of (-1: none) to records to write."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What there is of one shard on the state topic."""

    name: str
    partition: int
    state: ShardState


class Memory:
    """The state of an organisation's shards."""

    def __init__(self, connection: KafkaConnection, organisation: str) -> None:
        """Prepare; nothing is read yet."""
        self._organisation = organisation
        self._topics = ServiceTopics(organisation)
        self._broker = KafkaBroker(connection, self._topics, ())

    async def shards(self, feed: str) -> list[Remembered]:
        """Return every shard of a feed that has a state. Raises ConfigurationError where there is none."""
        found: dict[str, Remembered] = {}
        for partition in range(STATE_PARTITIONS):

            def note(key: bytes, value: bytes | None, partition: int = partition) -> None:
                _, its_feed, shard, *_ = [*key.decode().split("/"), "", "", ""]
                if its_feed == feed and shard:
                    name = f"{feed}/{shard}"
                    known = found.setdefault(name, Remembered(name, partition, ShardState(name, 0)))
                    known.state.apply(key, value)

            await self._broker.read_state(partition, note)
        if not found:
            message = f"the state topic knows no feed {feed!r}"
            raise ConfigurationError(message, code="state.unknown-feed", guidance="is its name right?")
        return [found[name] for name in sorted(found)]

    async def change(self, shard: Remembered, change: Change | None = None) -> None:
        """Settle a shard's open transaction by being its owner for a moment, and write what ``change`` returns."""
        producer = self._broker.producer(f"{self._organisation}.{shard.name.replace('/', '.')}")
        await producer.start()
        try:
            if change is None:
                return
            state = ShardState(shard.name, 0)
            await self._broker.read_state(shard.partition, state.apply)
            messages = change(state, await self._broker.last_ordinal(shard.name, everything=True))
            if messages:
                batches = {(self._topics.state, shard.partition): [pack(message) for message in messages]}
                await producer.publish(batches, rfc3339(datetime.now(UTC)))
        finally:
            await producer.discard()


def forget_everything(state: ShardState, last_ordinal: int) -> Sequence[Message]:
    """Let a shard begin from nothing; its documents are counted on, so that receipts and sequences stay unique."""
    return state.forget_everything(last_ordinal + 1, getpass.getuser())


def forget_topics(state: ShardState, last_ordinal: int) -> Sequence[Message]:
    """Let a shard take the topics that there are for those that it wrote to."""
    del last_ordinal
    return state.forget_topics()
