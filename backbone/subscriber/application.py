"""The FastStream application under a subscriber: its broker, its life, its middlewares over what is read."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import structlog
from faststream import FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from backbone.kafka.connection import KafkaConnection
from backbone.kafka.diagnosis import ensure_reachable
from backbone.subscriber.event import Event
from backbone.subscriber.patience import Patience
from backbone.subscriber.routes import Handler, Route

MECHANISMS: Final = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
DISCONNECT_WITHIN_SECS: Final = 3.0

log = structlog.get_logger(__name__)


class Broker(KafkaBroker):
    """FastStream's broker: to publish with, and for its middlewares. It reads nothing."""

    def __init__(self, connection: KafkaConnection) -> None:
        """Say where it is; nothing is connected."""
        super().__init__(connection.bootstrap_servers, security=security_of(connection), logger=None)
        self._reached_by = connection
        self.patience: Patience | None = None
        """How to wait for a Kafka that is not there yet."""

    def move(self, connection: KafkaConnection) -> None:
        """Go to another cluster with everything that is registered; while it is not connected."""
        other = Broker(connection)
        self._reached_by = connection
        self._connection_kwargs = other._connection_kwargs
        self.specification = other.specification

    async def start(self) -> None:
        """Connect, when a Kafka can be reached."""
        while True:
            try:
                await ensure_reachable(self._reached_by)
            except Exception as error:
                if self.patience is None:
                    raise
                await self.patience.wait(error)
            else:
                break
        await super().start()

    async def stop(self, *arguments: Any) -> None:
        """Disconnect; a Kafka that does not answer is given three seconds."""
        try:
            await asyncio.wait_for(super().stop(*arguments), DISCONNECT_WITHIN_SECS)
        except TimeoutError:
            log.warning("subscriber.disconnected-hard")


class Application(FastStream):
    """FastStream's application, which may run again when it has ended."""

    async def run(self, log_level: int = logging.INFO, run_extra_options: Any = None, sleep_time: float = 0.1) -> None:
        """Run until told to stop."""
        self._should_exit = False
        await super().run(log_level, run_extra_options, sleep_time)


def security_of(connection: KafkaConnection) -> BaseSecurity | None:
    """Return the connection's credentials as FastStream takes them."""
    ssl_context: Any = connection.ssl_context()
    if not connection.security_protocol.startswith("SASL"):
        return None if ssl_context is None else BaseSecurity(ssl_context=ssl_context)
    password = "" if connection.password is None else connection.password.reveal()
    make = MECHANISMS[connection.sasl_mechanism or "PLAIN"]
    return make(connection.username or "", password, ssl_context=ssl_context, use_ssl=ssl_context is not None)


def within_middlewares(route: Route, middlewares: Sequence[Callable[..., Any]], context: Any) -> Handler:
    """Return a route's handler within a broker's middlewares, each try of it within middlewares of its own.

    They see what FastStream's own subscribers show them: Kafka's record on receiving, a ``KafkaMessage`` around the
    handler, and how it ended. To acknowledge the message does nothing. An error that a middleware swallows counts as
    handled.
    """
    handler = route.handler

    async def handle(taken: Any) -> None:
        message = _message(taken) if isinstance(taken, Event) else _message_of_batch(taken)
        async with AsyncExitStack() as stack:
            stack.enter_context(context.scope("message", message))
            entered = [make(message.raw_message, context=context) for make in middlewares]
            for middleware in entered:
                await stack.enter_async_context(middleware)
            call: Callable[[Any], Any] = partial(_call, handler, taken)
            for middleware in reversed(entered):
                call = partial(middleware.consume_scope, call)
            await call(message)

    return handle


async def _call(handler: Handler, taken: Any, message: Any) -> None:
    del message
    await handler(taken)


def _message(event: Event[Any]) -> KafkaMessage:
    record = event.record
    headers = _headers(event)
    message = KafkaMessage(
        raw_message=record, body=record.value or b"", headers=headers, consumer=FAKE_CONSUMER,
        content_type=headers.get("content-type"), correlation_id=headers.get("correlation_id", event.id),
        message_id=event.id,
    )  # fmt: skip

    async def decoded(_: Any) -> Any:
        return event.data

    message.set_decoder(decoded)
    return message


def _message_of_batch(events: Sequence[Event[Any]]) -> KafkaMessage:
    headers = [_headers(event) for event in events]
    message = KafkaMessage(
        raw_message=tuple(event.record for event in events), body=[event.record.value or b"" for event in events],
        headers=headers[0], batch_headers=headers, consumer=FAKE_CONSUMER,
        content_type=headers[0].get("content-type"), correlation_id=events[0].id, message_id=events[0].id,
    )  # fmt: skip

    async def decoded(_: Any) -> Any:
        return [event.data for event in events]

    message.set_decoder(decoded)
    return message


def _headers(event: Event[Any]) -> dict[str, str]:
    """Return a record's headers as text, and the trace where OpenTelemetry's middleware looks for it."""
    found: Mapping[str, str] = {name: (value or b"").decode("utf-8", "replace") for name, value in event.record.headers}
    return {"traceparent": event.traceparent, **found} if event.traceparent else dict(found)
