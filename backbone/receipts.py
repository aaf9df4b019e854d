"""Receipts: what happened to every record of a document. Pure.

A receipt is an event on ``<organisation>.backbone.receipts``, written in the transaction that ends its document. For
a complete document ``records = published + duplicate + skipped + rejected``. It holds no value of any record.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from backbone.feed import FeedSetup
from backbone.packed import Headers, Message

RECEIPT_TYPE: Final = "org.councilbackbone.backbone.document-processed.v1"
DocumentOutcome = Literal["complete", "held", "duplicate", "aborted", "redriven"]


@dataclass(slots=True)
class Counts:
    """Running counts of one document; every record adds one to exactly one of the four outcomes."""

    records: int = 0
    published: int = 0
    duplicate: int = 0
    skipped: int = 0
    rejected: int = 0
    events: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def balanced(self) -> bool:
        """Say whether every record has exactly one outcome."""
        return self.records == self.published + self.duplicate + self.skipped + self.rejected

    def because(self, reason: str) -> None:
        """Count one record under the reason why it was skipped or rejected."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """Return the counts as the checkpoint stores them."""
        return {
            "records": self.records,
            "published": self.published,
            "duplicate": self.duplicate,
            "skipped": self.skipped,
            "rejected": self.rejected,
            "events": self.events,
            "reasons": self.reasons,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Counts":
        """Return what ``as_json`` gave."""
        return cls(**{**stored, "reasons": dict(stored.get("reasons", {}))})


class Receipt(BaseModel):
    """What happened to one document, or to the rejects of one re-drive (``outcome`` is then ``redriven``)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    id: str
    organisation: str
    feed: str
    shard: str
    adapter: str
    adapter_version: str
    document: str
    sha256: str
    size_bytes: int
    layout: str = ""
    encoding: str = ""
    outcome: DocumentOutcome
    code: str = ""
    message: str = ""
    records: int = 0
    published: int = 0
    duplicate: int = 0
    skipped: int = 0
    rejected: int = 0
    events: int = 0
    reasons: dict[str, int] = {}
    declared: dict[str, str] = {}
    declared_records: int | None = None
    late: bool = False
    """A document that comes after this one in the source's order had ended before it."""
    ordinal: int
    began_at: str
    finished_at: str
    traceparent: str
    original: str = ""
    """Of a duplicate or a re-drive: the receipt that this one refers to."""


def receipt_id(organisation: str, feed: str, shard: str, ordinal: int) -> str:
    """Return a receipt's id: one for each document that a shard ended, in the order of their ordinals."""
    digest = hashlib.sha256(f"receipt|{organisation}|{feed}|{shard}|{ordinal}".encode())
    return digest.hexdigest()[:32]


def receipt_of(feed: FeedSetup, ordinal: int, counts: Counts, **more: Any) -> Receipt:
    """Return a receipt of a feed's shard with its counts; ``more`` says of which document and how it ended."""
    organisation = feed.origin.organisation
    return Receipt(
        id=receipt_id(organisation, feed.name, feed.shard, ordinal),
        organisation=organisation,
        feed=feed.name,
        shard=feed.shard,
        adapter=feed.adapter.name,
        adapter_version=feed.adapter.version,
        ordinal=ordinal,
        **{**counts.as_json(), **more},
    )


def message_of(receipt: Receipt, *, source: str) -> Message:
    """Return the Kafka record of a receipt; its key is the feed and shard, so that a feed's receipts keep order."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_id", receipt.id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", RECEIPT_TYPE.encode()),
        ("ce_subject", receipt.sha256.encode()),
        ("ce_time", receipt.finished_at.encode()),
        ("ce_dataschema", b"urn:backbone:schema:backbone:DocumentProcessed:v1"),
        ("ce_sequence", b"%08d" % receipt.ordinal),
        ("ce_dataclassification", b"official"),
        ("ce_datacategory", b"none"),
        ("ce_traceparent", receipt.traceparent.encode()),
    ]
    return f"{receipt.feed}/{receipt.shard}".encode(), receipt.model_dump_json().encode(), headers
