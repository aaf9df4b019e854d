"""How documents ended, as a shard remembers it for 400 days: by their content, and by the file they stood in. Pure.

A feed of a file every five minutes has 115,000 entries, so they are kept packed: about 0.6 KB of memory each. Both
dictionaries are in the order in which documents ended; what expires stands at their beginning.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from typing import Final

import orjson

from backbone.sources.source import Fingerprint

RECENT_DOCUMENTS: Final = 8


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How a document ended, and the receipt that says so. ``at_ms`` is milliseconds since 1970."""

    sha256: str
    outcome: str
    receipt: str
    name: str
    file: tuple[str, int, int]
    records: int
    at_ms: int
    code: str = ""

    @property
    def fingerprint(self) -> Fingerprint:
        """Return the file that the document stood in."""
        return Fingerprint(*self.file)


@dataclass(slots=True)
class Ledger:
    """The entries of one shard. Digests are hexadecimal; a file goes by ``file_key``."""

    ended: list[tuple[int, Fingerprint, str]] = field(default_factory=list)
    """The last few files, with when and how, to redo what follows a commit."""
    _documents: dict[bytes, str] = field(default_factory=dict)
    _files: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    _held: dict[bytes, None] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many documents are known."""
        return len(self._documents)

    def get(self, sha256: str) -> LedgerEntry | None:
        """Return how the document with this content ended."""
        key = bytes.fromhex(sha256)
        packed = self._documents.get(key)
        return None if packed is None else _unpacked(key, packed)

    def enter(self, entry: LedgerEntry) -> None:
        """Note how a document ended, in place of what was known of it."""
        key = bytes.fromhex(entry.sha256)
        self._forget_document(key)
        self._documents[key] = orjson.dumps(astuple(entry)[1:]).decode()  # bytes of orjson's hold 4 KB, however few
        if entry.outcome == "held":
            self._held[key] = None

    def enter_file(self, name: str, fingerprint: Fingerprint, outcome: str, at_ms: int) -> None:
        """Note how the document in a file ended."""
        key, outcome = bytes.fromhex(name), sys.intern(outcome)
        self._files.pop(key, None)
        self._files[key] = (outcome, at_ms)
        self.ended.append((at_ms, fingerprint, outcome))
        if len(self.ended) > RECENT_DOCUMENTS:
            self.ended.remove(min(self.ended, key=lambda entry: entry[0]))

    def outcome_of(self, fingerprint: Fingerprint) -> str | None:
        """Return how the document in a file ended, if it is known."""
        found = self._files.get(bytes.fromhex(file_key(fingerprint)))
        return None if found is None else found[0]

    def held(self) -> list[LedgerEntry]:
        """Return the documents that are held."""
        return [_unpacked(key, self._documents[key]) for key in self._held]

    def last_success_ms(self) -> int:
        """Return when a document last ended well, or 0."""
        well = (at_ms for outcome, at_ms in self._files.values() if outcome in {"complete", "duplicate"})
        return max(well, default=0)

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield the kind, ``doc`` or ``file``, and the name of every entry."""
        yield from (("doc", key.hex()) for key in self._documents)
        yield from (("file", key.hex()) for key in self._files)

    def older_than(self, at_ms: int) -> Iterator[tuple[str, str]]:
        """Yield kind and name of the entries from before a time."""
        for key, packed in self._documents.items():
            if _unpacked(key, packed).at_ms >= at_ms:
                break
            yield "doc", key.hex()
        for key, (_, ended_ms) in self._files.items():
            if ended_ms >= at_ms:
                break
            yield "file", key.hex()

    def forget(self, kind: str, name: str) -> None:
        """Forget an entry, if it is there."""
        key = bytes.fromhex(name)
        if kind == "doc":
            self._forget_document(key)
        else:
            self._files.pop(key, None)

    def _forget_document(self, key: bytes) -> None:
        self._documents.pop(key, None)
        self._held.pop(key, None)


def file_key(fingerprint: Fingerprint) -> str:
    """Return 128 bits in hexadecimal that stand for a file as a listing shows it."""
    content = f"{fingerprint.path}\0{fingerprint.size}\0{fingerprint.modified_ns}"
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _unpacked(key: bytes, packed: str) -> LedgerEntry:
    outcome, receipt, name, file, records, at_ms, code = orjson.loads(packed)
    return LedgerEntry(key.hex(), outcome, receipt, name, tuple(file), records, at_ms, code)
