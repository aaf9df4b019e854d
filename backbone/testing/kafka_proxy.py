"""A proxy between clients and a broker that understands just enough of Kafka to hold back one kind of request.

A request's frame begins with its length (4 bytes) and its api key (2 bytes); 26 is EndTxn.
"""

import asyncio
import contextlib
import struct
from types import TracebackType
from typing import Final, Self

END_TXN: Final = 26


class KafkaProxy:
    """Pass everything on, but hold back requests of ``hold`` and cut the connection on which one came.

    ``counts`` says how many requests of each api key came; ``held`` are the frames that were held back.
    """

    def __init__(self, port: int, upstream_port: int) -> None:
        """Take our port and the broker's, both on 127.0.0.1."""
        self.hold: int | None = None
        self.counts: dict[int, int] = {}
        self.held: list[bytes] = []
        self._port = port
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

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

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        back = asyncio.create_task(_copy(upstream_reader, writer))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readexactly(6)
                    length, api_key = struct.unpack(">ih", head)
                    frame = head + await reader.readexactly(length - 2)
                    self.counts[api_key] = self.counts.get(api_key, 0) + 1
                    if api_key == self.hold:
                        self.held.append(frame)
                        return
                    upstream_writer.write(frame)
        finally:
            back.cancel()
            for side in (writer, upstream_writer):
                side.close()

    async def deliver_late(self) -> None:
        """Send what was held back to the broker now, as a slow network would."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        for frame in self.held:
            writer.write(frame)
            answer = await reader.readexactly(4)
            await reader.readexactly(struct.unpack(">i", answer)[0])
        writer.close()
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
