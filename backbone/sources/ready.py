"""When a file is ready: it stood still for long enough, or its marker lies beside it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from backbone.sources.filesystem import FileEntry


@dataclass(slots=True)
class _Note:
    entry: FileEntry
    noticed_at: float
    still_since: float


class Readiness:
    """Watch files from poll to poll.

    How long something takes is measured on a clock that only goes forward (``elapsed``, in seconds); the clock of the
    day (``now``, seconds since 1970) is for the age of files alone, and may be set back or be behind that of whoever
    wrote them.
    """

    def __init__(self, ready_after_secs: float, marker: str | None) -> None:
        """Take the rule; with a ``marker`` suffix, standing still does not count."""
        self._after_secs = ready_after_secs
        self._marker = marker
        self._notes: dict[str, _Note] = {}

    def look(self, entries: Iterable[FileEntry], elapsed: float) -> None:
        """Note what a listing shows; files that are not in it any more are forgotten."""
        notes: dict[str, _Note] = {}
        for entry in entries:
            note = self._notes.get(entry.path) or _Note(entry, elapsed, elapsed)
            if note.entry != entry:
                note.entry, note.still_since = entry, elapsed
            notes[entry.path] = note
        self._notes = notes

    def is_ready(self, entry: FileEntry, paths: set[str], elapsed: float, now: float) -> bool:
        """Say whether a file may be taken; ``paths`` are all names of the listing."""
        if self._marker is not None:
            return f"{entry.path}{self._marker}" in paths
        return self.stands_still(entry, elapsed, now)

    def stands_still(self, entry: FileEntry, elapsed: float, now: float) -> bool:
        """Say whether a file has been as it is for long enough, and is that old; one from the future has no age."""
        still_secs = elapsed - self._notes[entry.path].still_since
        age_secs = now - entry.modified_ns / 1e9
        is_old = age_secs >= self._after_secs or age_secs < 0
        return self._after_secs == 0 or (still_secs >= self._after_secs and is_old)

    def waited_secs(self, entry: FileEntry, elapsed: float) -> float:
        """Return for how long a file has been seen."""
        return elapsed - self._notes[entry.path].noticed_at
