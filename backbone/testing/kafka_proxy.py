"""A proxy between clients and a broker that understands just enough of Kafka to disturb single requests.

A request's frame begins with its length (4 bytes), api key (2), version (2) and correlation id (4); an answer's with
its length and correlation id.
"""

import asyncio
import contextlib
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self

PRODUCE: Final = 0
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS_TO_TXN: Final = 24
END_TXN: Final = 26

Action = Literal["delay", "lose", "unanswered", "late", "reorder"]
"""What may befall a request.

``delay``: it, and all behind it on its connection, goes on after some time. ``lose``: its connection is cut and it
never arrives. ``unanswered``: it arrives, and its connection is cut before the answer. ``late``: its connection is
cut, and it arrives after some time, behind whatever the client has sent since. ``reorder``: the same, but it arrives
right behind the next Produce request of its transactional id, and before any other.
"""
OVERTAKEN_SECS: Final = 0.02
"""What a request that was overtaken leaves the other one to be carried out."""


@dataclass(slots=True)
class Disturbance:
    """What befalls the next request of a kind, behind ``after`` others of it; ``met`` is set when it has come.

    ``transactional_id`` keeps it to the requests of one producer.
    """

    api_key: int
    action: Action
    secs: float = 0.0
    after: int = 0
    transactional_id: bytes = b""
    met: asyncio.Event = field(default_factory=asyncio.Event)


class KafkaProxy:
    """Pass everything on but what a disturbance is armed for.

    ``hold`` names an api key whose requests are all held back, their connections cut; ``held`` are their frames.
    ``counts`` says how many requests of each api key came.
    """

    def __init__(self, port: int, upstream_port: int) -> None:
        """Take our port and the broker's, both on 127.0.0.1."""
        self.hold: int | None = None
        self.counts: dict[int, int] = {}
        self.held: list[bytes] = []
        self._armed: list[Disturbance] = []
        self._port = port
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._refusing = False
        self._overtaken: dict[bytes, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, disturbance: Disturbance) -> None:
        """Let the disturbance befall the next request that it is for."""
        self._armed.append(disturbance)

    def disarm(self, disturbance: Disturbance) -> None:
        """Give a disturbance up that no request has met."""
        with contextlib.suppress(ValueError):
            self._armed.remove(disturbance)

    async def partition(self, secs: float) -> None:
        """Cut every connection, and take no new one for some time."""
        self._refusing = True
        for task in list(self._connections):
            task.cancel()
        await asyncio.sleep(secs)
        self._refusing = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            return
        task = self._background(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            writer.close()
            return
        unanswered: set[bytes] = set()
        forth = asyncio.ensure_future(self._forth(reader, upstream_writer, unanswered))
        back = asyncio.ensure_future(_back(upstream_reader, writer, unanswered))
        try:
            done, _ = await asyncio.wait({forth, back}, return_when=asyncio.FIRST_COMPLETED)
            if forth in done and unanswered:  # the request has to be carried out before its answer is dropped
                await asyncio.wait({back}, timeout=5)
        finally:
            for task in (forth, back):
                task.cancel()
            for side in (writer, upstream_writer):
                side.close()

    async def _forth(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, unanswered: set[bytes]
    ) -> None:
        """Pass requests on until one is cut off or the client leaves."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await _frame(reader)
                api_key = struct.unpack_from(">h", frame, 4)[0]
                self.counts[api_key] = self.counts.get(api_key, 0) + 1
                if api_key == self.hold:
                    self.held.append(frame)
                    return
                disturbance = self._due(api_key, frame)
                if disturbance is not None and not await self._pass_on(disturbance, frame, unanswered):
                    if disturbance.action == "unanswered":
                        upstream.write(frame)
                        await upstream.drain()
                    return
                upstream.write(frame)
                await upstream.drain()
                if api_key == PRODUCE and (kept := self._overtaken.pop(transactional_id(frame), None)):
                    await self._deliver(kept, OVERTAKEN_SECS)

    def _due(self, api_key: int, frame: bytes) -> Disturbance | None:
        for disturbance in self._armed:
            if disturbance.api_key == api_key:
                if disturbance.transactional_id not in {b"", transactional_id(frame)}:
                    continue
                if disturbance.after:
                    disturbance.after -= 1
                    continue
                self._armed.remove(disturbance)
                return disturbance
        return None

    async def _pass_on(self, disturbance: Disturbance, frame: bytes, unanswered: set[bytes]) -> bool:
        """Carry a disturbance out; say whether the request and its connection go on."""
        disturbance.met.set()
        match disturbance.action:
            case "delay":
                await asyncio.sleep(disturbance.secs)
                return True
            case "unanswered":
                unanswered.add(frame[8:12])
            case "late":
                self._background(self._deliver(frame, disturbance.secs))
            case "reorder":
                self._overtaken[transactional_id(frame)] = frame
            case "lose":
                pass
        return False

    async def _deliver(self, frame: bytes, secs: float) -> None:
        """Send a request on a connection of its own, and wait for its answer."""
        await asyncio.sleep(secs)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            writer.write(frame)
            await _frame(reader)
            writer.close()
            await writer.wait_closed()

    async def deliver_late(self) -> None:
        """Send what was held back to the broker now, as a slow network would."""
        for frame in self.held:
            await self._deliver(frame, 0.0)


def transactional_id(frame: bytes) -> bytes:
    """Return the transactional id of a request that begins with it, as Produce, EndTxn and their like do."""
    (client_length,) = struct.unpack_from(">h", frame, 12)
    begin = 14 + max(client_length, 0)
    (length,) = struct.unpack_from(">h", frame, begin)
    return frame[begin + 2 : begin + 2 + max(length, 0)]


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack(">i", head)[0])


async def _back(upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, unanswered: set[bytes]) -> None:
    """Pass answers on, up to one that must not be given."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            frame = await _frame(upstream)
            if frame[4:8] in unanswered:
                return
            writer.write(frame)
            await writer.drain()
