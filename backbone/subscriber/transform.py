"""Kafka to Kafka, exactly once: consume, transform and produce in one transaction, with positions of our own.

Example::

    transform = Transform("open-potholes", Settings(organisation="dft"), to=["dft.potholes"])

    @transform.on(StatusChanged, organisations=["E09*"])
    def only_open(event: Event[StatusChanged]) -> Output | None:
        return Output(event.data.case_ref.encode()) if event.data.state == "open" else None

    transform.main()

The procedure is that of feeds, see ``docs/adr/0008-kafka-to-kafka.md``.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from backbone.errors import BackboneError, FatalError, TransientError
from backbone.event import Origin
from backbone.kafka.readers import ensure_not_denied, partition_counts
from backbone.secret import Secret
from backbone.subscriber.crew import Crew
from backbone.subscriber.errors import PermanentError
from backbone.subscriber.event import Event
from backbone.subscriber.lane import Lane, Surroundings
from backbone.subscriber.patience import Patience
from backbone.subscriber.positions import PARTITIONS, positions_topic
from backbone.subscriber.program import run_program
from backbone.subscriber.routes import Routes
from backbone.subscriber.settings import Settings
from backbone.subscriber.translating import Function, Translator, topics_of
from backbone.subscriber.work import Place, Tally
from schemas.shared import Event as Data

log = structlog.get_logger(__name__)
FunctionT = TypeVar("FunctionT", bound=Function)


class Transform:
    """Give events to pure functions and write what they return, each input's effect once.

    ``name`` is part of the lease group and of every transactional id: instances of one name share the partitions that
    are read. ``to`` are the topics of ``Output``s, ``emits`` the event classes that functions return, which are
    published for ``settings.organisation``. Both topics of its own, positions and dead letters, are made by
    ``backbone subscriber topics NAME``.
    """

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        to: Sequence[str] = (),
        emits: Sequence[type[Data]] = (),
        case_secret: str | None = None,
    ) -> None:
        """Prepare; nothing is connected before ``run``. ``case_secret`` hides personal case references of ``emits``."""
        self.name = name
        self.settings = settings or Settings()
        self.routes = Routes()
        self.tally = Tally()
        self._to = tuple(to)
        self._emits = tuple(emits)
        secret = None if case_secret is None else Secret(case_secret)
        self._origin = Origin(self.settings.organisation, name, case_secret=secret)
        self._stopping = asyncio.Event()
        self._crew: Crew | None = None
        self._patience = self._new_patience(endless=True)

    @property
    def dead_letter_topic(self) -> str:
        """Return where records go that cannot be transformed."""
        return f"{self.settings.organisation}.dead.{self.name}"

    @property
    def positions_topic(self) -> str:
        """Return where the positions are kept."""
        return positions_topic(self.settings.organisation, self.name)

    def on(
        self,
        *models: type[Data],
        organisations: Sequence[str] = ("*",),
        attributes: Mapping[str, str] | None = None,
        replays: bool = True,
    ) -> Callable[[FunctionT], FunctionT]:
        """Register a pure function of event classes; the filters are those of ``Subscriber.on``.

        It returns outputs, or None for none, and MUST return the same whenever it is given the same. It may raise
        PermanentError; whatever it raises sets the record aside at once.
        """

        def register(function: FunctionT) -> FunctionT:
            self.routes.add(function, models, organisations, attributes or {}, replays=replays, batch=0)
            return function

        return register

    async def run(self, *, until_caught_up: bool = False) -> None:
        """Run until SIGTERM or SIGINT, or with ``until_caught_up`` until everything there is has been done.

        Without ``until_caught_up``, a broker that is away, topics that are missing, and credentials or rights that are
        refused are waited for, visibly. Raises ConfigurationError and FatalError with what to do about it, and
        otherwise TransientError too.
        """
        routes = self.routes.with_facts({}, _nobody if self.settings.facts_without_hook == "dead" else None)
        routes.topic_pattern()  # so that what cannot be is refused before anything begins
        self._stopping = asyncio.Event()
        self._patience = self._new_patience(endless=not until_caught_up)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        end_points = await self._listen()
        try:
            while not self._stopping.is_set():
                try:
                    await self._work(routes, until_caught_up=until_caught_up)
                except BackboneError as error:
                    await self._patience.wait(error)
                else:
                    return
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            if end_points is not None:
                await end_points.stop()

    async def _work(self, routes: Routes, *, until_caught_up: bool) -> None:
        connection = self.settings.connection()
        await ensure_not_denied(connection, [*routes.known_topics(), self.positions_topic, self.dead_letter_topic])
        around = await self._surroundings(routes)
        self._crew = Crew(self.name, self.settings.organisation, around, routes.topic_pattern(), self._patience.over)
        await self._crew.run(self._stopping, until_caught_up=until_caught_up)

    async def _listen(self) -> Any:
        if self.settings.http is None:
            return None
        from backbone.subscriber.operate import end_points  # noqa: PLC0415 - a web server only for who wants one

        serving = end_points(self.settings.http, self)
        await serving.start()
        return serving

    def _new_patience(self, *, endless: bool) -> Patience:
        return Patience(self.name, self.settings.connection().principal, self._stopping, endless=endless)

    def main(self) -> None:
        """Run until told to stop, and exit; for a script's last line. A problem is one line and an exit code."""
        run_program(self.name, self.settings, self.run)

    def stop(self) -> None:
        """Ask for the end behind the transactions in hand."""
        self._stopping.set()

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot do its work, or nothing when it can."""
        if self._patience.code:
            return self._patience.code
        return "subscriber.starting" if self._crew is None else self._crew.trouble

    @property
    def ready(self) -> bool:
        """Say whether a lease is held or shared out to others, and no input partition of ours is stalled."""
        return not self.trouble

    @property
    def delay_secs(self) -> float:
        """Return the age of the newest record taken from the partition that is furthest behind."""
        return max((lane.delay_secs for lane in self._lanes()), default=0.0)

    @property
    def oldest_waiting_secs(self) -> float:
        """Return nothing: no case is held back for another try."""
        return 0.0

    @property
    def open_letters(self) -> int:
        """Return how many dead letters of our partitions are not settled."""
        return sum(lane.open_letters for lane in self._lanes())

    def lag(self) -> dict[Place, int]:
        """Return how many offsets each of our partitions is behind its end."""
        return {lane.place: lane.behind for lane in self._lanes()}

    def _lanes(self) -> Sequence[Lane]:
        return [] if self._crew is None else list(self._crew.lanes.values())

    async def _surroundings(self, routes: Routes) -> Surroundings:
        connection = self.settings.connection()
        outputs = topics_of(self.settings.organisation, self._emits, self._to)
        own = [self.positions_topic, self.dead_letter_topic]
        counts = await partition_counts(connection, [*own, *outputs])
        missing = [topic for topic in (*own, *outputs) if topic not in counts]
        if missing:
            guidance = f"run `backbone subscriber topics {self.name} --transform`, and create those it writes to"
            raise TransientError(f"topics are missing: {', '.join(missing)}", code="topic.missing", guidance=guidance)
        if counts[self.positions_topic] != PARTITIONS:
            message = f"{self.positions_topic} has {counts[self.positions_topic]} partitions and must have {PARTITIONS}"
            guidance = "positions lie by their count: make the topic anew with `backbone subscriber topics`"
            raise FatalError(message, code="state.partitions-differ", guidance=guidance)
        return Surroundings(
            connection, self.positions_topic, self.dead_letter_topic,
            Translator(routes, self._origin, self._emits, self._to, self.tally),
            counts, self.settings.begin, self.settings.after_dead == "park", self.tally,
        )  # fmt: skip

    def _asked_to_stop(self) -> None:
        if self._stopping.is_set():
            os._exit(130)  # the second signal means now
        log.info("transform.stopping", transform=self.name)
        self.stop()


def _nobody(event: Event[Any]) -> None:
    """Set a correction or an erasure aside for which there is no function: it must not be overlooked."""
    message = f"no function for {event.data.fact}"
    guidance = "register the event class with `on`, or set facts_without_hook to ignore"
    raise PermanentError(message, code="event.fact-not-handled", guidance=guidance)
