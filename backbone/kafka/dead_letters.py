"""The dead-letter topic of a subscriber: written with every replica's consent, followed by every instance."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from backbone.errors import DENIED, FatalError, TransientError, UnreachableError
from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import explained
from backbone.kafka.partitioning import partition_of
from backbone.kafka.readers import POLL_MS, consumer
from backbone.moments import rfc3339
from backbone.packed import Message

SEND_DEADLINE_SECS: Final = 10.0
MAX_LETTER_BYTES: Final = 9_437_184
"""More than any record of a topic that we read, as a letter is a record and what happened to it."""

Apply = Callable[[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]], None]


def now() -> str:
    """Return the time, RFC 3339 in UTC."""
    return rfc3339(datetime.now(UTC))


class DeadLetterTopic:
    """Read one topic from its beginning and go on following it; write to it."""

    def __init__(self, connection: KafkaConnection, topic: str, apply: Apply) -> None:
        """Prepare; every record of the topic is given to ``apply`` in the order of its partition."""
        self.topic = topic
        self._connection = connection
        self._apply = apply
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._client: Any = None
        self._places: list[TopicPartition] = []
        self.loaded = asyncio.Event()

    async def follow(self) -> None:
        """Read for ever; ``loaded`` is set when what was there at the start has been read.

        A topic that does not exist holds nothing, and is looked for again. Raises FatalError where it may not be read.
        """
        async with consumer(self._connection) as client:
            places: list[TopicPartition] = []
            while not places:
                await client._client.set_topics([self.topic])
                if self.topic in client._client.cluster.unauthorized_topics:
                    raise TopicAuthorizationFailedError(self.topic)
                found = client.partitions_for_topic(self.topic) or ()
                places = [TopicPartition(self.topic, partition) for partition in sorted(found)]
                if not places:
                    self.loaded.set()
                    await asyncio.sleep(POLL_MS / 1_000)
            client.assign(places)
            await client.seek_to_beginning(*places)
            self._client, self._places = client, places
            ends = await client.end_offsets(places)
            while True:
                if not self.loaded.is_set():
                    positions = [await client.position(place) >= ends[place] for place in places]
                    if all(positions):
                        self.loaded.set()
                for records in (await client.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self._apply(record.key, record.value, tuple(record.headers))

    async def reach_end(self) -> None:
        """Return when everything that is on the topic now has been read."""
        if self._client is None:
            return  # it was not there a moment ago
        try:
            ends = await self._client.end_offsets(self._places)
            for place, end in ends.items():
                while await self._client.position(place) < end:
                    await asyncio.sleep(POLL_MS / 10_000)
        except KafkaError as error:
            raise await explained(error, self._connection) from error

    async def write(self, message: Message) -> None:
        """Write one record; returns when every in-sync replica has it.

        Raises TransientError or FatalError with the reason when it is refused, and can be tried again.
        """
        try:
            async with asyncio.timeout(SEND_DEADLINE_SECS):
                producer = await self._started()
                partitions = await producer.partitions_for(self.topic)
                key, value, headers = message
                partition = partition_of(key, len(partitions))
                await producer.send_and_wait(self.topic, value, key=key, headers=headers, partition=partition)
        except TimeoutError as error:
            await self.close()
            raise self._refused(f"within {SEND_DEADLINE_SECS:.0f} s") from error
        except (KafkaError, AssertionError, asyncio.CancelledError) as error:
            await self.close()
            problem = await explained(error, self._connection)
            if problem is error:
                raise
            if isinstance(problem, UnreachableError) or (isinstance(problem, FatalError) and problem.code in DENIED):
                raise problem from error
            raise self._refused(f"({type(error).__name__})") from error

    def _refused(self, how: str) -> TransientError:
        whom = self._connection.principal
        text = f"{self.topic} did not take a record{f' of {whom}' if whom else ''} {how}"
        guidance = "does the topic exist, does it take large records, and has the broker enough replicas and room?"
        return TransientError(text, code="dead-letter.refused", guidance=guidance)

    async def _started(self) -> Any:
        async with self._starting:
            return await self._connected()

    async def _connected(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._connection.options(), acks="all", enable_idempotence=True, linger_ms=0,
                request_timeout_ms=5_000, max_request_size=MAX_LETTER_BYTES,
            )  # fmt: skip
            try:
                await producer.start()
            except BaseException:
                await guards.discard(producer)
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Disconnect; the next write connects anew."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await guards.discard(producer)
