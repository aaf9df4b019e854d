"""What a shard has done since its worker started, for metrics: plain numbers, added up once a transaction. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from backbone.receipts import Counts, Receipt

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RECORDS: Final = (1, 10, 100, 500, 1_000, 2_000, 3_000, 5_000, 10_000)
DOCUMENT_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)


@dataclass(slots=True)
class Histogram:
    """How often a value was at most each of some bounds."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing; the last count is of what is above every bound."""
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: "Histogram") -> None:
        """Add what another one of the same bounds has seen."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def buckets(self) -> list[tuple[str, float]]:
        """Return bounds and cumulative counts as Prometheus wants them."""
        found: list[tuple[str, float]] = []
        sum_ = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            sum_ += count
            found.append(("+Inf" if bound == float("inf") else str(float(bound)), sum_))
        return found


@dataclass(slots=True)
class Tally:
    """Counts of one shard. Records and events count when their transaction is committed, and not before."""

    records: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("published", "duplicate", "skipped", "rejected"), 0)
    )
    events: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    fenced: int = 0
    transaction_secs: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    transaction_records: Histogram = field(default_factory=lambda: Histogram(RECORDS))
    document_secs: Histogram = field(default_factory=lambda: Histogram(DOCUMENT_SECONDS))

    def committed(self, before: Counts, after: Counts, records: int) -> None:
        """Add what one transaction of so many records brought: the difference of a document's running counts."""
        sums = self.records
        sums["published"] += after.published - before.published
        sums["duplicate"] += after.duplicate - before.duplicate
        sums["skipped"] += after.skipped - before.skipped
        sums["rejected"] += after.rejected - before.rejected
        self.events += after.events - before.events
        if records:
            self.transaction_records.observe(records)

    def ended(self, receipt: Receipt) -> None:
        """Count a document, or the rejects of one that were re-driven."""
        self.documents[receipt.outcome] = self.documents.get(receipt.outcome, 0) + 1

    def stalled(self, code: str) -> None:
        """Count a stall that begins."""
        self.stalls[code] = self.stalls.get(code, 0) + 1
