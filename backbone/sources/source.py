"""The contract of a source: documents come in, in order, and are told what became of them.

A source waits (for files, servers, time); everything behind it is pure. It hands over documents whose bytes are
local by then: a remote or compressed one has been spooled to disk. It never holds a whole document in memory.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from backbone.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Where a document lies and what its file looked like; equal means unchanged as far as a listing shows.

    ``path`` is relative to the feed's folder, with ``!member`` behind it for a member of an archive. ``size`` is in
    bytes, ``modified_ns`` in nanoseconds since 1970, both of the file as it lies there (compressed, if it is).
    """

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One document that is ready to be read.

    ``name`` is what receipts show: a file name, never a host or a folder above the feed's. ``open`` may be called
    several times and gives the decompressed bytes from their beginning. ``unchanged`` compares the original with the
    fingerprint now. ``problem`` is set when the document cannot even be opened (a broken archive): it is held, and
    ``open`` gives the bytes as they lie there, so that it has a digest. ``late`` says that a document which comes after
    it in the source's order has ended already.
    """

    name: str
    fingerprint: Fingerprint
    modified_at: datetime
    open: Callable[[], BinaryIO]
    unchanged: Callable[[], bool]
    problem: DocumentError | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Say that everything ready has been handed over; ``waiting`` documents lie there but are not ready yet."""

    waiting: int


class Progress(Protocol):
    """What a source may know of its shard's past; it asks again for every document, as it changes while it runs."""

    def outcome_of(self, fingerprint: Fingerprint) -> str | None:
        """Return how the document of this fingerprint ended, or None where it is new.

        The answer is a document outcome: ``complete``, ``duplicate``, ``held`` or ``aborted``.
        """
        ...

    def unfinished(self) -> Fingerprint | None:
        """Return the document that was begun and not ended: it comes first."""
        ...

    def recent(self) -> Sequence[Fingerprint]:
        """Return the documents that ended last, a few, in any order: what comes behind one that it precedes is late."""
        ...


class Source(Protocol):
    """Hand over documents and act on their receipts.

    MUST hand over an unfinished document first, if it still lies there. MUST NOT hand over a document whose
    fingerprint has an outcome. MUST NOT alter or remove a document before ``finish`` was called for it.
    """

    def shards(self) -> Sequence[str]:
        """Return the units that may run at once; cases never cross shards. Most sources have one, ``main``."""
        ...

    def documents(self, shard: str, progress: Progress) -> AsyncIterator[SourceDocument | CaughtUp]:
        """Yield documents in order, for ever; each time that nothing is left, yield ``CaughtUp`` and then wait.

        The next document is asked for only when the last one has ended. Raises TransientError when the place cannot
        be reached; the caller asks again after a pause.
        """
        ...

    async def finish(self, fingerprint: Fingerprint, outcome: str) -> None:
        """Act on a committed receipt: leave, move or archive the file. Calling it again changes nothing.

        Called after every commit that ends a document, and once more for the last few at start, as a crash may have
        come between the commit and this call. ``held`` documents are always left where they lie.
        """
        ...
