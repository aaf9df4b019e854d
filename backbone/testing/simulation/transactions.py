"""The transaction coordinator: which producer has a transactional id, and in which state its transaction is. Pure.

The rules are those of Apache Kafka 4's ``TransactionCoordinator`` for clients of its first protocol, which aiokafka
is: an id's epoch grows with every InitProducerId, not with every transaction. So a request that comes late can hit
the next transaction of the same epoch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from backbone.testing.simulation.log import INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, NONE

UNKNOWN_TOPIC_OR_PARTITION: Final = 3
INVALID_PRODUCER_ID_MAPPING: Final = 49
INVALID_TRANSACTION_TIMEOUT: Final = 50
CONCURRENT_TRANSACTIONS: Final = 51
OPERATION_NOT_ATTEMPTED: Final = 55
MAX_TIMEOUT_MS: Final = 900_000
CLEAN_UP_SECS: Final = 10.0
"""How often transactions are looked at that are open for too long."""

State = Literal["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"]
Place = tuple[str, int]
"""A topic and a partition of it."""


@dataclass(slots=True)
class Transaction:
    """What the coordinator knows of a transactional id."""

    id: str
    producer: int
    epoch: int
    timeout_secs: float
    state: State = "Empty"
    places: set[Place] = field(default_factory=set)
    began_at: float = 0.0
    unmarked: set[Place] = field(default_factory=set)
    """Partitions that have no marker yet: the transaction is decided, and the log does not know it."""


class Coordinator:
    """Every transactional id of a cluster.

    ``mark`` is called for a transaction that was decided, with whether it commits; it has the markers written, one
    partition after another and each in its time, and says so with ``marked``.
    """

    def __init__(self, mark: Callable[[Transaction, bool], None], exists: Callable[[Place], bool]) -> None:
        """Start without any id."""
        self.transactions: dict[str, Transaction] = {}
        self.fenced = 0
        self.timed_out = 0
        self._mark = mark
        self._exists = exists

    def init(self, transactional_id: str, timeout_ms: int) -> tuple[int, int, int]:
        """Carry InitProducerId out; return an error code, the producer's id and its epoch."""
        if not 0 < timeout_ms <= MAX_TIMEOUT_MS:
            return INVALID_TRANSACTION_TIMEOUT, -1, -1
        known = self.transactions.get(transactional_id)
        if known is None:
            made = Transaction(transactional_id, 1_000 + len(self.transactions), 0, timeout_ms / 1_000)
            self.transactions[transactional_id] = made
            return NONE, made.producer, 0
        if known.state in {"PrepareCommit", "PrepareAbort"}:
            return CONCURRENT_TRANSACTIONS, -1, -1
        known.epoch += 1
        if known.state == "Ongoing":
            self.fenced += 1
            self._decide(known, commit=False)
            return CONCURRENT_TRANSACTIONS, -1, -1
        known.state, known.timeout_secs = "Empty", timeout_ms / 1_000
        return NONE, known.producer, known.epoch

    def add_partitions(
        self, transactional_id: str, producer: int, epoch: int, places: Iterable[Place], now: float
    ) -> dict[Place, int]:
        """Carry AddPartitionsToTxn out; return an error code for each partition."""
        wanted = sorted(places)
        unknown = [place for place in wanted if not self._exists(place)]
        if unknown:
            return {p: UNKNOWN_TOPIC_OR_PARTITION if p in unknown else OPERATION_NOT_ATTEMPTED for p in wanted}
        code = self._refused(transactional_id, producer, epoch)
        if code != NONE:
            return dict.fromkeys(wanted, code)
        transaction = self.transactions[transactional_id]
        if transaction.state in {"PrepareCommit", "PrepareAbort"}:
            return dict.fromkeys(wanted, CONCURRENT_TRANSACTIONS)
        if transaction.state != "Ongoing":
            transaction.state, transaction.began_at, transaction.places = "Ongoing", now, set()
        transaction.places.update(wanted)
        return dict.fromkeys(wanted, NONE)

    def verify(self, transactional_id: str, producer: int, epoch: int, place: Place) -> int:
        """Say whether a partition belongs to the producer's transaction, as its leader asks before a first batch."""
        code = self._refused(transactional_id, producer, epoch)
        if code != NONE:
            return code
        transaction = self.transactions[transactional_id]
        if transaction.state in {"PrepareCommit", "PrepareAbort"}:
            return CONCURRENT_TRANSACTIONS
        return NONE if transaction.state == "Ongoing" and place in transaction.places else INVALID_TXN_STATE

    def end(self, transactional_id: str, producer: int, epoch: int, *, commit: bool) -> int:
        """Carry EndTxn out; return an error code."""
        code = self._refused(transactional_id, producer, epoch)
        if code != NONE:
            return code
        transaction = self.transactions[transactional_id]
        match transaction.state:
            case "Ongoing":
                self._decide(transaction, commit=commit)
                return NONE
            case "CompleteCommit" | "CompleteAbort":
                return NONE if commit == (transaction.state == "CompleteCommit") else INVALID_TXN_STATE
            case "PrepareCommit" | "PrepareAbort":
                return (
                    CONCURRENT_TRANSACTIONS if commit == (transaction.state == "PrepareCommit") else INVALID_TXN_STATE
                )
            case _:
                return INVALID_TXN_STATE

    def marked(self, transaction: Transaction, place: Place) -> None:
        """Note that a partition has its marker; with the last one the transaction is complete."""
        transaction.unmarked.discard(place)
        if not transaction.unmarked and transaction.state in {"PrepareCommit", "PrepareAbort"}:
            transaction.state = "CompleteCommit" if transaction.state == "PrepareCommit" else "CompleteAbort"
            transaction.places = set()

    def expire(self, now: float) -> None:
        """Abort what is open for too long; its producer is fenced."""
        for transaction in self.transactions.values():
            if transaction.state == "Ongoing" and now - transaction.began_at > transaction.timeout_secs:
                self.timed_out += 1
                transaction.epoch += 1
                self._decide(transaction, commit=False)

    def _refused(self, transactional_id: str, producer: int, epoch: int) -> int:
        transaction = self.transactions.get(transactional_id)
        if transaction is None or transaction.producer != producer:
            return INVALID_PRODUCER_ID_MAPPING
        return NONE if transaction.epoch == epoch else INVALID_PRODUCER_EPOCH

    def _decide(self, transaction: Transaction, *, commit: bool) -> None:
        transaction.state = "PrepareCommit" if commit else "PrepareAbort"
        transaction.unmarked = set(transaction.places)
        self._mark(transaction, commit)
