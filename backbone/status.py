"""How a feed is, worked out from what happened and never from "the process runs". Pure.

OK, LATE (nothing since it was due), STUCK (retrying), HELD (a guard stopped a document), FAILING (too many rejects,
or the feed ended), PAUSED. Each with since when, the cause's code, what it waits for and what to do. Heartbeats carry
the facts; ``verdict`` alone judges them, for `backbone status`, `/readyz`, metrics and the log alike.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal

from backbone.moments import rfc3339
from backbone.receipts import Receipt
from backbone.state import ShardState
from backbone.waiting import Reason

FeedState = Literal["OK", "LATE", "STUCK", "HELD", "FAILING", "PAUSED"]
WORST_FIRST: Final[tuple[FeedState, ...]] = ("FAILING", "STUCK", "HELD", "LATE", "PAUSED", "OK")
WELL: Final[frozenset[FeedState]] = frozenset({"OK", "PAUSED"})
"""States that need nobody."""
ALARMS: Final = ("state.offset-stuck", "topic.offset-stuck", "feed.ids-in-use")
"""Codes that somebody has to be woken for: nothing mends them by itself, and others are affected."""
FAILING_SHARE: Final = 0.2
FAILING_LEAST_RECORDS: Final = 20
HEARTBEAT_SECS: Final = 2.0
SILENT_AFTER_SECS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a shard is. ``since_ms`` is 0 where it is not known."""

    state: FeedState
    code: str = ""
    since_ms: int = 0
    waits_for: str = ""
    to_do: str = ""

    @property
    def is_well(self) -> bool:
        """Say whether it needs nobody."""
        return self.state in WELL

    def as_json(self) -> dict[str, Any]:
        """Return it as `/readyz` and `backbone status --json` show it."""
        since = datetime.fromtimestamp(self.since_ms / 1_000, UTC)
        return {
            "state": self.state,
            "code": self.code or None,
            "since": rfc3339(since) if self.since_ms else None,
            "waits_for": self.waits_for or None,
            "to_do": self.to_do or None,
        }


@dataclass(slots=True)
class ShardStatus:
    """What a shard's owner knows of it; it is sent with every heartbeat. Times are milliseconds since 1970.

    ``stalled_…`` is the last error for as long as nothing has gone well since; ``blocked_…`` is what is waited for
    too long right now; ``rival`` is a worker of another deployment that runs the same shard.
    """

    feed: str
    shard: str
    worker: str
    expected_every_secs: int | None = None
    paused: bool = False
    deployment: str = "default"
    opened: bool = False
    since_ms: int = 0
    stalled_code: str = ""
    stalled_message: str = ""
    guidance: str = ""
    stalled_since_ms: int = 0
    ended: bool = False
    blocked_code: str = ""
    blocked_by: str = ""
    blocked_guidance: str = ""
    blocked_since_ms: int = 0
    rival: str = ""
    rival_since_ms: int = 0
    document: str = ""
    document_at_ms: int = 0
    documents: int = 0
    late_documents: int = 0
    waiting: int = 0
    caught_up: bool = False
    last_success_ms: int = 0
    held: dict[str, str] = field(default_factory=dict)
    held_since_ms: int = 0
    open_rejects: int = 0
    oldest_reject_ms: int = 0
    last_share_rejected: float = 0.0
    failing_since_ms: int = 0
    control: int = 0
    beat_ms: int = 0

    def verdict(self, now_ms: int) -> Verdict:
        """Judge the shard by what is known of it."""
        if self.paused:
            return Verdict("PAUSED", "feed.paused", self.since_ms, "somebody to resume it",
                           "set `paused: false` in the deployment file and restart the worker")  # fmt: skip
        if self.ended:
            return Verdict("FAILING", self.stalled_code, self.stalled_since_ms, self.stalled_message, self.guidance)
        if now_ms - self.beat_ms > SILENT_AFTER_SECS * 1_000:
            return Verdict("STUCK", "feed.nobody-runs-it", self.beat_ms, "a worker that runs it",
                           "start a worker with this deployment file; look at `lease.lost` in its log")  # fmt: skip
        if self.rival:
            return Verdict("STUCK", "feed.ids-in-use", self.rival_since_ms,
                           f"{self.rival}, of another deployment with the same names, to stop",
                           "stop one of the two, or give it another organisation or other feed names")  # fmt: skip
        if self.blocked_code:
            return Verdict(
                "STUCK", self.blocked_code, self.blocked_since_ms, self.blocked_by, self.blocked_guidance
            )  # fmt: skip
        if self.stalled_code:
            return Verdict("STUCK", self.stalled_code, self.stalled_since_ms, self.stalled_message, self.guidance)
        if not self.opened:
            return Verdict("STUCK", "feed.starting", self.since_ms, "its lease and its state",
                           "nothing: it takes seconds")  # fmt: skip
        return self._of_documents(now_ms)

    def _of_documents(self, now_ms: int) -> Verdict:
        """Judge a shard that runs by what its documents were like."""
        if self.held:
            documents = "a document" if len(self.held) == 1 else f"{len(self.held):,} documents"
            return Verdict("HELD", next(iter(self.held.values())), self.held_since_ms,
                           f"somebody to settle {documents}",
                           "`backbone documents list`, then release or discard")  # fmt: skip
        if self.last_share_rejected >= FAILING_SHARE:
            return Verdict("FAILING", "feed.many-rejects", self.failing_since_ms,
                           f"{self.last_share_rejected:.0%} of the last document's records to be mended",
                           f"`backbone rejects list --feed {self.feed}`; mend the cause, then re-drive")  # fmt: skip
        due_ms = (self.last_success_ms or self.since_ms) + (self.expected_every_secs or 0) * 1_000
        if self.expected_every_secs and now_ms > due_ms:
            return Verdict("LATE", "feed.late", due_ms, "a document: it is due",
                           "ask the supplier; look at the drop folder")  # fmt: skip
        return Verdict("OK", "", self.since_ms)

    def judged(self, now_ms: int) -> tuple[FeedState, str]:
        """Return the state and the code of its cause."""
        verdict = self.verdict(now_ms)
        return verdict.state, verdict.code

    def stalled(self, code: str, message: str, guidance: str, now_ms: int, *, ended: bool = False) -> bool:
        """Note that the shard cannot go on, keeping since when if it is the same cause; say whether it is a new one."""
        is_new = code != self.stalled_code or ended != self.ended
        if is_new:
            self.stalled_since_ms = now_ms
        self.stalled_code, self.stalled_message, self.guidance, self.ended = code, message, guidance, ended
        return is_new

    def knows(self, state: ShardState) -> None:
        """Take over what the state tells of documents that ended before we were here."""
        held = state.ledger.held()
        self.held = {entry.sha256: entry.code for entry in held}
        self.held_since_ms = min((entry.at_ms for entry in held), default=0)
        self.last_success_ms = max(self.last_success_ms, state.ledger.last_success_ms())

    def running(self, now_ms: int) -> None:
        """Note that the state is loaded. It does not end a stall: only what goes well afterwards does."""
        if not self.opened:
            self.opened, self.since_ms = True, now_ms

    def progressed(self, now_ms: int) -> None:
        """Note that something went well: a transaction was committed, or nothing is left to do."""
        if self.stalled_code and not self.ended:
            self.since_ms = now_ms
            self.stalled_code = self.stalled_message = self.guidance = ""

    def released(self) -> None:
        """Note that the shard is not ours any more, and what stalled it with that."""
        if not self.ended:
            self.opened = False
            self.stalled_code = self.stalled_message = self.guidance = ""

    def blocked(self, overdue: tuple[Reason, float] | None, now_ms: int) -> None:
        """Note what has been waited for too long, or that nothing is."""
        if overdue is None:
            self.blocked_code = self.blocked_by = self.blocked_guidance = ""
            self.blocked_since_ms = 0
            return
        reason, secs = overdue
        since_ms = now_ms - int(secs * 1_000)
        if reason.code != self.blocked_code:
            self.blocked_since_ms = since_ms
        self.blocked_code, self.blocked_by, self.blocked_guidance = reason.code, reason.waits_for, reason.to_do

    def rivalled(self, rival: str, now_ms: int) -> None:
        """Note a worker of another deployment that runs the same shard, or that there is none."""
        if not rival:
            self.rival_since_ms = 0
        elif not self.rival:
            self.rival_since_ms = now_ms
        self.rival = rival

    def received(self, receipt: Receipt, now_ms: int) -> None:
        """Note a document that ended."""
        self.documents += 1
        self.late_documents += receipt.late
        self.document, self.document_at_ms = "", 0
        if receipt.outcome == "held":
            self.held_since_ms = self.held_since_ms if self.held else now_ms
            self.held[receipt.sha256] = receipt.code
        elif receipt.outcome in {"complete", "duplicate"}:
            self.last_success_ms = now_ms
            self.held.pop(receipt.sha256, None)
        if receipt.outcome == "complete":
            enough = receipt.records >= FAILING_LEAST_RECORDS
            self.last_share_rejected = receipt.rejected / receipt.records if enough else 0.0
            failing = self.last_share_rejected >= FAILING_SHARE
            self.failing_since_ms = (self.failing_since_ms or now_ms) if failing else 0

    def as_json(self) -> dict[str, Any]:
        """Return what a heartbeat carries."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ShardStatus":
        """Return what ``as_json`` gave; what another version of the program added is passed over."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in known})


def worst(verdicts: Mapping[str, Verdict]) -> Verdict:
    """Return the verdict on a whole feed: that on its worst shard."""
    return min(verdicts.values(), key=lambda verdict: (WORST_FIRST.index(verdict.state), verdict.since_ms))
