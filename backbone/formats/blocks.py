"""Lines of a document, decoded a block at a time for readers written in C, with byte offsets on demand."""

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from backbone.errors import DocumentError
from backbone.formats.text import without_bom

BOM_BYTES: Final = 3
LINE_MAX_BYTES: Final = 16 * 1_048_576
KEPT_BLOCKS: Final = 3


class LineBlocks:
    """Cut a stream at line feeds into blocks of decoded text.

    ``suspicious`` says of the block in hand that it holds a NUL or a line longer than ``long_line_chars``: only then
    are its rows worth a closer look. The last few blocks are kept, so that the offset of a line can be asked for.
    """

    def __init__(
        self,
        stream: BinaryIO,
        codec: str,
        block_bytes: int,
        *,
        start: int = 0,
        long_line_chars: int,
        watch: Callable[[bytes], None] | None = None,
    ) -> None:
        """Read ``stream`` from where it stands; ``start`` is that place. ``watch`` is shown every block's bytes."""
        self.suspicious = False
        self._stream = stream
        self._codec = codec
        self._block_bytes = block_bytes
        self._start = start
        self._step = max(1, long_line_chars // 2)
        self._watch = watch
        self._blocks: list[tuple[int, int, bytes]] = []
        self._cursor = (0, 0)

    def __iter__(self) -> Iterator[io.StringIO]:
        """Yield blocks as iterables of lines, each with its line feed; only LF separates lines."""
        offset, line, rest = self._start, 0, b""
        while True:
            data = self._stream.read(self._block_bytes)
            if self._watch is not None and data:
                self._watch(data)
            whole = rest + data
            if offset == 0 and line == 0:
                if data and len(whole) < BOM_BYTES:
                    rest = whole
                    continue
                whole, offset = without_bom(whole)
            if not whole:
                if not data:
                    return
                rest = b""
                continue
            cut = whole.rfind(b"\n") + 1 if data else len(whole)
            if cut == 0:
                if len(whole) > LINE_MAX_BYTES:
                    raise DocumentError(f"a line has more than {LINE_MAX_BYTES:,} bytes")
                rest = whole
                continue
            block, rest = whole[:cut], whole[cut:]
            text = block.decode(self._codec)
            self.suspicious = b"\0" in block or self._has_long_line(block)
            self._blocks = [*self._blocks[1 - KEPT_BLOCKS :], (line, offset, block)]
            yield io.StringIO(text, newline="\n")
            line += block.count(b"\n")
            offset += len(block)

    def _has_long_line(self, block: bytes) -> bool:
        """Look for a line feed in every window: a line over twice the window covers one of them wholly."""
        step = self._step
        return any(block.find(b"\n", start, start + step) < 0 for start in range(0, len(block) - step, step))

    def offset_of(self, line: int) -> int | None:
        """Return the byte offset of a line, counted from 0, while its block is kept."""
        for first, offset, block in reversed(self._blocks):
            if first <= line:
                start, place = self._cursor if first <= self._cursor[0] <= line else (first, 0)
                for _ in range(line - start):
                    place = block.find(b"\n", place) + 1
                    if place == 0:
                        return None
                self._cursor = line, place
                return offset + place
        return None
