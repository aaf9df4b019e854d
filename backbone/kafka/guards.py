"""Guards on aiokafka 0.14.0's private parts, without which exactly-once has holes and stalls have no name.

G1: an EndTxn request without an answer must be fatal. aiokafka sends it again at the same epoch; the first one, late
in the network, may then commit half of the next transaction.

G2: ``stop()`` waits for ever when a batch is pending and the broker does not answer. ``discard`` ends a producer in
bounded time, whatever state it is in. ``discard_consumer`` does the same for a consumer, whose ``stop()`` moreover
lets the cancellation of a task of its own out: whoever waits for it then looks cancelled himself.

G3: a record that a broker refuses for now is sent again and again without a word. What it is refused with is noted,
so that whoever waits can say why.

aiokafka is pinned to the exact version; ``tests/integration/test_guards.py`` pins the names used here and shows both
defects. See ``docs/adr/0003-guards-on-aiokafka.md``.
"""

import asyncio
import contextlib
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError, UnknownTopicOrPartitionError
from aiokafka.producer.sender import AddPartitionsToTxnHandler, EndTxnHandler, SendProduceReqHandler

from backbone import points

DISCARD_DEADLINE_SECS: Final = 2.0
LEAVE_DEADLINE_SECS: Final = 2.0


class UnknownOutcomeError(KafkaError):  # type: ignore[misc]  # aiokafka is not typed
    """Say that a commit was asked for and not answered: it may or may not have happened."""

    retriable = False


async def _end_transaction(handler: Any, node_id: int) -> bool:
    """Stand in for ``EndTxnHandler.do``: return True when the transaction has ended, False to try again."""
    request = handler.create_request()
    try:
        answer = asyncio.ensure_future(handler._sender.client.send(node_id, request, group=handler.group))
        if points.hook is not None:
            await asyncio.sleep(0)
            points.reached("commit.sent")
        response = await answer
    except NodeNotReadyError:
        await asyncio.sleep(handler.handle_error())  # nothing was sent
        return False
    except KafkaError as error:
        message = f"EndTxn was not answered: {error!r}"
        raise UnknownOutcomeError(message) from error
    backoff = handler.handle_response(response)
    if backoff is not None:
        await asyncio.sleep(backoff)
        return False
    return True


_can_retry = SendProduceReqHandler._can_retry
_partitions_added = AddPartitionsToTxnHandler.handle_response


def _noting_produce(handler: Any, error: Any, batch: Any) -> bool:
    """Stand in for ``SendProduceReqHandler._can_retry``: note what a batch was refused with."""
    handler._sender.refused = (error, batch.tp.topic)
    return bool(_can_retry(handler, error, batch))


def _noting_partitions(handler: Any, response: Any) -> Any:
    """Stand in for ``AddPartitionsToTxnHandler.handle_response``: note a topic that is not there."""
    for topic, partitions in response.errors:
        if any(code == UnknownTopicOrPartitionError.errno for _, code in partitions):
            handler._sender.refused = (UnknownTopicOrPartitionError(), topic)
    return _partitions_added(handler, response)


def install() -> None:
    """Put guards G1 and G3 in place, once a process."""
    EndTxnHandler.do = _end_transaction
    SendProduceReqHandler._can_retry = _noting_produce
    AddPartitionsToTxnHandler.handle_response = _noting_partitions


def refused(producer: AIOKafkaProducer) -> tuple[KafkaError, str] | None:
    """Return what a broker refused last, and on which topic, since ``forget_refused``."""
    return getattr(producer._sender, "refused", None)


def note_refused(producer: AIOKafkaProducer, error: KafkaError, topic: str) -> None:
    """Note a refusal that we saw ourselves."""
    producer._sender.refused = (error, topic)


def forget_refused(producer: AIOKafkaProducer) -> None:
    """Begin to note refusals anew: what has gone well in the end was none."""
    producer._sender.refused = None


async def discard(producer: AIOKafkaProducer, deadline_secs: float = DISCARD_DEADLINE_SECS) -> None:
    """Put guard G2 to work: end a producer without waiting for its broker; its open transaction is left to fencing."""
    producer._closed = True
    sender = producer._sender
    accumulator = producer._message_accumulator
    batches = [batch for queue in accumulator._batches.values() for batch in queue]
    # a batch that waits to be sent again is in no set, and its own callback would fail to remove it
    accumulator._pending_batches.update(batches)
    batches = list(accumulator._pending_batches)
    accumulator.fail_all(UnknownOutcomeError("the producer was discarded"))
    for batch in batches:
        for waiting in (batch.future, batch._drain_waiter):
            _retrieve(waiting)
    waiter = producer._txn_manager._transaction_waiter
    if waiter is not None:
        _retrieve(waiter)
    with contextlib.suppress(KafkaError, OSError, TimeoutError):  # the connection is given up in any case
        await asyncio.wait_for(producer.client.close(), deadline_secs)
    tasks = _tasks_of(sender)
    for task in tasks:
        task.cancel()
    if tasks:
        done, _ = await asyncio.wait(tasks, timeout=deadline_secs)
        for task in done:
            _retrieve(task)


async def discard_consumer(consumer: AIOKafkaConsumer, deadline_secs: float = LEAVE_DEADLINE_SECS) -> bool:
    """End a consumer and leave its group, in bounded time; say whether it left in order.

    ``stop`` waits for the broker, and when that is cut short it leaves its tasks and its connections behind.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=deadline_secs)
    in_order = stopping.done() and not stopping.cancelled() and stopping.exception() is None
    if in_order:
        return True
    coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client
    tasks = [stopping]
    tasks += [task for name in _COORDINATOR_TASKS if (task := getattr(coordinator, name, None)) is not None]
    tasks += [] if fetcher is None else [fetcher._fetch_task, *fetcher._pending_tasks]
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=deadline_secs)
    for task in done:
        _retrieve(task)
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(client.close(), deadline_secs)
    return False


_COORDINATOR_TASKS: Final = (
    "_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task"
)  # fmt: skip


def _tasks_of(sender: Any) -> list["asyncio.Future[Any]"]:
    """Return the sender's task and the tasks it started: they are known only by whom their coroutine belongs to."""
    tasks: list[asyncio.Future[Any]] = [] if sender.sender_task is None else [sender.sender_task]
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        owner = None if frame is None else frame.f_locals.get("self")
        if owner is sender or (owner is not None and getattr(owner, "_sender", None) is sender):
            tasks.append(task)
    return [task for task in tasks if task is not asyncio.current_task()]


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at a future's exception, so that the event loop does not report it as never retrieved."""
    if future.done() and not future.cancelled():
        future.exception()
