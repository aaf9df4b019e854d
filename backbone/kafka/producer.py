"""One transactional producer a shard: everything of a transaction, or nothing, becomes visible.

The order and the deadlines follow ``docs/adr/0002-exactly-once.md``. After any error a producer is discarded and
never used again, and the outcome of a commit is never guessed: whoever owns the shard reads its state anew.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidTransactionTimeout,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    ProducerFenced,
    RecordListTooLargeError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
)

from backbone import points
from backbone.cancellation import asked_to_end
from backbone.errors import BackboneError, FatalError, FencedError, MadeAnewError, TransientError, UnreachableError
from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.record_batch import RECORD_FRAME_BYTES, RecordBatch
from backbone.packed import packed_headers
from backbone.waiting import Reason, waiting

REQUEST_TIMEOUT_MS: Final = 15_000
TRANSACTION_TIMEOUT_MS: Final = 30_000
SEND_DEADLINE_SECS: Final = 10.0
COMMIT_DEADLINE_SECS: Final = 10.0
START_DEADLINE_SECS: Final = 40.0
METADATA_PAUSE_SECS: Final = 0.1
MAX_BATCH_BYTES: Final = 524_288
MAX_MESSAGE_BYTES: Final = 1_000_000
"""A message that is larger than a batch goes alone, up to what brokers take by default."""

UNREACHABLE: Final = "look at kafka.bootstrap_servers, the brokers, the network and the credentials"
FENCING: Final = Reason("broker.unreachable", "the broker to take our transactional id", UNREACHABLE)
SENDING: Final = Reason("broker.unreachable", "the broker to take the records of a transaction", UNREACHABLE)
COMMITTING: Final = Reason("broker.unreachable", "the broker to commit a transaction", UNREACHABLE)

log = structlog.get_logger(__name__)
# A client that cannot connect says so at every try; we say it once, with a code.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

Batches = Mapping[tuple[str, int], Sequence[bytes]]
"""The packed messages of one transaction by topic and partition."""


class TransactionalProducer:
    """Publish transactions under one transactional id; starting fences every earlier owner of the id."""

    def __init__(
        self, connection: KafkaConnection, transactional_id: str, *, largest_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        """Prepare; nothing is sent before ``start``. ``largest_bytes`` is what a message may have."""
        guards.install()
        self._largest_bytes = largest_bytes
        self.transactional_id = transactional_id
        self._principal = connection.principal
        self._last_offsets: dict[tuple[str, int], int] = {}
        self._producer = connection.attached(
            AIOKafkaProducer(
                **connection.options(),
                transactional_id=transactional_id,
                acks="all",
                linger_ms=0,
                max_batch_size=MAX_BATCH_BYTES,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                retry_backoff_ms=100,
            )
        )

    async def start(self) -> None:
        """Fence earlier owners and settle their open transaction.

        Raises UnreachableError when the broker does not answer or refuses the credentials, FatalError when the
        transactional id is not ours to use. On any error the producer has been discarded.
        """
        try:
            with waiting(FENCING):
                await asyncio.wait_for(self._producer.start(), START_DEADLINE_SECS)
        except BaseException as error:
            await self.discard()
            raise classified(error, self._principal) from error

    async def publish(self, batches: Batches, recorded_at: str) -> None:
        """Commit one transaction; ``recorded_at`` (RFC 3339) becomes the events' ``ce_recordedtime``.

        Returns when it is committed. Anything else raises, the producer has then been discarded, and whether the
        transaction was committed is unknown until the state has been read again.
        """
        try:
            await self._publish(batches, recorded_at)
        except BaseException as error:
            raised = classified(error, self._principal)
            if isinstance(raised, TransientError):
                raised = refusal_of(self._producer) or raised  # which knows the topic, and why it took so long
            await self.discard()
            raise raised from error

    async def _publish(self, batches: Batches, recorded_at: str) -> None:
        producer = self._producer
        recorded = packed_headers([("ce_recordedtime", recorded_at.encode())])
        timestamp = int(time.time() * 1_000)  # one clock reading a transaction, as ce_recordedtime is one
        points.reached("transaction.before-begin")
        await producer.begin_transaction()
        points.reached("transaction.begun")
        futures: list[asyncio.Future[Any]] = []
        guards.forget_refused(producer)
        with waiting(SENDING) as wait:
            wait.why = self._why_refused
            try:
                async with asyncio.timeout(SEND_DEADLINE_SECS):
                    for (topic, partition), messages in batches.items():
                        await self._known(topic)
                        for part in _parts(messages, len(recorded) + RECORD_FRAME_BYTES, self._largest_bytes):
                            batch = RecordBatch(part, recorded, timestamp)
                            future = await producer.send_batch(batch, topic, partition=partition)
                            future.add_done_callback(guards._retrieve)
                            futures.append(future)
                        points.reached("transaction.batch-sent")
                    self._notice(await asyncio.gather(*futures))
            except IllegalOperation:  # the transaction has failed meanwhile: a batch that was sent before knows why
                await asyncio.gather(*(future for future in futures if future.done()))
                raise
            finally:
                futures.clear()  # or an error holds this frame, the frame its future, and the future the error
        points.reached("transaction.all-sent")
        points.reached("commit.before")
        with waiting(COMMITTING):
            await asyncio.wait_for(producer.commit_transaction(), COMMIT_DEADLINE_SECS)
        points.reached("commit.answered")

    async def _known(self, topic: str) -> None:
        """Return when a topic's partitions are known; meanwhile note that it is missing, if the broker says so."""
        client = self._producer.client
        while client.cluster.partitions_for_topic(topic) is None and topic not in client.cluster.unauthorized_topics:
            client.add_topic(topic)
            if await client.force_metadata_update() and client.cluster.partitions_for_topic(topic) is None:
                guards.note_refused(self._producer, UnknownTopicOrPartitionError(), topic)
                await asyncio.sleep(METADATA_PAUSE_SECS)

    def _why_refused(self) -> Reason | None:
        """Return why sending takes so long, where the broker has said so."""
        refusal = refusal_of(self._producer)
        return None if refusal is None else Reason(refusal.code, refusal.message, refusal.guidance)

    def _notice(self, sent: Sequence[Any]) -> None:
        """Raise MadeAnewError, before the commit, where a partition's offsets have gone back."""
        for at in sent:
            place = (at.topic, at.partition)
            if 0 <= at.offset <= self._last_offsets.get(place, -1):
                raise MadeAnewError(at.topic)
            self._last_offsets[place] = at.offset

    async def discard(self) -> None:
        """End in at most a few seconds, whatever state the broker is in; safe to call twice."""
        await guards.discard(self._producer)


def _parts(
    messages: Sequence[bytes], frame_bytes: int, largest_bytes: int = MAX_MESSAGE_BYTES
) -> Iterator[Sequence[bytes]]:
    """Cut messages into batches that a broker takes; nearly always they are one.

    Raises FatalError for a message that is too large alone.
    """
    if sum(map(len, messages)) + frame_bytes * len(messages) <= MAX_BATCH_BYTES:
        yield messages
        return
    part: list[bytes] = []
    size = 0
    for message in messages:
        length = len(message) + frame_bytes
        if length > largest_bytes:
            text = f"a message is larger than the {largest_bytes:,} bytes that go into one batch"
            raise FatalError(text, code="feed.message-too-large")
        if part and size + length > MAX_BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(message)
        size += length
    yield part


def refusal_of(producer: AIOKafkaProducer) -> BackboneError | None:
    """Return the error for what a broker refuses for now, and which the client tries again without a word."""
    noted = guards.refused(producer)
    if noted is None:
        return None
    error, topic = noted
    mapped = classified(error)
    if not isinstance(mapped, BackboneError) or mapped.code not in {"topic.missing", "topic.refused"}:
        return None
    return type(mapped)(f"{mapped.message}: {topic}", code=mapped.code, guidance=mapped.guidance)


def classified(error: BaseException, principal: str = "") -> BaseException:
    """Return the error that says what to do about a client's error; ours pass unchanged, and so does being cancelled.

    A client may let a cancellation out of a task of its own that nobody asked for: that is an error like others.
    ``principal`` is as whom we signed in: what is denied or refused is said of somebody.
    """
    if isinstance(error, asyncio.CancelledError) and not asked_to_end():
        return TransientError(
            "a client cancelled a task of its own; the state will be read again", code="broker.failed"
        )
    if isinstance(error, BackboneError | asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        return error
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, TimeoutError):
        cause = cause.__cause__
    name = type(cause).__name__
    for kind, code, text, guidance in _CLASSES:
        if isinstance(error, kind) or isinstance(cause, kind):
            denied = _denied(one for one in (error, cause) if isinstance(one, kind))
            said = text.format(name=name, denied=denied, whom=f" to {principal}" if principal else "")
            return _MADE[code](said, code=code, guidance=guidance)
    if isinstance(error, KafkaError | IllegalOperation | TimeoutError | AssertionError):
        return TransientError(f"the transaction failed with {name}; its state will be read again", code="broker.failed")
    return error


def _denied(errors: Iterable[BaseException]) -> str:
    """Return the topics, the group or the id that a denial names, or nothing."""
    for error in errors:
        for argument in error.args:
            if isinstance(argument, str):
                return f" {argument.rpartition(' ')[2]}"  # some clients put the name at the end of a sentence
            if isinstance(argument, set | frozenset | list | tuple) and argument:
                return " " + ", ".join(sorted(map(str, argument)))
    return ""


TOO_FEW: Final = "a topic takes no records: too few of its replicas are in sync"
IN_SYNC: Final = "look at the brokers: one is down, or its disk is full"
TOO_LARGE: Final = f"let its max.message.bytes be at least {MAX_MESSAGE_BYTES + 48_576:,}, the broker's default"
_CLASSES: Final[tuple[tuple[type[BaseException], str, str, str], ...]] = (
    (ProducerFenced, "feed.fenced", "another process took over the transactional id, or it timed out",
     "one worker at a time owns a shard; if this repeats, look for a second deployment with the same names"),
    (TransactionalIdAuthorizationFailed, "broker.transactional-id-denied",
     "the broker denies{whom} the transactional id{denied}",
     "grant WRITE and DESCRIBE on the transactional ids with the organisation's prefix"),
    (GroupAuthorizationFailedError, "broker.group-denied", "the broker denies{whom} the consumer group{denied}",
     "grant READ on the group to the principal that the subscriber signs in as"),
    (TopicAuthorizationFailedError, "broker.topic-denied", "the broker denies{whom} the topic{denied}",
     "grant READ on it to whoever reads it, WRITE and DESCRIBE to whoever writes it"),
    (InvalidTransactionTimeout, "broker.transaction-timeout", "the broker's transaction.max.timeout.ms is too low",
     f"raise it to at least {TRANSACTION_TIMEOUT_MS}"),
    (UnknownTopicOrPartitionError, "topic.missing", "a topic or a partition is missing",
     "run `backbone topics apply`"),
    (NotEnoughReplicasError, "topic.refused", TOO_FEW, IN_SYNC),
    (NotEnoughReplicasAfterAppendError, "topic.refused", TOO_FEW, IN_SYNC),
    (MessageSizeTooLargeError, "topic.refused", "a topic takes no batch of our size", TOO_LARGE),
    (RecordListTooLargeError, "topic.refused", "a topic takes no batch of our size", TOO_LARGE),
    (KafkaConnectionError, "broker.unreachable", "the broker is unreachable or rejects the credentials ({name})",
     UNREACHABLE),
    (NodeNotReadyError, "broker.unreachable", "a broker does not take our connection ({name})", UNREACHABLE),
    (RequestTimedOutError, "broker.unreachable", "a broker did not answer in time ({name})", UNREACHABLE),
    (TimeoutError, "broker.unreachable", "a broker did not answer in time", UNREACHABLE),
)  # fmt: skip

_MADE: Final[Mapping[str, type[BackboneError]]] = {
    "feed.fenced": FencedError,
    "broker.transactional-id-denied": FatalError,
    "broker.topic-denied": FatalError,
    "broker.group-denied": FatalError,
    "broker.transaction-timeout": FatalError,
    "topic.missing": TransientError,
    "topic.refused": TransientError,
    "broker.unreachable": UnreachableError,
}
