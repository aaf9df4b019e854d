"""Compressed files and archives, unpacked into the spool under limits on ratio, count, size and paths.

Told apart by their first bytes, never by name. A zip's members are documents of their own; anything wrong with an
archive holds the archive, and the other files go on.
"""

import errno
import gzip
import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field

from backbone.errors import DocumentError, TransientError

GZIP_MAGIC: Final = b"\x1f\x8b"
ZIP_MAGIC: Final = b"PK\x03\x04"
CHUNK_BYTES: Final = 1_048_576
ENCRYPTED_FLAG: Final = 0x1


class UnpackLimits(BaseModel):
    """How far an archive may swell. ``max_ratio`` is unpacked to packed; it counts above 10 MiB only."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_ratio: int = Field(default=200, ge=1)
    max_members: int = Field(default=1_000, ge=1)
    max_unpacked_bytes: int = Field(default=2 * 1_024**3, ge=1)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One document of a file: ``member`` is empty unless it stands in an archive."""

    member: str
    path: Path
    problem: DocumentError | None = None


class Spool:
    """A local folder for unpacked or fetched bytes, with a quota. It is a cache: losing it loses nothing."""

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        """Begin with an empty folder."""
        self.folder = folder
        self._quota_bytes = quota_bytes
        shutil.rmtree(folder, ignore_errors=True)

    def place(self, name: str) -> Path:
        """Return a path for the bytes of that name, which says nothing of it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error) from error
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:32]

    def used_bytes(self) -> int:
        """Return how much is spooled."""
        return sum(path.stat().st_size for path in self.folder.glob("*")) if self.folder.exists() else 0

    def room_bytes(self) -> int:
        """Return how much may still be spooled."""
        return self._quota_bytes - self.used_bytes()

    def clear(self) -> None:
        """Forget everything: called when the document that it was for has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)


def is_packed(path: Path) -> bool:
    """Say whether a file is gzip or zip by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(4)
    return head.startswith(GZIP_MAGIC) or head == ZIP_MAGIC


def unpack(path: Path, name: str, spool: Spool, limits: UnpackLimits) -> list[Unpacked]:
    """Unpack a file; a problem comes back as a document that carries it. Blocking: run it in a thread."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic == ZIP_MAGIC:
            return list(_members(path, name, spool, limits))
        target = spool.place(name)
        with gzip.open(path) as packed:
            _copy(packed.read, target, path.stat().st_size, spool, limits)
    except DocumentError as problem:
        return [Unpacked("", path, problem)]
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        message = f"the archive is broken ({type(error).__name__})"
        return [Unpacked("", path, DocumentError(message, code="document.archive-broken"))]
    return [Unpacked("", target)]


def _members(path: Path, name: str, spool: Spool, limits: UnpackLimits) -> Iterator[Unpacked]:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) > limits.max_members:
            message = f"the archive has {len(members):,} members; at most {limits.max_members:,} are taken"
            raise DocumentError(message, code="document.archive-too-large")
        for info in members:
            _check_member(info)
        left = limits.max_unpacked_bytes
        for info in members:
            target = spool.place(f"{name}!{info.filename}")
            with archive.open(info) as packed:
                left -= _copy(packed.read, target, info.compress_size, spool, limits, left)
            if is_packed(target):
                raise DocumentError("the archive holds another archive", code="document.archive-nested")
            yield Unpacked(info.filename, target)


def _check_member(info: zipfile.ZipInfo) -> None:
    pure = PurePosixPath(info.filename)
    if pure.is_absolute() or ".." in pure.parts or "\\" in info.filename or "\0" in info.filename:
        raise DocumentError("the archive names a path outside of itself", code="document.archive-path")
    if info.flag_bits & ENCRYPTED_FLAG:
        raise DocumentError("the archive is encrypted", code="document.archive-encrypted")


def _copy(
    read: Callable[[int], bytes], target: Path, packed_bytes: int, spool: Spool, limits: UnpackLimits,
    left: int | None = None,
) -> int:  # fmt: skip
    """Copy what ``read`` gives; return how many bytes it was."""
    most = limits.max_unpacked_bytes if left is None else left
    by_ratio = max(10 * CHUNK_BYTES, packed_bytes * limits.max_ratio)
    room = spool.room_bytes()
    done = 0
    with _spooling(target) as write:
        while chunk := read(CHUNK_BYTES):
            done += len(chunk)
            if done > most or done > by_ratio:
                message = "the archive unpacks to more than its limits allow"
                raise DocumentError(message, code="document.archive-too-large")
            if done > room:
                message = "the spool has no room for the unpacked document"
                guidance = "raise spool.quota_bytes, or make room on its disk"
                raise DocumentError(message, code="document.spool-full", guidance=guidance)
            write(chunk)
    return done


@contextmanager
def _spooling(target: Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes to the spool; raises TransientError where its disk is full or fails.

    That says nothing of the document, so it is no reason to hold it.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(target.open("wb", buffering=0))
        except OSError as error:
            raise _unwritable(error) from error

        def write(chunk: bytes) -> None:
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise _unwritable(error) from error

        yield write


def _unwritable(error: OSError) -> TransientError:
    message = f"the spool cannot be written ({errno.errorcode.get(error.errno or 0, type(error).__name__)})"
    guidance = "make room on the disk of spool.folder, and let the worker write there"
    return TransientError(message, code="source.spool-unwritable", guidance=guidance)


def opener(path: Path) -> Callable[[], BinaryIO]:
    """Return a function that opens the file for reading."""
    return lambda: path.open("rb")
