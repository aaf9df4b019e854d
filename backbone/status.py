"""How a feed is, worked out from what happened and never from "the process runs". Pure.

OK, LATE (nothing since it was due), STUCK (retrying), HELD (a guard stopped a document), FAILING (too many rejects,
or the feed ended), PAUSED. Each with since when, the cause's code and what to do.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from backbone.receipts import Receipt

FeedState = Literal["OK", "LATE", "STUCK", "HELD", "FAILING", "PAUSED"]
WORST_FIRST: Final[tuple[FeedState, ...]] = ("FAILING", "STUCK", "HELD", "LATE", "PAUSED", "OK")
FAILING_SHARE: Final = 0.2
FAILING_LEAST_RECORDS: Final = 20
HEARTBEAT_SECS: Final = 2.0
SILENT_AFTER_SECS: Final = 10.0


@dataclass(slots=True)
class ShardStatus:
    """What a shard's owner knows of it; it is sent with every heartbeat. Times are milliseconds since 1970."""

    feed: str
    shard: str
    worker: str
    expected_every_secs: int | None = None
    paused: bool = False
    leased: bool = False
    stalled_code: str = ""
    stalled_message: str = ""
    guidance: str = ""
    ended: bool = False
    since_ms: int = 0
    document: str = ""
    delivered: int = 0
    documents: int = 0
    late_documents: int = 0
    waiting: int = 0
    caught_up: bool = False
    last_success_ms: int = 0
    held: dict[str, str] = field(default_factory=dict)
    open_rejects: int = 0
    last_share_rejected: float = 0.0
    control: int = 0
    beat_ms: int = 0

    def judged(self, now_ms: int) -> tuple[FeedState, str]:
        """Return the state and the code of its cause."""
        if self.paused:
            return "PAUSED", "feed.paused"
        if self.ended:
            return "FAILING", self.stalled_code
        if self.stalled_code:
            return "STUCK", self.stalled_code
        if now_ms - self.beat_ms > SILENT_AFTER_SECS * 1_000:
            return "STUCK", "feed.nobody-runs-it"
        if self.held:
            return "HELD", next(iter(self.held.values()))
        if self.last_share_rejected >= FAILING_SHARE:
            return "FAILING", "feed.many-rejects"
        due_ms = (self.expected_every_secs or 0) * 1_000
        if due_ms and now_ms - (self.last_success_ms or self.since_ms) > due_ms:
            return "LATE", "feed.late"
        return "OK", ""

    def stalled(self, code: str, message: str, guidance: str, now_ms: int, *, ended: bool = False) -> None:
        """Note that the shard cannot go on, keeping since when if it is the same cause."""
        if code != self.stalled_code:
            self.since_ms = now_ms
        self.stalled_code, self.stalled_message, self.guidance, self.ended = code, message, guidance, ended

    def running(self, now_ms: int) -> None:
        """Note that nothing stands in the way."""
        if self.stalled_code or not self.since_ms:
            self.since_ms = now_ms
        self.stalled_code = self.stalled_message = self.guidance = ""

    def received(self, receipt: Receipt, now_ms: int) -> None:
        """Note a document that ended."""
        self.documents += 1
        self.late_documents += receipt.late
        self.document, self.delivered = "", 0
        if receipt.outcome == "held":
            self.held[receipt.sha256] = receipt.code
        elif receipt.outcome in {"complete", "duplicate"}:
            self.last_success_ms = now_ms
            self.held.pop(receipt.sha256, None)
        if receipt.outcome == "complete":
            enough = receipt.records >= FAILING_LEAST_RECORDS
            self.last_share_rejected = receipt.rejected / receipt.records if enough else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return what a heartbeat carries."""
        return asdict(self)
