"""The verdict: what the sources held against what a reader sees. It shares no code with the product, nor its client.

It reads with librdkafka (confluent-kafka), takes only committed records, and knows the envelope and the state from
their documentation alone.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

KINDS: Final = (
    "missing", "duplicate", "unexpected", "torn", "out of order", "receipts", "rejects", "checkpoints",
    "aborted data read", "open transaction", "workers", "stalled",
)  # fmt: skip
READ_DEADLINE_SECS: Final = 120.0
EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a document and what must become of it; ``types`` are its events' types."""

    number: int
    case: str
    at: str
    outcome: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a feed, or one partition that was read, its records in order; only documents have receipts."""

    feed: str
    name: str
    records: Sequence[Record]
    receipt: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as a reader sees it."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    case: str
    at: str


@dataclass(slots=True)
class Found:
    """What lies on an organisation's topics."""

    events: list[Seen] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Verdict:
    """How often each thing went wrong, with a few examples of it."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    events: int = 0
    records: int = 0
    documents: int = 0

    def add(self, kind: str, what: str) -> None:
        """Note a problem."""
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES:
            self.examples.append(f"{kind}: {what}")

    def join(self, other: "Verdict") -> None:
        """Add another organisation's verdict."""
        self.counts += other.counts
        self.examples += other.examples
        self.events += other.events
        self.records += other.records
        self.documents += other.documents

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        head = f"{self.events:,} events of {self.records:,} records in {self.documents:,} documents"
        return [head, *(f"  {kind:18}{self.counts[kind]:>6}" for kind in KINDS), *self.examples]


def judge(documents: Iterable[Document], found: Found, witnessed: Iterable[str] = ()) -> Verdict:
    """Compare; ``witnessed`` are lines ``topic partition offset id`` of somebody who read along."""
    verdict = Verdict(events=len(found.events))
    wanted = list(documents)
    verdict.documents = len(wanted)
    verdict.records = sum(len(document.records) for document in wanted)
    _judge_events(verdict, wanted, found.events)
    _judge_receipts(verdict, wanted, found.receipts)
    _judge_rejects(verdict, wanted, found.rejects)
    _judge_checkpoints(verdict, found.checkpoints)
    final = {f"{event.topic} {event.partition} {event.offset} {event.id}" for event in found.events}
    for line in witnessed:
        if line not in final:
            verdict.add("aborted data read", f"{line} was read while it ran and is not there now")
    for place in found.held_back:
        verdict.add("open transaction", place)
    return verdict


def _judge_events(verdict: Verdict, documents: Sequence[Document], events: Sequence[Seen]) -> None:
    seen = Counter((event.case, event.at, event.type) for event in events)
    wanted: set[tuple[str, str, str]] = set()
    for document in documents:
        for record in document.records:
            if record.outcome != "published":
                continue
            pairs = [(record.case, record.at, type_) for type_ in record.types]
            wanted.update(pairs)
            there = sum(pair in seen for pair in pairs)
            if there == 0:
                verdict.add("missing", f"{document.feed}/{document.name} case {record.case} at {record.at}")
            elif there < len(pairs):
                verdict.add("torn", f"{document.feed}/{document.name} case {record.case} at {record.at}")
    for pair, times in seen.items():
        if times > 1:
            verdict.add("duplicate", f"{pair} {times} times")
        if pair not in wanted:
            verdict.add("unexpected", f"{pair}")
    for identity, times in Counter(event.id for event in events).items():
        if times > 1:
            verdict.add("duplicate", f"id {identity} {times} times")
    latest: dict[tuple[str, str], str] = {}
    for event in sorted(events, key=lambda event: (event.topic, event.partition, event.offset)):
        place = (event.topic, event.case)
        if event.at < latest.get(place, ""):
            verdict.add("out of order", f"{event.topic}/{event.partition} at {event.offset}, case {event.case}")
        latest[place] = event.at


def _judge_receipts(verdict: Verdict, documents: Sequence[Document], receipts: Sequence[Mapping[str, Any]]) -> None:
    wanted = {(document.feed, document.name): document for document in documents if document.receipt}
    ordinals: dict[str, int] = {}
    for receipt in receipts:
        place = (receipt["feed"], receipt["document"])
        document = wanted.pop(place, None)
        if document is None:
            verdict.add("receipts", f"{place} has a second receipt, or none was due ({receipt['outcome']})")
            continue
        counts = Counter(record.outcome for record in document.records)
        due = [len(document.records), *(counts[name] for name in ("published", "duplicate", "skipped", "rejected"))]
        got = [receipt[name] for name in ("records", "published", "duplicate", "skipped", "rejected")]
        if receipt["outcome"] != "complete" or got != due:
            verdict.add("receipts", f"{place} says {receipt['outcome']} {got}, due were {due}")
        if receipt["ordinal"] != ordinals.get(receipt["feed"], 0):
            verdict.add("receipts", f"{place} has ordinal {receipt['ordinal']}")
        ordinals[receipt["feed"]] = receipt["ordinal"] + 1
    for place in wanted:
        verdict.add("receipts", f"{place} has no receipt")


def _judge_rejects(verdict: Verdict, documents: Sequence[Document], rejects: Sequence[Mapping[str, Any]]) -> None:
    due = Counter(
        (document.feed, document.name, record.number)
        for document in documents
        for record in document.records
        if record.outcome == "rejected"
    )
    got = Counter((reject["feed"], reject["document"], reject["record_number"]) for reject in rejects)
    for place in (due - got).keys() | (got - due).keys():
        verdict.add("rejects", f"{place}: {got[place]} found, {due[place]} due")


def _judge_checkpoints(verdict: Verdict, checkpoints: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Look at each shard's checkpoints in the order of the log: none may go back, nor stand for two transactions."""
    last: dict[str, tuple[int, int, int]] = {}
    for key, content in checkpoints:
        document = content["document"]
        now = (content["generation"], content["ordinal"], -1 if document is None else document["delivered"])
        before = last.get(key)
        if before is not None and (now[0] <= before[0] or now[1:] < before[1:]):
            verdict.add("checkpoints", f"{key} went from {before} to {now}")
        last[key] = now


def read(bootstrap_servers: str, organisation: str) -> Found:
    """Read everything of an organisation that is committed."""
    found = Found()
    for message in committed(bootstrap_servers, organisation, found.held_back):
        topic, value = message.topic(), message.value()
        assert topic is not None
        if topic.endswith(".v1"):
            found.events.append(seen(message))
        elif value is not None and topic.endswith(".receipts"):
            found.receipts.append(json.loads(value))
        elif value is not None and topic.endswith(".rejects"):
            found.rejects.append(json.loads(value))
        elif ".dead." in topic:
            found.rejects.append(_dead_letter(message))
        elif value is not None and (key := (message.key() or b"").decode()).startswith(("cp/", "at/")):
            content = json.loads(value)
            position = {"ordinal": content.get("offset"), "document": None}
            found.checkpoints.append((key, content if key.startswith("cp/") else {**content, **position}))
    return found


def _dead_letter(message: Message) -> dict[str, Any]:
    """Return a dead letter as a reject: its id is topic, partition and offset of what it was."""
    place, _, offset = headers_of(message)["dead_id"].rpartition("/")
    return {"feed": str(message.topic()).rpartition(".")[2], "document": place, "record_number": int(offset)}


def seen(message: Message) -> Seen:
    """Return what an event's envelope says."""
    named = headers_of(message)
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return Seen(topic, partition, offset, named["ce_id"], named["ce_type"], named["ce_subject"], named["ce_time"])


def headers_of(message: Message) -> dict[str, str]:
    """Return a message's headers as text."""
    return {name: value.decode() for name, value in dict(message.headers() or {}).items() if isinstance(value, bytes)}


def consumer(bootstrap_servers: str) -> Consumer:
    """Return a consumer of committed records that never moves an offset by itself."""
    return Consumer({
        "bootstrap.servers": bootstrap_servers, "group.id": "chaos-checker", "isolation.level": "read_committed",
        "enable.auto.commit": False, "auto.offset.reset": "error", "enable.partition.eof": True,
        "reconnect.backoff.max.ms": 1_000, "log_level": 0,
    })  # fmt: skip


def places_of(client: Consumer, organisation: str) -> list[TopicPartition]:
    """Return every partition of the organisation's topics that count here, from its beginning."""
    wanted = re.compile(rf"{organisation}\..*(\.v1|\.receipts|\.rejects|\.state)|{organisation}\.(dead|positions)\..*")
    topics = client.list_topics(timeout=30).topics
    return [
        TopicPartition(name, partition, 0)
        for name, topic in topics.items()
        if wanted.fullmatch(name)
        for partition in topic.partitions
    ]


def committed(bootstrap_servers: str, organisation: str, held_back: list[str]) -> Iterator[Message]:
    """Yield every committed record up to the high watermarks; ``held_back`` gets what an open transaction hides."""
    client = consumer(bootstrap_servers)
    try:
        open_places = {(place.topic, place.partition): place for place in places_of(client, organisation)}
        client.assign(list(open_places.values()))
        deadline = time.monotonic() + READ_DEADLINE_SECS
        while open_places:
            for message in client.consume(5_000, timeout=1.0):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    end = client.get_watermark_offsets(TopicPartition(message.topic(), message.partition()))[1]  # type: ignore[arg-type]
                    if (message.offset() or 0) >= end:
                        open_places.pop((str(message.topic()), int(message.partition() or 0)), None)
                elif not error.retriable():
                    raise KafkaException(error)
            if time.monotonic() > deadline:
                held_back += [f"{topic}/{partition}" for topic, partition in open_places]
                return
    finally:
        client.close()


def lines_of(path: Path) -> Iterator[str]:
    """Yield a witness's whole lines."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield line.rstrip("\n")
