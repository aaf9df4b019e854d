"""What a shard remembers, and how it is written to its partition of the state topic. Pure.

The state topic is compacted; every value is JSON with its version ``v``. Keys, with ``<shard>`` = feed/shard:

    meta                       number of partitions and version, written once when the topic is provisioned
    cp/<shard>                 the checkpoint: how far the open document was read, and its running counts
    doc/<shard>/<sha256>       the ledger: how a document ended
    file/<shard>/<digest>      the same by path, size and time, so that a file left in place is not read again
    seen/<shard>/<slot>        a segment of the seen-window
    rej/<shard>/<id>           a reject that is not settled
    topics/<shard>             the ids of the topics that were written to, so that one made anew is noticed

A newer version than this program knows is refused: an older worker must not go on from what it does not understand.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from backbone.errors import FatalError, MadeAnewError
from backbone.ledger import Ledger, LedgerEntry, file_key
from backbone.packed import Message
from backbone.receipts import Counts
from backbone.rejects import Reject, ordinal_of, short_id
from backbone.seen import SeenWindow, SegmentLog
from backbone.sources.source import Fingerprint

STATE_VERSION: Final = 1
META_KEY: Final = b"meta"
LEDGER_DAYS: Final = 400
EXPIRED_PER_TRANSACTION: Final = 500
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """The document that a shard is in the middle of. ``offset`` is where record number ``delivered`` starts."""

    name: str
    fingerprint: Fingerprint
    sha256: str
    size_bytes: int
    layout: str
    encoding: str
    traceparent: str
    began_at: str
    delivered: int
    offset: int | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a shard has come: ``ordinal`` documents have ended, in ``generation`` transactions."""

    generation: int = 0
    ordinal: int = 0
    writer: str = ""
    document: OpenDocument | None = None
    control: int = 0
    """The offset on the control topic behind the last command that was obeyed."""


@dataclass(frozen=True, slots=True)
class RejectEntry:
    """A reject that is not settled: enough to list it and to find its record on the rejects topic."""

    id: str
    code: str
    case_hash: str
    document: str
    sha256: str
    record_number: int
    ordinal: int
    at_ms: int


@dataclass(slots=True)
class ShardState:
    """The state of one shard, folded from its records; afterwards kept up to date by whoever commits."""

    shard: str
    seen_capacity: int
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    ledger: Ledger = field(default_factory=Ledger)
    rejects: dict[str, RejectEntry] = field(default_factory=dict)
    segments: dict[str, tuple[int, str]] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    window: SeenWindow = field(init=False)
    log: SegmentLog = field(init=False)

    def __post_init__(self) -> None:
        """Size the window."""
        self.window = SeenWindow(self.seen_capacity)
        self.log = SegmentLog(self.seen_capacity)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Fold one record of the partition; those of other shards are passed over.

        Raises FatalError ``state.newer-version`` for a value that a newer program wrote.
        """
        kind, _, rest = key.decode().partition("/")
        if rest != self.shard and not rest.startswith(f"{self.shard}/"):
            return
        name = rest[len(self.shard) + 1 :]
        if value is None:
            self._forget(kind, name)
            return
        content = orjson.loads(value)
        if content["v"] > STATE_VERSION:
            message = f"the state of {self.shard} has version {content['v']}; this program knows {STATE_VERSION}"
            raise FatalError(message, code="state.newer-version", guidance="run the newer program, or restore it")
        match kind:
            case "cp":
                self.checkpoint = _checkpoint(content)
            case "doc":
                self.ledger.enter(LedgerEntry(**content["entry"]))
            case "file":
                self.ledger.enter_file(name, Fingerprint(*content["file"]), content["outcome"], content["at_ms"])
            case "seen":
                self.segments[name] = (content["number"], content["hashes"])
            case "rej":
                shared = {key: sys.intern(content["entry"][key]) for key in ("code", "document", "sha256")}
                self.rejects[name] = RejectEntry(**{**content["entry"], **shared, "id": name})
            case "topics":
                self.topics = content["ids"]

    def _forget(self, kind: str, name: str) -> None:
        match kind:
            case "cp":
                self.checkpoint = Checkpoint()
            case "doc" | "file":
                self.ledger.forget(kind, name)
            case "seen":
                self.segments.pop(name, None)
            case "rej":
                self.rejects.pop(name, None)
            case "topics":
                self.topics = {}

    def loaded(self) -> None:
        """Build the seen-window once everything has been folded; the stored segments are then let go."""
        self.log.restore(self.segments.values(), self.window)
        self.segments = {}

    def outcome_of(self, fingerprint: Fingerprint) -> str | None:
        """Return how the document of this fingerprint ended, or None: the source's view of the ledger."""
        return self.ledger.outcome_of(fingerprint)

    def unfinished(self) -> Fingerprint | None:
        """Return the document that was begun and not ended."""
        document = self.checkpoint.document
        return None if document is None else document.fingerprint

    def recent(self) -> list[Fingerprint]:
        """Return the documents that ended last."""
        return [fingerprint for _, fingerprint, _ in self.ledger.ended]

    def expired(self, now_ms: int, reject_days: int) -> list[Message]:
        """Forget ledger and file entries after 400 days, and rejects whose record has left its topic.

        Returns their tombstones, a bounded number at a time.
        """
        gone = now_ms - reject_days * DAY_MS
        keys = [*self.ledger.older_than(now_ms - LEDGER_DAYS * DAY_MS)]
        keys += [("rej", name) for name, entry in self.rejects.items() if entry.at_ms < gone]
        tombstones: list[Message] = []
        for kind, name in keys[:EXPIRED_PER_TRANSACTION]:
            self._forget(kind, name)
            tombstones.append(tombstone(f"{kind}/{self.shard}/{name}"))
        return tombstones

    def open_cases(self) -> dict[int, str]:
        """Return the short ids of unsettled rejects with the hash of their case."""
        return {short_id(entry.id): entry.case_hash for entry in self.rejects.values()}

    def recognise(self, ids: Mapping[str, str]) -> list[Message]:
        """Compare topics with those that were written to before; return the record that notes new ones.

        Raises MadeAnewError for a topic with another id.
        """
        for name, known in self.topics.items():
            if ids.get(name, known) != known:
                raise MadeAnewError(name)
        if ids.items() <= self.topics.items():
            return []
        self.topics = {**self.topics, **ids}
        return [_record(f"topics/{self.shard}", {"ids": self.topics})]

    def write_checkpoint(self, checkpoint: Checkpoint) -> Message:
        """Set the checkpoint and return its record."""
        self.checkpoint = checkpoint
        return _record(f"cp/{self.shard}", _checkpoint_json(checkpoint))

    def write_ended(self, entry: LedgerEntry, fingerprint: Fingerprint) -> list[Message]:
        """Enter how a document ended, by content and by file.

        A later outcome of the same content does not replace ``complete``, which alone blocks a repeat. A file whose
        document was aborted is not entered: as it lies there now, it is looked at again.
        """
        written = []
        if entry.outcome != "aborted":
            name = file_key(fingerprint)
            self.ledger.enter_file(name, fingerprint, entry.outcome, entry.at_ms)
            file = [fingerprint.path, fingerprint.size, fingerprint.modified_ns]
            content = {"outcome": entry.outcome, "at_ms": entry.at_ms, "file": file}
            written.append(_record(f"file/{self.shard}/{name}", content))
        known = self.ledger.get(entry.sha256)
        if known is None or known.outcome != "complete":
            self.ledger.enter(entry)
            written.append(_record(f"doc/{self.shard}/{entry.sha256}", {"entry": _fields(entry)}))
        return written

    def forget_document(self, sha256: str, fingerprint: Fingerprint) -> list[Message]:
        """Forget how a held document ended, so that it is looked at again."""
        keys = [("doc", sha256), ("file", file_key(fingerprint))]
        for kind, name in keys:
            self._forget(kind, name)
        return [tombstone(f"{kind}/{self.shard}/{name}") for kind, name in keys]

    def forget_topics(self) -> list[Message]:
        """Forget which topics were written to, so that those there are now are taken for them."""
        self.topics = {}
        return [tombstone(f"topics/{self.shard}")]

    def forget_everything(self, ordinal: int, writer: str) -> list[Message]:
        """Forget every document, reject and identity; to be called before ``loaded``.

        The count of documents goes on, from ``ordinal`` at least: receipts and sequences are numbered by it.
        """
        names = [
            *self.ledger.names(),
            *(("seen", slot) for slot in self.segments),
            *(("rej", reject) for reject in self.rejects),
        ]
        keys = [f"{kind}/{self.shard}/{name}" for kind, name in names]
        before = self.checkpoint
        fresh = Checkpoint(before.generation + 1, max(before.ordinal, ordinal), writer, control=before.control)
        return [*map(tombstone, keys), *self.forget_topics(), self.write_checkpoint(fresh)]

    def write_seen(self, hashes: list[int]) -> list[Message]:
        """Append hashes that are in the window already to its stored segments."""
        return [
            _record(f"seen/{self.shard}/{slot}", {"number": number, "hashes": content})
            for slot, number, content in self.log.append(hashes)
        ]

    def write_rejects(self, rejects: Iterable[Reject], closed: Iterable[str], at_ms: int) -> list[Message]:
        """Open an entry for every reject and close those whose record was published."""
        written = []
        for reject in rejects:
            entry = RejectEntry(
                reject.id, reject.code, reject.case_hash, reject.document, reject.document_sha256,
                reject.record_number, ordinal_of(reject), at_ms,
            )  # fmt: skip
            self.rejects[reject.id] = entry
            written.append(_record(f"rej/{self.shard}/{reject.id}", {"entry": _fields(entry)}))
        for settled in closed:
            self.rejects.pop(settled, None)
            written.append(tombstone(f"rej/{self.shard}/{settled}"))
        return written


def meta_record(partitions: int) -> Message:
    """Return the record that pins the number of partitions, which is part of every shard's place."""
    return META_KEY, orjson.dumps({"v": STATE_VERSION, "partitions": partitions}), []


def tombstone(key: str) -> Message:
    """Return the record that makes compaction forget a key."""
    return key.encode(), None, []


def _record(key: str, content: dict[str, Any]) -> Message:
    return key.encode(), orjson.dumps({"v": STATE_VERSION, **content}), []


def _fields(entry: LedgerEntry | RejectEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def _checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    document = checkpoint.document
    return {
        "generation": checkpoint.generation,
        "ordinal": checkpoint.ordinal,
        "writer": checkpoint.writer,
        "control": checkpoint.control,
        "document": None
        if document is None
        else {
            **{name: getattr(document, name) for name in document.__slots__},
            "fingerprint": [document.fingerprint.path, document.fingerprint.size, document.fingerprint.modified_ns],
            "counts": document.counts.as_json(),
        },
    }


def _checkpoint(content: dict[str, Any]) -> Checkpoint:
    stored = content["document"]
    document = None
    if stored is not None:
        counts, fingerprint = Counts.from_json(stored["counts"]), Fingerprint(*stored["fingerprint"])
        document = OpenDocument(**{**stored, "counts": counts, "fingerprint": fingerprint})
    return Checkpoint(content["generation"], content["ordinal"], content["writer"], document, content["control"])
