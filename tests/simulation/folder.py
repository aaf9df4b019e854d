"""The source of a simulation: a folder in memory, which all workers see, and which outlives them."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO, Final

from backbone.sources.source import CaughtUp, Fingerprint, Progress, SourceDocument
from backbone.testing.simulation.loop import Process
from tests.simulation.schedule import Line

POLL_SECS: Final = 5.0
HEADER: Final = "case,at,parts,kind\n"
SETTLED: Final = frozenset({"complete", "duplicate"})


@dataclass(slots=True)
class Folder:
    """The files of a feed, by name.

    ``final`` and ``contents`` are the digest and the lines of each file as it was written last, wherever it is now.
    """

    moves: bool
    files: dict[str, tuple[Fingerprint, tuple[Line, ...], bytes]] = field(default_factory=dict)
    final: dict[str, str] = field(default_factory=dict)
    contents: dict[str, tuple[Line, ...]] = field(default_factory=dict)
    listeners: list[asyncio.Event] = field(default_factory=list)
    versions: int = 0

    def write(self, name: str, lines: Iterable[Line]) -> None:
        """Let a file appear, or another one in its place."""
        self.versions += 1
        kept = tuple(lines)
        content = (HEADER + "".join(map(str, kept))).encode()
        self.files[name] = (Fingerprint(name, len(content), 10**18 + self.versions), kept, content)
        self.final[name] = hashlib.sha256(content).hexdigest()
        self.contents[name] = kept
        for listener in self.listeners:
            listener.set()

    def extend(self, name: str, line: Line) -> None:
        """Let a file grow by a line, as a careless supplier does."""
        self.write(name, (*self.files[name][1], line))


class FolderSource:
    """What a worker's process sees of a folder. Implements ``backbone.sources.source.Source``."""

    def __init__(self, folder: Folder, process: Process) -> None:
        """Listen for new files."""
        self._folder = folder
        self._process = process
        self._news = asyncio.Event()
        folder.listeners.append(self._news)

    def shards(self) -> Sequence[str]:
        """Return the one shard."""
        return ["main"]

    async def documents(self, shard: str, progress: Progress) -> AsyncIterator[SourceDocument | CaughtUp]:
        """Yield what lies there and has not ended, what was begun first; then wait for news."""
        while True:
            self._news.clear()
            unfinished = progress.unfinished()
            new = [entry[0] for entry in self._folder.files.values() if progress.outcome_of(entry[0]) is None]
            for fingerprint in sorted(new, key=lambda new: (new != unfinished, new.path)):
                if fingerprint == self._now(fingerprint.path):
                    yield self._document(fingerprint, progress)
            if not new:
                yield CaughtUp(0)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), POLL_SECS)

    def _document(self, fingerprint: Fingerprint, progress: Progress) -> SourceDocument:
        path = fingerprint.path

        def open_it() -> BinaryIO:
            if path not in self._folder.files:
                raise FileNotFoundError(path)
            return io.BytesIO(self._folder.files[path][2])

        return SourceDocument(
            path, fingerprint, datetime.fromtimestamp(fingerprint.modified_ns / 1e9, UTC), open_it,
            lambda: self._now(path) == fingerprint, late=any(past.path > path for past in progress.recent()),
        )  # fmt: skip

    def _now(self, path: str) -> Fingerprint | None:
        entry = self._folder.files.get(path)
        return None if entry is None else entry[0]

    async def finish(self, fingerprint: Fingerprint, outcome: str) -> None:
        """Move a settled file away, where files move; a dead process moves nothing."""
        moves = self._folder.moves and not self._process.dead and outcome in SETTLED
        if moves and self._now(fingerprint.path) == fingerprint:
            del self._folder.files[fingerprint.path]
