"""The filesystem that a files source reads: a handful of operations, so that SFTP or an object store can join.

Paths are relative to the root and use ``/``. A remote one gives local copies through ``fetch``; a local one gives the
file itself. Operations that may hang on a network mount run in a thread.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from backbone.errors import TransientError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file in a listing. ``modified_ns`` is nanoseconds since 1970; ``inode`` is 0 where there is none."""

    path: str
    size: int
    modified_ns: int
    inode: int = 0


class FileSystem(Protocol):
    """What a files source needs of the place where files lie."""

    async def listing(self) -> Sequence[FileEntry]:
        """Return every regular file below the root; raises TransientError when it cannot be listed."""
        ...

    async def fetch(self, entry: FileEntry) -> Path:
        """Return a local path with the file's bytes."""
        ...

    def unchanged(self, entry: FileEntry) -> bool:
        """Say whether the file is still what the listing showed; cheap, as it is asked at every transaction."""
        ...

    async def move(self, source: str, target: str) -> None:
        """Move a file; a file that is gone has been moved before. Never replaces another file."""
        ...


class LocalFolder:
    """A folder of this machine, or one that is mounted here."""

    def __init__(self, root: Path) -> None:
        """Take the folder; it need not exist yet."""
        self.root = root
        self._warned: set[str] = set()

    async def listing(self) -> Sequence[FileEntry]:
        """Return every regular file below the root; links, pipes and names that are not UTF-8 are passed over."""
        return await asyncio.to_thread(lambda: list(self._walk(self.root, "")))

    def _walk(self, folder: Path, prefix: str) -> Iterator[FileEntry]:
        try:
            scan = os.scandir(folder)
        except OSError as error:
            if prefix:
                return  # a folder below that vanished, or that is not ours to read
            message = f"the drop folder cannot be read ({type(error).__name__})"
            guidance = "create the folder that the feed's `url` names, and let the worker read it"
            raise TransientError(message, code="source.folder-missing", guidance=guidance) from error
        with scan:
            for item in scan:
                path = f"{prefix}{item.name}"
                if not _is_text(path):
                    self._warn_once("source.name-not-utf8", repr(os.fsencode(path)))
                elif item.is_dir(follow_symlinks=False):
                    yield from self._walk(folder / item.name, f"{path}/")
                elif item.is_file(follow_symlinks=False):
                    try:
                        found = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield FileEntry(path, found.st_size, found.st_mtime_ns, found.st_ino)
                else:
                    self._warn_once("source.not-a-file", path)

    def _warn_once(self, event: str, path: str) -> None:
        if path not in self._warned and len(self._warned) < 1_000:
            self._warned.add(path)
            log.warning(event, file=path)

    async def fetch(self, entry: FileEntry) -> Path:
        """Return the file itself."""
        return self.root / entry.path

    def unchanged(self, entry: FileEntry) -> bool:
        """Compare size, time and inode."""
        try:
            now = os.stat(self.root / entry.path, follow_symlinks=False)  # noqa: PTH116 - no Path object a transaction
        except OSError:
            return False
        same = (now.st_size, now.st_mtime_ns) == (entry.size, entry.modified_ns)
        return same and entry.inode in {0, now.st_ino} and stat.S_ISREG(now.st_mode)

    async def move(self, source: str, target: str) -> None:
        """Rename within a filesystem; else copy, flush, rename and only then remove. Raises TransientError."""
        try:
            await asyncio.to_thread(self._move, self.root / source, self.root / target)
        except OSError as error:
            message = f"a file that has its receipt cannot be put away ({type(error).__name__})"
            guidance = "let the worker write to the folder of done files, and see that there is room"
            raise TransientError(message, code="source.not-put-away", guidance=guidance) from error

    def _move(self, source: Path, target: Path) -> None:
        if not source.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        free, number = target, 0
        while free.exists():
            number += 1
            free = target.with_name(f"{target.name}.{number}")
        try:
            source.rename(free)
        except OSError:
            copying = free.with_name(f".{free.name}.copying")
            with source.open("rb") as reading, copying.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
                writing.flush()
                os.fsync(writing.fileno())
            shutil.copystat(source, copying)
            copying.rename(free)
            source.unlink()


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
