"""Two guards on aiokafka 0.14.0's private parts, without which exactly-once has holes.

G1: an EndTxn request without an answer must be fatal. aiokafka sends it again at the same epoch; the first one, late
in the network, may then commit half of the next transaction.

G2: ``stop()`` waits for ever when a batch is pending and the broker does not answer. ``discard`` ends a producer in
bounded time, whatever state it is in.

aiokafka is pinned to the exact version; ``tests/integration/test_guards.py`` pins the names used here and shows both
defects. See ``docs/adr/0003-guards-on-aiokafka.md``.
"""

import asyncio
import contextlib
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.producer.sender import EndTxnHandler

from backbone import points

DISCARD_DEADLINE_SECS: Final = 2.0


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


def install() -> None:
    """Put guard G1 in place, once a process."""
    EndTxnHandler.do = _end_transaction


async def discard(producer: AIOKafkaProducer, deadline_secs: float = DISCARD_DEADLINE_SECS) -> None:
    """Put guard G2 to work: end a producer without waiting for its broker; its open transaction is left to fencing."""
    producer._closed = True
    sender = producer._sender
    accumulator = producer._message_accumulator
    batches = [batch for queue in accumulator._batches.values() for batch in queue]
    batches += list(accumulator._pending_batches)
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
