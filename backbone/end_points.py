"""`/livez`, `/readyz` and `/metrics` over HTTP, for workers and subscribers alike. Imported by who serves them, only.

`/livez` answers while the event loop turns and asks nothing else. `/readyz` is 503 with a problem (RFC 9457) while
somebody is needed; `/metrics` is Prometheus text. None of them ever shows a value of a record.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from backbone.errors import ConfigurationError

CLOSE_SECS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of `/readyz`: ready where ``code`` is empty. ``more`` are members of the answer's own."""

    code: str = ""
    title: str = ""
    detail: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def application(readiness: Callable[[bool], Readiness], registry: CollectorRegistry) -> Starlette:
    """Return the end points; ``readiness`` is asked each time, with whether everything is to be listed."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(request: Request) -> Response:
        found = readiness("verbose" in request.query_params)
        if not found.code:
            return JSONResponse({"status": "ready", **found.more})
        problem = {
            "type": f"urn:backbone:problem:{found.code}", "title": found.title, "status": 503, "detail": found.detail,
            "code": found.code, **found.more,
        }  # fmt: skip
        return JSONResponse(problem, 503, media_type="application/problem+json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


class EndPoints:
    """Serve an application on ``host:port`` beside what runs in this event loop; port 0 takes a free one."""

    def __init__(self, address: str, serving: Starlette) -> None:
        """Prepare; nothing listens yet. Raises ConfigurationError for what is no address."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            message = f"{address!r} is no address to listen on"
            raise ConfigurationError(message, code="config.invalid-value", guidance="write HOST:PORT")
        self._address = address
        self._host, self.port = host.removeprefix("[").removesuffix("]"), int(port)
        self._server = Server(Config(serving, log_config=None, access_log=False, lifespan="off"))
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Return where it listens."""
        return f"{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen; raises ConfigurationError where the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listening = socket.create_server((self._host, self.port), family=family, backlog=128)
        except OSError as error:
            known = error.errno is not None and error.errno > 0  # what looks up names has numbers of its own
            reason = os.strerror(error.errno or 0) if known else error.strerror or type(error).__name__
            message = f"nothing can listen on {self._address}: {reason[:1].lower()}{reason[1:]}"
            guidance = "choose another address, or stop what uses this one"
            raise ConfigurationError(message, code="config.address-in-use", guidance=guidance) from error
        listening.setblocking(False)
        self.port = int(listening.getsockname()[1])
        self._task = asyncio.create_task(self._server._serve([listening]))  # noqa: SLF001 - `serve` takes the signals
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Close, within a bound: somebody may still be reading."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_SECS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
