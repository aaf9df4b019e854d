"""Rejects: records that were set aside, each with its reason and the record itself. Pure.

A reject is an event on ``<organisation>.backbone.rejects``, written in the transaction that moves the checkpoint
past the record. It holds the raw record, so its topic is protected and kept like the data itself; the raw record
never goes anywhere else.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict

from backbone.event import record_key
from backbone.packed import Headers, Message

REJECT_TYPE: Final = "org.councilbackbone.backbone.record-rejected.v1"
REPAIR_TYPE: Final = "org.councilbackbone.backbone.record-repaired.v1"
RAW_MAX_BYTES: Final = 262_144
BEHIND_REJECT: Final = "record.behind-reject"


class Reject(BaseModel):
    """One record that was set aside. ``id`` is equal whenever the same record is rejected again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    id: str
    organisation: str
    feed: str
    shard: str
    adapter: str
    adapter_version: str
    code: str
    message: str
    field: str = ""
    legacy_code: str = ""
    document: str
    document_sha256: str
    layout: str
    record_number: int
    offset: int | None = None
    sequence: str
    case_hash: str = ""
    identity: str = ""
    """The record's identity as the adapter gave it; a repaired record keeps it, and so its events their ids."""
    rejected_at: str
    raw: dict[str, Any]
    raw_cut: bool = False


def reject_id(digest: "hashlib._Hash", identity: bytes) -> str:
    """Return 128 bits in hexadecimal of the record's identity; ``digest`` is ``record_digest``'s, not yet fed."""
    return f"{record_key(digest, identity):032x}"


def ordinal_of(reject: Reject) -> int:
    """Return the number, within its shard, of the document that a reject stood in."""
    return int(reject.sequence.partition("-")[0])


def short_id(reject: str) -> int:
    """Return the first 64 bits of a reject's id: thousands may be open, and are kept by it."""
    return int(reject[:16], 16)


def raw_identity(raw: Mapping[str, Any]) -> bytes:
    """Stand in for the identity of a record that has none: its own bytes."""
    return b"raw:" + orjson.dumps(raw, option=orjson.OPT_SORT_KEYS, default=str)


def bounded_raw(raw: Mapping[str, Any]) -> tuple[dict[str, Any], int, bool]:
    """Return the raw record as JSON can hold it and its bytes; only size and digest where over ``RAW_MAX_BYTES``.

    Text that is no Unicode (a lone surrogate) is kept readable by its escape.
    """
    try:
        encoded = orjson.dumps(raw, default=str)
    except TypeError:
        encoded = orjson.dumps(_escaped(raw), default=str)
    if len(encoded) > RAW_MAX_BYTES:
        return {"sha256": hashlib.sha256(encoded).hexdigest(), "size_bytes": len(encoded)}, 0, True
    return orjson.loads(encoded), len(encoded), False


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(_escaped(key)): _escaped(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(content) for content in value]
    return value


def case_hash(digest: "hashlib._Hash", case: str) -> str:
    """Return 64 bits in hexadecimal by which records of one case find each other, without naming it."""
    copy = digest.copy()
    copy.update(b"case:" + case.encode())
    return copy.hexdigest()[:16]


def message_of(reject: Reject, *, source: str, traceparent: str, event_type: str = REJECT_TYPE) -> Message:
    """Return the Kafka record of a reject or of a repair; its key is the reject's id, its headers hold no value."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_id", f"{reject.id}-{reject.document_sha256[:8]}-{reject.record_number}".encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_subject", reject.id.encode()),
        ("ce_time", reject.rejected_at.encode()),
        ("ce_dataschema", b"urn:backbone:schema:backbone:RecordRejected:v1"),
        ("ce_sequence", reject.sequence.encode()),
        ("ce_dataclassification", b"official-sensitive"),
        ("ce_traceparent", traceparent.encode()),
    ]
    return reject.id.encode(), reject.model_dump_json(exclude_defaults=False).encode(), headers
