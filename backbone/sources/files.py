"""Files in a folder: which are ours, in what order, when they are ready, and what becomes of them afterwards."""

import asyncio
import fnmatch
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backbone.errors import ConfigurationError, DocumentError, TransientError
from backbone.sources.filesystem import FileEntry, FileSystem, LocalFolder
from backbone.sources.manifest import Manifests, Named
from backbone.sources.ready import Readiness
from backbone.sources.source import CaughtUp, Fingerprint, Progress, SourceDocument
from backbone.sources.unpack import Spool, Unpacked, UnpackLimits, is_packed, opener, unpack
from backbone.waiting import Reason, waiting


class FilesSettings(BaseModel):
    """Where a feed's files lie and how they are taken.

    A file is ready when its size and time stood still for ``ready_after_secs`` and it is at least that old; or, with
    ``ready_marker``, when a file of its name and that suffix lies beside it; or, with ``ready_manifest``, when a file
    whose name fits that pattern, and which stands still, names it and its size. Files are taken in the order of the
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
    ready_manifest: str | None = None
    order_wait_secs: Annotated[float, Field(ge=0, strict=False)] = 3_600.0
    poll_interval_secs: Annotated[float, Field(gt=0, strict=False)] = 2.0
    unpack: Literal["auto", "none"] = "auto"
    limits: UnpackLimits = UnpackLimits()
    after: Literal["leave", "move", "archive"] = "leave"
    done_folder: str = "done"
    shard_by: Literal["folder"] | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.ready_marker is not None and self.ready_manifest is not None:
            message = "ready_marker and ready_manifest are two rules; name one of them"
            raise ValueError(message)
        return self

    def folder(self, base: Path) -> Path:
        """Return the local folder; raises ConfigurationError for a place that is not supported."""
        scheme, separator, rest = self.url.partition("://")
        if separator and scheme != "file":
            message = f"source.url: {scheme}:// is not supported; a local folder or file:// is"
            raise ConfigurationError(message, code="config.unsupported-url")
        return (base / (rest if separator else self.url)).expanduser()


SETTLED: Final = frozenset({"complete", "duplicate", "discarded"})
"""Outcomes after which a file is put away; a held one is left for somebody to look at."""


MOUNT: Final = "look at the mount, and at the machine behind it"
LISTING: Final = Reason("source.silent", "the drop folder to be listed", MOUNT)
OPENING: Final = Reason("source.silent", "a file of the drop folder to be opened", MOUNT)
READING: Final = Reason("source.silent", "a file of the drop folder to be unpacked or hashed", MOUNT)
MOVING: Final = Reason("source.silent", "a file to be put away", MOUNT)
LARGE_FILE_SECS: Final = 120.0
"""Patience with what reads or writes a whole file, which may be large."""


class FilesSource:
    """Hand over the files of a folder. Implements ``backbone.sources.source.Source``."""

    def __init__(
        self,
        settings: FilesSettings,
        files: FileSystem,
        spool: Spool,
        *,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the settings and the filesystem.

        ``clock`` gives seconds since 1970; ``elapsed`` those of a clock that is never set, by default the event loop's.
        """
        self._settings = settings
        self._files = files
        self._spool = spool
        self._clock = clock
        self._elapsed = elapsed or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._readiness = Readiness(settings.ready_after_secs, settings.ready_marker)
        self._manifest_readiness = Readiness(settings.ready_after_secs, None)
        self._manifests = None if settings.ready_manifest is None else Manifests(settings.ready_manifest)
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
            with waiting(LISTING):
                listing = await self._files.listing()
            await self._look_at_manifests(listing)
            ready, later = self._poll(listing, shard, progress)
            handed_over = False
            for entry in ready:
                async for document in self._open(entry, progress):
                    handed_over = True
                    yield document
            if not handed_over:
                yield CaughtUp(later)
                await self._sleep(self._settings.poll_interval_secs)

    async def _look_at_manifests(self, listing: Sequence[FileEntry]) -> None:
        if self._manifests is not None:
            elapsed, now = self._elapsed(), self._clock()
            found = [entry for entry in listing if self._manifests.is_one(entry.path) and not self._is_done(entry.path)]
            self._manifest_readiness.look(found, elapsed)
            still = [entry for entry in found if self._manifest_readiness.stands_still(entry, elapsed, now)]
            await self._manifests.look(self._files, still)

    def _poll(self, listing: Sequence[FileEntry], shard: str, progress: Progress) -> tuple[list[FileEntry], int]:
        """Return the files to take now, in order, and how many have to wait."""
        paths = {entry.path for entry in listing}
        ours = [entry for entry in listing if self._is_ours(entry, shard)]
        new = [
            entry
            for entry in ours
            if progress.outcome_of(_fingerprint(entry)) is None and _fingerprint(entry) not in self._unpacked
        ]
        elapsed, now = self._elapsed(), self._clock()
        self._readiness.look(new, elapsed)
        unfinished = progress.unfinished()
        begun = None if unfinished is None else replace(unfinished, path=unfinished.path.partition("!")[0])
        ready: list[FileEntry] = []
        blocked = False
        for entry in sorted(new, key=lambda entry: (_fingerprint(entry) != begun, *self._place(entry))):
            # what was begun was ready; after a restart it must not wait again, or it would look as if it were gone
            is_ready = _fingerprint(entry) == begun or self._is_ready(entry, paths, elapsed, now)
            if blocked or not is_ready:
                # a later file waits for an earlier one, for a while
                blocked = blocked or self._readiness.waited_secs(entry, elapsed) < self._settings.order_wait_secs
                continue
            ready.append(entry)
        return ready, len(new) - len(ready)

    def _is_ready(self, entry: FileEntry, paths: set[str], elapsed: float, now: float) -> bool:
        if self._manifests is not None:
            return self._manifests.named(entry) is not None
        return self._readiness.is_ready(entry, paths, elapsed, now)

    def _place(self, entry: FileEntry | Fingerprint) -> tuple[int, str, str]:
        """Return what files are ordered by: modification time, or the time in the name, then the name."""
        if self._settings.order_by == "modified":
            return entry.modified_ns, "", entry.path.partition("!")[0]
        path = entry.path.partition("!")[0]
        found = self._name_time.search(path.rpartition("/")[2])
        return 0, found[1] if found else "", path

    def _is_ours(self, entry: FileEntry, shard: str) -> bool:
        settings = self._settings
        path = entry.path
        if shard != "main":
            top, _, path = path.partition("/")
            if top != shard:
                return False
        if self._is_done(entry.path):
            return False
        name = path.rpartition("/")[2]
        if settings.ready_marker and name.endswith(settings.ready_marker):
            return False
        if self._manifests is not None and self._manifests.is_one(path):
            return False
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.ignore):
            return False
        return _matcher(settings.pattern)(path) and ("/" in settings.pattern or "/" not in path)

    def _is_done(self, path: str) -> bool:
        return self._settings.after != "leave" and path.startswith(f"{self._settings.done_folder}/")

    async def _open(self, entry: FileEntry, progress: Progress) -> AsyncIterator[SourceDocument]:
        """Yield a file's documents: itself, or the members of an archive that have not ended before."""
        try:
            with waiting(OPENING):
                local = await self._files.fetch(entry)
                packed = self._settings.unpack == "auto" and await asyncio.to_thread(is_packed, local)
            with waiting(READING, LARGE_FILE_SECS):
                problem = await asyncio.to_thread(_digest_problem, local, self._named(entry))
        except FileNotFoundError:
            return  # it was taken away between the listing and now
        except OSError as error:
            problem = DocumentError(f"the file cannot be read ({type(error).__name__})", code="document.unreadable")
            yield self._document(entry, Unpacked("", Path("/dev/null"), problem), progress)
            return
        if not packed or problem is not None:
            yield self._document(entry, Unpacked("", local, problem), progress)
            return
        self._spool.clear()
        try:
            with waiting(READING, LARGE_FILE_SECS):
                parts = await asyncio.to_thread(unpack, local, entry.path, self._spool, self._settings.limits)
        except TransientError:
            self._spool.clear()  # what was written of it is in the way of everybody
            raise
        members = [self._document(entry, part, progress) for part in parts]
        for document in members:
            if progress.outcome_of(document.fingerprint) is None:
                yield document
        self._spool.clear()
        if any(part.member for part in parts):
            self._unpacked.add(_fingerprint(entry))
            if all(progress.outcome_of(document.fingerprint) in SETTLED for document in members):
                await self.finish(_fingerprint(entry), "complete")

    def _named(self, entry: FileEntry) -> Named | None:
        return None if self._manifests is None else self._manifests.named(entry)

    def _document(self, entry: FileEntry, part: Unpacked, progress: Progress) -> SourceDocument:
        fingerprint = _fingerprint(entry, part.member)
        place = self._place(entry)
        others = (past for past in progress.recent() if past.path.partition("!")[0] != entry.path)
        return SourceDocument(
            name=entry.path if not part.member else f"{entry.path}!{part.member}",
            fingerprint=fingerprint,
            modified_at=datetime.fromtimestamp(entry.modified_ns / 1e9, UTC),
            open=opener(part.path),
            unchanged=lambda: self._files.unchanged(entry),
            problem=part.problem,
            late=any(self._place(past) > place for past in others),
        )

    async def finish(self, fingerprint: Fingerprint, outcome: str) -> None:
        """Leave, move or archive a file whose receipt is committed; an archive goes when its last member has ended."""
        if outcome in SETTLED and "!" not in fingerprint.path:
            with waiting(MOVING, LARGE_FILE_SECS):
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
        if self._manifests is not None:
            left = {entry.path for entry in await self._files.listing()}
            for manifest in self._manifests.spent(path, left):
                await self._files.move(manifest, f"{done}/{manifest}")


def _fingerprint(entry: FileEntry, member: str = "") -> Fingerprint:
    path = f"{entry.path}!{member}" if member else entry.path
    return Fingerprint(path, entry.size, entry.modified_ns)


def _digest_problem(path: Path, named: Named | None) -> DocumentError | None:
    """Return what is wrong with a file whose digest a manifest gives."""
    if named is None or named.sha256 is None:
        return None
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() == named.sha256:
            return None
    guidance = "it was cut short or changed on its way; have the supplier send it again with its manifest"
    return DocumentError("the file's digest is not the manifest's", code="document.digest-mismatch", guidance=guidance)


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(fnmatch.translate(pattern))
    return lambda text: compiled.match(text) is not None
