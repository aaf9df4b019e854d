"""Manifests: a file that a supplier writes last and that names the files of a delivery, each then being whole.

One file a line, by its name; a size in bytes may follow behind a comma, a semicolon or a tab. Lines as ``sha256sum``
prints them are taken as well, and the digest is then compared. Blank lines and those that begin with ``#`` are nothing.
"""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backbone.sources.filesystem import FileEntry, FileSystem

MANIFEST_MAX_BYTES: Final = 4 * 1_048_576
_DIGEST_LINE: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_SIZE_LINE: Final = re.compile(r"(.+?)[ ]*[,;\t][ ]*([0-9]+)")


@dataclass(frozen=True, slots=True)
class Named:
    """What a manifest says of a file; ``sha256`` is in lower-case hexadecimal."""

    size: int | None = None
    sha256: str | None = None

    def fits(self, entry: FileEntry) -> bool:
        """Say whether the file has the size that it should have."""
        return self.size is None or self.size == entry.size


def parsed(text: str) -> dict[str, Named]:
    """Return what a manifest says by the names in it."""
    found: dict[str, Named] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if digest := _DIGEST_LINE.fullmatch(stripped):
            found[digest[2]] = Named(sha256=digest[1].lower())
        elif size := _SIZE_LINE.fullmatch(stripped):
            found[size[1]] = Named(size=int(size[2]))
        else:
            found[stripped] = Named()
    return found


class Manifests:
    """The manifests of a place, read anew when they change. Names are relative to the manifest's own folder."""

    def __init__(self, pattern: str) -> None:
        """Take the pattern of their names, such as ``*.manifest``."""
        self._pattern = pattern
        self._read: dict[FileEntry, dict[str, Named]] = {}

    def is_one(self, path: str) -> bool:
        """Say whether a file is a manifest."""
        return fnmatch.fnmatchcase(path.rpartition("/")[2], self._pattern)

    async def look(self, files: FileSystem, entries: Sequence[FileEntry]) -> None:
        """Read those among ``entries``, which stand still, that are new; forget those that are gone."""
        read: dict[FileEntry, dict[str, Named]] = {}
        for entry in entries:
            known = self._read.get(entry)
            read[entry] = await self._parse(files, entry) if known is None else known
        self._read = read

    async def _parse(self, files: FileSystem, entry: FileEntry) -> dict[str, Named]:
        if entry.size > MANIFEST_MAX_BYTES:
            return {}
        try:
            path = await files.fetch(entry)
            folder = entry.path[: entry.path.rfind("/") + 1]
            return {f"{folder}{name}": named for name, named in parsed(path.read_text("utf-8", "replace")).items()}
        except OSError:
            return {}  # it was taken away between the listing and now

    def named(self, entry: FileEntry) -> Named | None:
        """Return what a manifest says of a file that is as it should be, or None."""
        for names in self._read.values():
            found = names.get(entry.path)
            if found is not None and found.fits(entry):
                return found
        return None

    def spent(self, path: str, paths: set[str]) -> list[str]:
        """Return the manifests that name ``path`` and of whose files none lies there any more (``paths`` do)."""
        return [entry.path for entry, names in self._read.items() if path in names and paths.isdisjoint(names)]
