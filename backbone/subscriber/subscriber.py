"""The subscriber: handlers by event class, and a FastStream application around them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog

from backbone.kafka.diagnosis import explained
from backbone.subscriber.application import Application, Broker, within_middlewares
from backbone.subscriber.asyncapi import Specification, document_of
from backbone.subscriber.errors import PermanentError
from backbone.subscriber.event import Event
from backbone.subscriber.patience import Patience
from backbone.subscriber.program import run_program
from backbone.subscriber.routes import Handler, Route, Routes
from backbone.subscriber.runtime import Runtime
from backbone.subscriber.settings import Settings
from backbone.subscriber.tracing import in_trace, is_set_up
from backbone.subscriber.work import Place, Tally
from schemas.shared import Event as Data

END_SECS: Final = 15.0
"""How much longer than its handlers a subscriber may take to end, be the broker there or not."""

HandlerT = TypeVar("HandlerT", bound=Handler)
log = structlog.get_logger(__name__)


class Subscriber:
    """Hand the events of topics to handlers, in order within a case, until each is handled or set aside.

    ``name`` is the end of the consumer group's and the dead-letter topic's name, which begin with the organisation:
    instances of one name share the work.
    ``broker`` and ``app`` are FastStream's: publish with the one, add middlewares to it and lifespan hooks to the
    other. ``lifespan`` is the application's, as FastStream takes it. Middlewares see what is published, and each try
    of a handler; the reading itself is ours.
    """

    def __init__(self, name: str, settings: Settings | None = None, *, lifespan: Any = None) -> None:
        """Prepare; nothing is connected before ``run``."""
        self.name = name
        self.settings = settings or Settings()
        self.routes = Routes()
        self.broker = Broker(self.settings.connection())
        self.app = Application(
            self.broker,
            on_startup=[self._listen],
            after_startup=[self._begin],
            on_shutdown=[self._end],
            lifespan=lifespan,
            logger=None,
            specification=Specification(self),
        )
        self.tally = Tally()
        self._hooks: dict[str, Handler] = {}
        self._runtime: Runtime | None = None
        self._until_caught_up = False
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._patience = self._new_patience()
        self._end_points: Any = None

    def use(self, settings: Settings) -> None:
        """Take other settings than it was made with; before ``run``, and for tests and trials."""
        self.settings = settings
        self.broker.move(settings.connection())

    @property
    def group(self) -> str:
        """Return the consumer group that the instances share."""
        return self.settings.group_of(self.name)

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

    def running_routes(self) -> Routes:
        """Return the complete routes within the broker's middlewares and traces, where there are any."""
        routes, middlewares = self.complete_routes(), self.broker.middlewares

        def within(route: Route) -> Handler:
            return within_middlewares(route, middlewares, self.broker.context)

        def traced(route: Route) -> Handler:
            return in_trace(route, self.group)

        routes = routes.wrapped(within) if middlewares else routes
        return routes.wrapped(traced) if is_set_up() else routes

    def asyncapi(self) -> dict[str, Any]:
        """Return what it reads and writes, in AsyncAPI 3.0; ``app.schema`` gives FastStream's tools the same."""
        return document_of(self)

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot do its work, or nothing when it can."""
        if self._patience.code:
            return self._patience.code
        return "subscriber.starting" if self._runtime is None else self._runtime.trouble

    @property
    def ready(self) -> bool:
        """Say whether it does its work."""
        return not self.trouble

    @property
    def open_letters(self) -> int:
        """Return how many dead letters are not settled."""
        return 0 if self._runtime is None else len(self._runtime.open)

    @property
    def delay_secs(self) -> float:
        """Return the age of the oldest event that was read and is not done."""
        return 0.0 if self._runtime is None else self._runtime.delay_secs

    @property
    def oldest_waiting_secs(self) -> float:
        """Return for how long the case that is held back longest has been."""
        return 0.0 if self._runtime is None else self._runtime.engine.oldest_waiting_secs

    def lag(self) -> dict[Place, int]:
        """Return how many offsets each of our partitions is behind its end."""
        return {} if self._runtime is None else self._runtime.lag()

    async def run(self, *, until_caught_up: bool = False) -> None:
        """Run until SIGTERM or SIGINT, or with ``until_caught_up`` until everything there is has been done.

        Without ``until_caught_up``, a broker that is away and credentials or rights that are refused are waited for,
        visibly. Raises ConfigurationError and FatalError with what to do about it, and otherwise UnreachableError too.
        """
        self.complete_routes().topic_pattern()  # so that what cannot be is refused before anything begins
        self._until_caught_up = until_caught_up
        self._task, self._runtime, self._stopping = None, None, asyncio.Event()
        self._patience = self.broker.patience = self._new_patience()
        try:
            await self.app.run()
        except Exception as error:
            problem = await explained(error, self.settings.connection())
            if problem is error:
                raise
            raise problem from error
        finally:
            if self._task is not None and not self._task.done():
                await self.app.stop()  # it was cancelled, or a hook failed
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    def main(self) -> None:
        """Run until told to stop, and exit; for a script's last line. A problem is one line and an exit code."""
        run_program(self.name, self.settings, self.run)

    def _new_patience(self) -> Patience:
        principal = self.settings.connection().principal
        return Patience(self.name, principal, self._stopping, endless=not self._until_caught_up)

    async def _listen(self) -> None:
        if self.settings.http is not None:
            from backbone.subscriber.operate import end_points  # noqa: PLC0415 - a web server only for who wants one

            self._end_points = end_points(self.settings.http, self)
            await self._end_points.start()

    async def _begin(self) -> None:
        self._task = asyncio.create_task(self._serve(self.running_routes()))
        self._task.add_done_callback(lambda _: self.app.exit())

    async def _serve(self, routes: Routes) -> None:
        """Run, and begin again after an error that passes, until told to stop."""
        while not self._stopping.is_set():
            self._runtime = Runtime(
                self.name, self.dead_letter_topic, routes, self.settings, self._patience.over,
                until_caught_up=self._until_caught_up, tally=self.tally,
            )  # fmt: skip
            if self._stopping.is_set():
                return
            try:
                await self._runtime.run()
            except Exception as error:  # noqa: BLE001 - whatever is not waited for is raised
                await self._patience.wait(_first_of(error))
            else:
                return

    async def _end(self) -> None:
        self._stopping.set()
        if self._runtime is not None:
            self._runtime.stopping.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=self.settings.stop_within_secs + END_SECS)
            if late:
                log.warning("subscriber.stopped-hard")
                self._task.cancel()
        if self._end_points is not None:
            await self._end_points.stop()


async def _nobody_handles(event: Event[Data]) -> None:
    """Set a correction or an erasure aside for which there is no handler: it must not be overlooked."""
    message = f"no handler for {event.data.fact}"
    guidance = "register on_revoked, on_superseded, on_merged or on_erased, or set facts_without_hook to ignore"
    raise PermanentError(message, code="event.fact-not-handled", guidance=guidance)


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
