"""The subscriber: handlers by event class, and a FastStream application around them."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from faststream import FastStream
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from backbone.errors import BackboneError, exit_code
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import classified
from backbone.logs import configure_logging
from backbone.subscriber.errors import PermanentError
from backbone.subscriber.event import Event
from backbone.subscriber.routes import Handler, Routes
from backbone.subscriber.runtime import Runtime
from backbone.subscriber.settings import Settings
from schemas.shared import Event as Data

_MECHANISMS: Final = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}

HandlerT = TypeVar("HandlerT", bound=Handler)


class Subscriber:
    """Hand the events of topics to handlers, in order within a case, until each is handled or set aside.

    ``name`` is the consumer group and the end of the dead-letter topic's name: instances of one name share the work.
    ``broker`` and ``app`` are FastStream's: publish with the one, add lifespan hooks to the other. FastStream's
    middlewares see what is published through the broker, and not what is read: reading is ours.
    """

    def __init__(self, name: str, settings: Settings | None = None) -> None:
        """Prepare; nothing is connected before ``run``."""
        self.name = name
        self.routes = Routes()
        self.use(settings or Settings())
        self._hooks: dict[str, Handler] = {}
        self._runtime: Runtime | None = None
        self._until_caught_up = False
        self._task: asyncio.Task[None] | None = None
        self._end_points: Any = None

    def use(self, settings: Settings) -> None:
        """Take other settings than it was made with; before ``run``, and for tests and trials."""
        self.settings = settings
        self.broker = KafkaBroker(settings.bootstrap_servers, security=_security(settings.connection()), logger=None)
        self.app = FastStream(self.broker, after_startup=[self._begin], on_shutdown=[self._end], logger=None)

    @property
    def dead_letter_topic(self) -> str:
        """Return where events go that cannot be handled."""
        return f"{self.settings.organisation}.dead.{self.name}"

    @property
    def runtime(self) -> Runtime:
        """Return what runs: progress, dead letters, counts."""
        assert self._runtime is not None, "the subscriber does not run"
        return self._runtime

    def on(
        self,
        *models: type[Data],
        organisations: Sequence[str] = ("*",),
        attributes: Mapping[str, str] | None = None,
        replays: bool = True,
        batch: int = 0,
    ) -> Callable[[HandlerT], HandlerT]:
        """Register a handler of event classes.

        ``organisations`` are codes or shell patterns. ``attributes`` are values of the envelope that an event must
        have, such as ``{"datacategory": "none"}``; both are looked at before anything is parsed. Without ``replays``,
        events that are published again are passed over. With ``batch``, the handler takes a list of at most so many.
        Raises ConfigurationError for a combination that cannot be.
        """

        def register(handler: HandlerT) -> HandlerT:
            self.routes.add(handler, models, organisations, attributes or {}, replays=replays, batch=batch)
            return handler

        return register

    def on_revoked(self, handler: HandlerT) -> HandlerT:
        """Register what to do when an earlier event should not have been sent, in any family that is handled."""
        self._hooks["revoked"] = handler
        return handler

    def on_superseded(self, handler: HandlerT) -> HandlerT:
        """Register what to do when an earlier event was wrong and its correction follows."""
        self._hooks["superseded"] = handler
        return handler

    def on_merged(self, handler: HandlerT) -> HandlerT:
        """Register what to do when a case becomes part of another."""
        self._hooks["merged"] = handler
        return handler

    def on_erased(self, handler: HandlerT) -> HandlerT:
        """Register what to do when a person's data must go."""
        self._hooks["erased"] = handler
        return handler

    def complete_routes(self) -> Routes:
        """Return the routes with those of the four facts added for every family that is handled."""
        return self.routes.with_facts(
            self._hooks, _nobody_handles if self.settings.facts_without_hook == "dead" else None
        )

    async def run(self, *, until_caught_up: bool = False) -> None:
        """Run until SIGTERM or SIGINT, or with ``until_caught_up`` until everything there is has been done.

        Raises UnreachableError, FatalError or ConfigurationError with what to do about it.
        """
        self._runtime = Runtime(self.name, self.dead_letter_topic, self.complete_routes(), self.settings)
        self._until_caught_up = until_caught_up
        self._task = None
        try:
            await self.app.run()
        except Exception as error:
            raise classified(error) from error
        if self._task is not None:
            try:
                await self._task
            except BaseExceptionGroup as group:
                raise _first_of(group) from group

    def main(self) -> None:
        """Run until told to stop, and exit; for a script's last line.

        Logs to standard error. A problem that is the reader's to solve is one line and an exit code: 2 settings, 3 no
        broker or refused credentials, 4 a denied topic or group, 5 anything fatal.
        """
        configure_logging(json=not sys.stderr.isatty())
        try:
            asyncio.run(self.run())
        except BackboneError as error:
            who = f" as {self.settings.username}" if self.settings.username else ""
            sys.stderr.write(f"{self.name}{who}: {error.message} [{error.code}]; {error.guidance}\n")
            sys.exit(exit_code(error))

    async def _begin(self) -> None:
        runtime = self.runtime
        if self.settings.http is not None:
            from backbone.subscriber.operate import end_points  # noqa: PLC0415 - a web server only for who wants one

            self._end_points = end_points(self.settings.http, self.name, runtime)
            await self._end_points.start()
        self._task = asyncio.create_task(runtime.run(until_caught_up=self._until_caught_up))
        self._task.add_done_callback(lambda _: self.app.exit())

    async def _end(self) -> None:
        self.runtime.stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._end_points is not None:
            await self._end_points.stop()


async def _nobody_handles(event: Event[Data]) -> None:
    """Set a correction or an erasure aside for which there is no handler: it must not be overlooked."""
    message = f"no handler for {event.data.fact}"
    guidance = "register on_revoked, on_superseded, on_merged or on_erased, or set facts_without_hook to ignore"
    raise PermanentError(message, code="event.fact-not-handled", guidance=guidance)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _security(connection: KafkaConnection) -> BaseSecurity | None:
    """Return the connection's credentials as FastStream takes them."""
    ssl_context: Any = connection.ssl_context()
    if not connection.security_protocol.startswith("SASL"):
        return None if ssl_context is None else BaseSecurity(ssl_context=ssl_context)
    password = "" if connection.password is None else connection.password.reveal()
    make = _MECHANISMS[connection.sasl_mechanism or "PLAIN"]
    return make(connection.username or "", password, ssl_context=ssl_context, use_ssl=ssl_context is not None)
