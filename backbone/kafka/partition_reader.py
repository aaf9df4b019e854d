"""One partition's committed records from a position on, without a group: who keeps the position is the caller."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from backbone.errors import FatalError
from backbone.kafka import fetching, guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.readers import consumer

POLL_MS: Final = 200


class PartitionReader:
    """Read a partition; ``async with`` connects."""

    def __init__(self, connection: KafkaConnection, topic: str, partition: int) -> None:
        """Prepare; nothing is connected."""
        self._connection = connection
        self._place = TopicPartition(topic, partition)
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Connect; raises UnreachableError and others of ours."""
        fetching.install()
        self._client = self._connection.attached(
            AIOKafkaConsumer(
                **self._connection.options(), isolation_level="read_committed", enable_auto_commit=False,
                auto_offset_reset="none", request_timeout_ms=15_000, fetch_max_wait_ms=POLL_MS,
                max_partition_fetch_bytes=2_097_152,
            )
        )  # fmt: skip
        try:
            await self._client.start()
        except (KafkaError, AssertionError) as error:
            raise await explained(error, self._connection) from error
        self._client.assign([self._place])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect within a bound."""
        await asyncio.shield(guards.discard_consumer(self._client))

    async def seek(self, offset: int | None, begin: str) -> None:
        """Go to an offset, or, where there is none, to ``begin``: ``earliest`` or ``latest``.

        Raises FatalError where the offset is not on the topic any more: records were deleted before they were read,
        or the topic is not the one that the offset belongs to.
        """
        place = self._place
        try:
            async with consumer(self._connection, committed=False) as uncommitted:
                first = (await uncommitted.beginning_offsets([place]))[place]
                end = (await uncommitted.end_offsets([place]))[place]
        except (KafkaError, AssertionError) as error:
            raise await explained(error, self._connection) from error
        if offset is None:
            self._client.seek(place, first if begin == "earliest" else end)
            return
        if not first <= offset <= end:
            what = "the records behind it were deleted" if offset < first else "the topic was made anew"
            message = f"the position of {place.topic}/{place.partition}, {offset:,}, is not on the topic: {what}"
            guidance = "see the runbook; nothing is read until somebody says from where"
            raise FatalError(message, code="input.position-lost", guidance=guidance)
        self._client.seek(place, offset)

    async def read(self, most: int) -> Sequence[Any]:
        """Return the next records, at most so many; none when there are none for a moment."""
        try:
            fetched = await self._client.getmany(self._place, timeout_ms=POLL_MS, max_records=most)
        except (KafkaError, AssertionError) as error:
            raise await explained(error, self._connection) from error
        return fetched.get(self._place, ())  # type: ignore[no-any-return]  # aiokafka is not typed

    async def behind(self) -> int:
        """Return how many offsets lie between the position and the last stable offset, as the last fetch saw it."""
        end = self._client.last_stable_offset(self._place)
        position = await self._client.position(self._place)
        return 1 if end is None else max(0, end - position)

    async def position(self) -> int:
        """Return the offset that comes next: past what was aborted and past markers as well."""
        return int(await self._client.position(self._place))
