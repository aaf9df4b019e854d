"""What a running subscriber tells: `/livez`, `/readyz` and `/metrics`. Never a value of an event."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from backbone.errors import ConfigurationError
from backbone.subscriber.work import Place, Tally

LABELS: Final = ("subscriber",)


class Watched(Protocol):
    """What the end points tell of: a subscriber or a transform."""

    name: str
    tally: Tally

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot do its work, or nothing when it can."""
        ...

    @property
    def open_letters(self) -> int:
        """Return how many dead letters are not settled."""
        ...

    @property
    def delay_secs(self) -> float:
        """Return the age of the oldest event that is not done."""
        ...

    @property
    def oldest_waiting_secs(self) -> float:
        """Return for how long the case that is held back longest has been."""
        ...

    def lag(self) -> Mapping[Place, int]:
        """Return how many offsets each partition is behind its end."""
        ...


class Figures:
    """A collector of Prometheus over a running subscriber or transform."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at when somebody asks."""
        self._name = watched.name
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        """Yield every figure as it is now."""
        watched, tally = self._watched, self._watched.tally
        for name, text, count in (
            ("handled", "Events that every handler has taken", tally.handled),
            ("ignored", "Events that no handler asked for", tally.ignored),
            ("retried", "Tries that failed and were repeated", tally.retried),
            ("unknown_fields", "Events with fields that this version does not know", tally.unknown_fields),
        ):
            yield self._counter(f"backbone_subscriber_{name}", text, count)
        dead = CounterMetricFamily("backbone_subscriber_dead", "Events set aside, by code", labels=[*LABELS, "code"])
        for code, count in tally.dead.items():
            dead.add_metric([self._name, code], count)
        yield dead
        lag = GaugeMetricFamily(
            "backbone_subscriber_lag_records", "Offsets behind the end", labels=[*LABELS, "topic", "partition"]
        )
        for (topic, partition), behind in watched.lag().items():
            lag.add_metric([self._name, topic, str(partition)], behind)
        yield lag
        for name, text, value in (
            ("delay_seconds", "Age of the oldest event that was read and is not done", watched.delay_secs),
            ("oldest_waiting_seconds", "For how long a case has been held back", watched.oldest_waiting_secs),
            ("open_letters", "Dead letters that are not settled", watched.open_letters),
            ("ready", "1 while it can do its work", float(not watched.trouble)),
        ):
            yield self._gauge(f"backbone_subscriber_{name}", text, value)

    def _counter(self, name: str, text: str, count: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], count)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], value)
        return family


def application(watched: Watched) -> Starlette:
    """Return the end points over a running subscriber or transform."""
    registry = CollectorRegistry()
    registry.register(Figures(watched))

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        code = watched.trouble
        if not code:
            return JSONResponse({"status": "ready"})
        problem = {"type": "about:blank", "title": "not ready", "status": 503, "code": code}
        return JSONResponse(problem, 503, media_type="application/problem+json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


class EndPoints:
    """Serve the end points on ``host:port``."""

    def __init__(self, address: str, watched: Watched) -> None:
        """Prepare; nothing listens yet."""
        host, _, port = address.rpartition(":")
        config = Config(
            application(watched), host=host, port=int(port), log_config=None, access_log=False, lifespan="off"
        )
        self._server = Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals are the subscriber's
        self._address = address
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; raises ConfigurationError where the address cannot be had."""
        self._task = asyncio.create_task(self._serve())
        while not self._server.started:
            if self._task.done():
                message = f"nothing can listen on {self._address}"
                guidance = "choose another port for `http`, or stop what uses it"
                raise ConfigurationError(message, code="config.address-in-use", guidance=guidance)
            await asyncio.sleep(0.01)

    async def _serve(self) -> None:
        try:
            await self._server._serve()  # noqa: SLF001 - `serve` takes over the process's signals
        except SystemExit:
            return  # how it says that it cannot listen

    async def stop(self) -> None:
        """Close."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=2)
