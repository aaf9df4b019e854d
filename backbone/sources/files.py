"""Files in a folder: which are ours, in what order, when they are ready, and what becomes of them afterwards."""

import asyncio
import fnmatch
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from backbone.errors import ConfigurationError, DocumentError
from backbone.sources.filesystem import FileEntry, FileSystem, LocalFolder
from backbone.sources.ready import Readiness
from backbone.sources.source import CaughtUp, Fingerprint, Progress, SourceDocument
from backbone.sources.unpack import Spool, Unpacked, UnpackLimits, is_packed, opener, unpack


class FilesSettings(BaseModel):
    """Where a feed's files lie and how they are taken.

    A file is ready when its size and time stood still for ``ready_after_secs`` and it is at least that old; or, with
    ``ready_marker``, when a file of its name and that suffix lies beside it. Files are taken in the order of the
    first group of ``name_time`` in their names, or of their modification times; an earlier one that is not ready
    is waited for at most ``order_wait_secs``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["files"] = "files"
    url: str
    pattern: str = "*"
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = (".*", "*.tmp", "*.part", "*.filepart")
    order_by: Literal["name", "modified"] = "name"
    name_time: str = r"(\d{4,}[\d_.T-]*)"
    ready_after_secs: Annotated[float, Field(ge=0, strict=False)] = 5.0
    ready_marker: str | None = None
    order_wait_secs: Annotated[float, Field(ge=0, strict=False)] = 3_600.0
    poll_interval_secs: Annotated[float, Field(gt=0, strict=False)] = 2.0
    unpack: Literal["auto", "none"] = "auto"
    limits: UnpackLimits = UnpackLimits()
    after: Literal["leave", "move", "archive"] = "leave"
    done_folder: str = "done"
    shard_by: Literal["folder"] | None = None

    def folder(self, base: Path) -> Path:
        """Return the local folder; raises ConfigurationError for a place that is not supported."""
        scheme, separator, rest = self.url.partition("://")
        if separator and scheme != "file":
            message = f"source.url: {scheme}:// is not supported; a local folder or file:// is"
            raise ConfigurationError(message, code="config.unsupported-url")
        return (base / (rest if separator else self.url)).expanduser()


SETTLED: Final = frozenset({"complete", "duplicate", "discarded"})
"""Outcomes after which a file is put away; a held one is left for somebody to look at."""


class FilesSource:
    """Hand over the files of a folder. Implements ``backbone.sources.source.Source``."""

    def __init__(
        self,
        settings: FilesSettings,
        files: FileSystem,
        spool: Spool,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the settings and the filesystem; ``clock`` gives seconds since 1970."""
        self._settings = settings
        self._files = files
        self._spool = spool
        self._clock = clock
        self._sleep = sleep
        self._readiness = Readiness(settings.ready_after_secs, settings.ready_marker)
        self._unpacked: set[Fingerprint] = set()
        self._name_time = re.compile(settings.name_time)

    def shards(self) -> Sequence[str]:
        """Return ``main``, or the folders below the root where cases are disjoint by folder."""
        if self._settings.shard_by == "folder" and isinstance(self._files, LocalFolder):
            root = self._files.root
            found = sorted(item.name for item in root.iterdir() if item.is_dir()) if root.is_dir() else []
            return [name for name in found if name != self._settings.done_folder] or ["main"]
        return ["main"]

    async def documents(self, shard: str, progress: Progress) -> AsyncIterator[SourceDocument | CaughtUp]:
        """Yield what is ready, in order; ``CaughtUp`` each time that nothing is left, then wait for the next poll."""
        while True:
            ready, waiting = self._poll(await self._files.listing(), shard, progress)
            handed_over = False
            for entry in ready:
                async for document in self._open(entry, progress):
                    handed_over = True
                    yield document
            if not handed_over:
                yield CaughtUp(waiting)
                await self._sleep(self._settings.poll_interval_secs)

    def _poll(self, listing: Sequence[FileEntry], shard: str, progress: Progress) -> tuple[list[FileEntry], int]:
        """Return the files to take now, in order, and how many have to wait."""
        paths = {entry.path for entry in listing}
        ours = [entry for entry in listing if self._is_ours(entry, shard)]
        new = [
            entry
            for entry in ours
            if progress.outcome_of(_fingerprint(entry)) is None and _fingerprint(entry) not in self._unpacked
        ]
        now = self._clock()
        self._readiness.look(new, now)
        unfinished = progress.unfinished()
        begun = None if unfinished is None else replace(unfinished, path=unfinished.path.partition("!")[0])
        ready: list[FileEntry] = []
        blocked = False
        for entry in sorted(new, key=lambda entry: (_fingerprint(entry) != begun, *self._place(entry))):
            # what was begun was ready; after a restart it must not wait again, or it would look as if it were gone
            is_ready = _fingerprint(entry) == begun or self._readiness.is_ready(entry, paths, now)
            if blocked or not is_ready:
                # a later file waits for an earlier one, for a while
                blocked = blocked or self._readiness.waited_secs(entry, now) < self._settings.order_wait_secs
                continue
            ready.append(entry)
        return ready, len(new) - len(ready)

    def _place(self, entry: FileEntry) -> tuple[int, str, str]:
        """Return what files are ordered by: modification time, or the time in the name, then the name."""
        if self._settings.order_by == "modified":
            return entry.modified_ns, "", entry.path
        found = self._name_time.search(entry.path.rpartition("/")[2])
        return 0, found[1] if found else "", entry.path

    def _is_ours(self, entry: FileEntry, shard: str) -> bool:
        settings = self._settings
        path = entry.path
        if shard != "main":
            top, _, path = path.partition("/")
            if top != shard:
                return False
        if settings.after != "leave" and entry.path.startswith(f"{settings.done_folder}/"):
            return False
        name = path.rpartition("/")[2]
        if settings.ready_marker and name.endswith(settings.ready_marker):
            return False
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.ignore):
            return False
        return _matcher(settings.pattern)(path) and ("/" in settings.pattern or "/" not in path)

    async def _open(self, entry: FileEntry, progress: Progress) -> AsyncIterator[SourceDocument]:
        """Yield a file's documents: itself, or the members of an archive that have not ended before."""
        try:
            local = await self._files.fetch(entry)
            packed = self._settings.unpack == "auto" and await asyncio.to_thread(is_packed, local)
        except FileNotFoundError:
            return  # it was taken away between the listing and now
        except OSError as error:
            problem = DocumentError(f"the file cannot be read ({type(error).__name__})", code="document.unreadable")
            yield self._document(entry, Unpacked("", Path("/dev/null"), problem))
            return
        if not packed:
            yield self._document(entry, Unpacked("", local))
            return
        self._spool.clear()
        parts = await asyncio.to_thread(unpack, local, entry.path, self._spool, self._settings.limits)
        members = [self._document(entry, part) for part in parts]
        for document in members:
            if progress.outcome_of(document.fingerprint) is None:
                yield document
        self._spool.clear()
        if any(part.member for part in parts):
            self._unpacked.add(_fingerprint(entry))
            if all(progress.outcome_of(document.fingerprint) in SETTLED for document in members):
                await self._put_away(entry.path)

    def _document(self, entry: FileEntry, part: Unpacked) -> SourceDocument:
        fingerprint = _fingerprint(entry, part.member)
        return SourceDocument(
            name=entry.path if not part.member else f"{entry.path}!{part.member}",
            fingerprint=fingerprint,
            modified_at=datetime.fromtimestamp(entry.modified_ns / 1e9, UTC),
            open=opener(part.path),
            unchanged=lambda: self._files.unchanged(entry),
            problem=part.problem,
        )

    async def finish(self, fingerprint: Fingerprint, outcome: str) -> None:
        """Leave, move or archive a file whose receipt is committed; an archive goes when its last member has ended."""
        if outcome in SETTLED and "!" not in fingerprint.path:
            await self._put_away(fingerprint.path)

    async def _put_away(self, path: str) -> None:
        done = self._settings.done_folder
        if self._settings.after == "leave":
            return
        if self._settings.after == "archive":
            done = f"{done}/{datetime.fromtimestamp(self._clock(), UTC):%Y/%m/%d}"
        await self._files.move(path, f"{done}/{path}")
        marker = self._settings.ready_marker
        if marker:
            await self._files.move(f"{path}{marker}", f"{done}/{path}{marker}")


def _fingerprint(entry: FileEntry, member: str = "") -> Fingerprint:
    path = f"{entry.path}!{member}" if member else entry.path
    return Fingerprint(path, entry.size, entry.modified_ns)


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(fnmatch.translate(pattern))
    return lambda text: compiled.match(text) is not None
