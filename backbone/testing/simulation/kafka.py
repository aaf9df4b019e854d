"""The brokers: topics, transactions and groups behind the requests of Kafka's protocol.

A request is a structure of its protocol, as aiokafka builds it; its answer goes to a function, at once or later. What
Kafka refuses is refused with Kafka's own error code.
"""

import hashlib
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from backbone.testing.simulation.groups import Groups, Joined
from backbone.testing.simulation.log import (
    INVALID_TXN_STATE,
    MESSAGE_TOO_LARGE,
    NONE,
    NOT_ENOUGH_REPLICAS,
    PartitionLog,
)
from backbone.testing.simulation.loop import START_SECS, VirtualLoop
from backbone.testing.simulation.transactions import (
    CLEAN_UP_SECS,
    CONCURRENT_TRANSACTIONS,
    UNKNOWN_TOPIC_OR_PARTITION,
    Coordinator,
    Place,
    Transaction,
)

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
METADATA: Final = 3
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS_TO_TXN: Final = 24
END_TXN: Final = 26
VERSIONS: Final[Mapping[int, tuple[int, int]]] = {
    PRODUCE: (7, 7), FETCH: (11, 11), LIST_OFFSETS: (3, 3), METADATA: (12, 12), OFFSET_COMMIT: (3, 3),
    OFFSET_FETCH: (3, 3), JOIN_GROUP: (5, 5), HEARTBEAT: (1, 1), LEAVE_GROUP: (1, 1), SYNC_GROUP: (3, 3),
    INIT_PRODUCER_ID: (0, 0), ADD_PARTITIONS_TO_TXN: (0, 0), END_TXN: (0, 0),
}  # fmt: skip
"""What is understood, as a broker says it when it is asked for its versions."""
NAMES: Final[Mapping[int, str]] = {
    PRODUCE: "produce", FETCH: "fetch", LIST_OFFSETS: "list-offsets", METADATA: "metadata",
    OFFSET_COMMIT: "offset-commit", OFFSET_FETCH: "offset-fetch",
    JOIN_GROUP: "join-group", HEARTBEAT: "heartbeat", LEAVE_GROUP: "leave-group",
    SYNC_GROUP: "sync-group", INIT_PRODUCER_ID: "init-producer-id", ADD_PARTITIONS_TO_TXN: "add-partitions",
    END_TXN: "end-txn",
}  # fmt: skip
OFFSET_OUT_OF_RANGE: Final = 1
NOT_LEADER: Final = 6
NOT_COORDINATOR: Final = 16
GROUP_KINDS: Final = frozenset({OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP})
LATEST: Final = -1
EARLIEST: Final = -2
MARKER_RETRY_SECS: Final = 0.1
SLOW_MARKERS: Final = 0.03
"""The share of markers that take their time; a real broker was seen to take up to 0.2 s."""

Reply = Callable[[Any], None]
Trace = Callable[[str], None]


class SimulatedKafka:
    """A cluster of ``nodes`` brokers. ``choose`` decides how long markers take."""

    def __init__(self, loop: VirtualLoop, choose: random.Random, topics: Mapping[str, int], nodes: int = 2) -> None:
        """Create the topics with their numbers of partitions."""
        self.topics = dict(topics)
        self.logs = {(t, p): PartitionLog(f"{t}/{p}") for t, count in topics.items() for p in range(count)}
        self.down: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.refusals: dict[str, int] = {}
        """How many batches for a topic are refused as too large."""
        self.trace: Trace | None = None
        self.changed: Callable[[Place], None] = _nothing
        self.coordinator = Coordinator(self._write_markers, self.logs.__contains__)
        self.groups = Groups(loop)
        self._loop = loop
        self._choose = choose
        self._nodes = nodes
        self._markers_due = 0
        self._polls: dict[Place, list[Callable[[], None]]] = {}
        self._clean_up_due = False

    # where things are

    def leader(self, topic: str, partition: int) -> int:
        """Return the node that leads a partition; it stays so while it is down."""
        return (zlib.crc32(topic.encode()) + partition) % self._nodes

    def coordinator_of(self, key: str) -> int:
        """Return the node that coordinates a group or a transactional id: another one while its own is down."""
        first = zlib.crc32(key.encode())
        for more in range(self._nodes):
            node = (first + more) % self._nodes
            if node not in self.down:
                return node
        return first % self._nodes

    @property
    def nodes(self) -> range:
        """Return all nodes, those that are down as well."""
        return range(self._nodes)

    @property
    def settled(self) -> bool:
        """Say whether no transaction is open or waits for markers."""
        states = {transaction.state for transaction in self.coordinator.transactions.values()}
        return not self._markers_due and states <= {"Empty", "CompleteCommit", "CompleteAbort"}

    # requests

    def handle(self, node: int, request: Any, reply: Reply) -> None:
        """Carry a request out."""
        kind = request.API_KEY
        self.counts[NAMES[kind]] += 1
        if kind in GROUP_KINDS:
            group = request.group if kind not in {OFFSET_COMMIT, OFFSET_FETCH} else request.consumer_group
            self._handle_group(kind, request, reply, refused=self.coordinator_of(group) != node)
            return
        match kind:
            case 0:
                self._produce(node, request, reply)
            case 1:
                self._fetch(node, request, reply)
            case 2:
                reply(request.RESPONSE_TYPE(0, self._offsets(node, request)))
            case 3:
                found = [self._described(name) for _, name, _ in request.topics]
                reply(request.RESPONSE_TYPE(0, [], "simulated", 0, found, {}))
            case _:
                refused = self.coordinator_of(request.transactional_id) != node
                self._handle_transaction(kind, request, reply, refused=refused)

    def _handle_transaction(self, kind: int, request: Any, reply: Reply, *, refused: bool) -> None:
        name, answer, coordinator = request.transactional_id, request.RESPONSE_TYPE, self.coordinator
        if kind == INIT_PRODUCER_ID:
            refusal = (NOT_COORDINATOR, -1, -1)
            code, producer, epoch = refusal if refused else coordinator.init(name, request.transaction_timeout_ms)
            self._note("init", name, code, f"epoch {epoch}")
            reply(answer(0, code, producer, epoch))
        elif kind == ADD_PARTITIONS_TO_TXN:
            producer, epoch = request.producer_id, request.producer_epoch
            places = [(topic, partition) for topic, partitions in request.topics for partition in partitions]
            if refused:
                codes = dict.fromkeys(places, NOT_COORDINATOR)
            else:
                codes = coordinator.add_partitions(name, producer, epoch, places, self._loop.now)
                self._clean_up_later()
            self._note("add", name, max(codes.values()), f"epoch {epoch} {sorted(places)}")
            reply(answer(0, _by_topic((place, (place[1], code)) for place, code in sorted(codes.items()))))
        else:
            producer, epoch, commit = request.producer_id, request.producer_epoch, bool(request.transaction_result)
            code = NOT_COORDINATOR if refused else coordinator.end(name, producer, epoch, commit=commit)
            self._note("end", name, code, f"epoch {epoch} {'commit' if commit else 'abort'}")
            reply(answer(0, code))

    def _handle_group(self, kind: int, request: Any, reply: Reply, *, refused: bool) -> None:
        answer, groups = request.RESPONSE_TYPE, self.groups
        match kind:
            case 11:

                def joined(told: Joined) -> None:
                    members = [(name, None, metadata) for name, metadata in told.members]
                    self._note("join", request.group, told.code, f"{told.member} generation {told.generation}")
                    reply(answer(0, told.code, told.generation, told.protocol, told.leader, told.member, members))

                if refused:
                    joined(Joined(NOT_COORDINATOR))
                    return
                times = (request.session_timeout / 1_000, request.rebalance_timeout / 1_000)
                groups.join(request.group, request.member_id, times, request.group_protocols[0], joined)
            case 14:

                def synced(code: int, assignment: bytes) -> None:
                    reply(answer(0, code, assignment))

                if refused:
                    synced(NOT_COORDINATOR, b"")
                    return
                wanted = list(request.group_assignment)
                groups.sync(request.group, request.generation_id, request.member_id, wanted, synced)
            case 12:
                code = groups.heartbeat(request.group, request.generation_id, request.member_id)
                reply(answer(0, NOT_COORDINATOR if refused else code))
            case 13:
                reply(answer(0, NOT_COORDINATOR if refused else groups.leave(request.group, request.member_id)))
            case 8:
                offsets = {(topic, p): offset for topic, parts in request.topics for p, offset, _ in parts}
                generation, member = request.consumer_group_generation_id, request.consumer_id
                code = NOT_COORDINATOR
                if not refused:
                    code = groups.commit(request.consumer_group, generation, member, offsets)
                self._note("confirm", member, code, f"generation {generation}")
                reply(answer(0, _by_topic((place, (place[1], code)) for place in sorted(offsets))))
            case _:
                code = NOT_COORDINATOR if refused else NONE
                asked = [(topic, partition) for topic, parts in request.topics for partition in parts]
                found = [(place, groups.committed(request.consumer_group, place)) for place in asked]
                reply(answer(0, _by_topic((place, (place[1], at, "", code)) for place, at in found), code))

    def _described(self, name: str) -> tuple[Any, ...]:
        """Return what is said of a topic: a code, its name and its id; of partitions the clients know by themselves."""
        code = NONE if name in self.topics else UNKNOWN_TOPIC_OR_PARTITION
        return code, name, hashlib.sha256(name.encode()).digest()[:16], False, [], 0, {}

    def _produce(self, node: int, request: Any, reply: Reply) -> None:
        answers = []
        for topic, partitions in request.topics:
            for partition, content in partitions:
                place = (topic, partition)
                code, base = self._append(node, place, request.transactional_id, bytes(content))
                self._note("produce", request.transactional_id, code, f"{topic}/{partition} at {base}")
                answers.append((place, (partition, code, base, -1, 0)))
        reply(request.RESPONSE_TYPE(_by_topic(answers), 0))

    def _append(self, node: int, place: Place, transactional_id: str, content: bytes) -> tuple[int, int]:
        log = self.logs.get(place)
        if log is None:
            return UNKNOWN_TOPIC_OR_PARTITION, -1
        if self.leader(*place) != node:
            return NOT_LEADER, -1
        producer, epoch = int.from_bytes(content[43:51], "big"), int.from_bytes(content[51:53], "big")
        if not log.has_open(producer, epoch):
            code = self.coordinator.verify(transactional_id, producer, epoch, place)
            if code != NONE:
                self.counts["unverified"] += code == INVALID_TXN_STATE
                return NOT_ENOUGH_REPLICAS if code == CONCURRENT_TRANSACTIONS else code, -1
        if self.refusals.get(place[0], 0) > 0:
            self.refusals[place[0]] -= 1
            self.counts["refused"] += 1
            return MESSAGE_TOO_LARGE, -1
        before = log.high_watermark
        code, base = log.append(content)
        if code == NONE and log.high_watermark == before:
            self.counts["duplicate batch"] += 1
        self.wake(place)
        return code, base

    def _offsets(self, node: int, request: Any) -> list[tuple[str, list[Any]]]:
        answers = []
        for topic, partitions in request.topics:
            for partition, time_ms in partitions:
                place = (topic, partition)
                log = self.logs.get(place)
                if log is None or self.leader(*place) != node:
                    answers.append(
                        (place, (partition, UNKNOWN_TOPIC_OR_PARTITION if log is None else NOT_LEADER, -1, -1))
                    )
                    continue
                if time_ms == EARLIEST:
                    offset = 0
                elif time_ms == LATEST:
                    self.counts["end offsets behind an open transaction"] += log.last_stable < log.high_watermark
                    offset = log.last_stable if request.isolation_level else log.high_watermark
                else:
                    offset = log.offset_at(time_ms)
                    offset = -1 if request.isolation_level and offset >= log.last_stable else offset
                answers.append((place, (partition, NONE, -1, offset)))
        return _by_topic(answers)

    def _fetch(self, node: int, request: Any, reply: Reply) -> None:
        """Answer when there is something, or when the client does not want to wait any longer."""
        wanted = [(topic, part) for topic, partitions in request.topics for part in partitions]
        places = [(topic, part[0]) for topic, part in wanted]
        due = self._loop.now + request.max_wait_time / 1_000
        answered = False

        def look() -> None:
            nonlocal answered
            if answered:
                return
            answers, something = [], False
            for topic, (partition, _, offset, *_) in wanted:
                answers.append(((topic, partition), self._part(node, (topic, partition), offset, request)))
                something = something or bool(answers[-1][1][-1]) or answers[-1][1][1] != NONE
            if something or self._loop.now >= due:
                answered = True
                self._count_reads(answers, request)
                for place in places:
                    if look in self._polls.get(place, ()):
                        self._polls[place].remove(look)
                reply(request.RESPONSE_TYPE(0, NONE, 0, _by_topic(answers)))

        look()
        if not answered:
            for place in places:
                self._polls.setdefault(place, []).append(look)
            self._loop.later(max(due - self._loop.now, 1e-6), look)

    def _count_reads(self, answers: Iterable[tuple[Place, tuple[Any, ...]]], request: Any) -> None:
        for _, (_, _, end, stable, _, aborted, _, _) in answers:
            self.counts["reads behind an open transaction"] += request.isolation_level and stable < end
            self.counts["reads over aborted data"] += bool(aborted)

    def _part(self, node: int, place: Place, offset: int, request: Any) -> tuple[Any, ...]:
        log = self.logs.get(place)
        if log is None or self.leader(*place) != node:
            return (place[1], UNKNOWN_TOPIC_OR_PARTITION if log is None else NOT_LEADER, -1, -1, 0, [], -1, b"")
        committed = request.isolation_level == 1
        stable, end = log.last_stable, log.high_watermark
        if offset > end:
            return (place[1], OFFSET_OUT_OF_RANGE, end, stable, 0, [], -1, b"")
        content, aborted = log.read(offset, committed=committed)
        return (place[1], NONE, end, stable, 0, aborted, -1, content)

    # what goes on by itself

    def wake(self, place: Place) -> None:
        """Look after the readers that wait for something in a partition; called whenever its log has changed."""
        for look in list(self._polls.get(place, ())):
            look()
        self.changed(place)

    def _write_markers(self, transaction: Transaction, commit: bool) -> None:  # noqa: FBT001 - as the coordinator calls it
        """Have a marker written to every partition of a decided transaction, each in its own time."""
        self.counts["committed" if commit else "aborted"] += 1
        for place in sorted(transaction.places):
            wait = self._choose.uniform(0.0001, 0.004)
            if self._choose.random() < SLOW_MARKERS:
                wait = self._choose.uniform(0.01, self._choose.choice((0.04, 0.25)))
            self._markers_due += 1
            self._loop.later(wait, self._write_marker, transaction, transaction.epoch, place, commit)

    def _write_marker(self, transaction: Transaction, epoch: int, place: Place, commit: bool) -> None:  # noqa: FBT001 - as above
        if self.leader(*place) in self.down:
            self._loop.later(MARKER_RETRY_SECS, self._write_marker, transaction, epoch, place, commit)
            return
        self._markers_due -= 1
        time_ms = int((START_SECS + self._loop.now) * 1_000)
        code = self.logs[place].mark(transaction.producer, epoch, commit=commit, time_ms=time_ms)
        self._note("marker", transaction.id, code, f"epoch {epoch} {'commit' if commit else 'abort'} {place}")
        self.coordinator.marked(transaction, place)
        self.wake(place)

    def _clean_up_later(self) -> None:
        """Look for transactions that are open for too long, every ten seconds while any is open."""
        if not self._clean_up_due:
            self._clean_up_due = True
            self._loop.later(CLEAN_UP_SECS - self._loop.now % CLEAN_UP_SECS + 1e-6, self._clean_up)

    def _clean_up(self) -> None:
        self._clean_up_due = False
        self.coordinator.expire(self._loop.now)
        if not self.settled:
            self._clean_up_later()

    def _note(self, what: str, who: str, code: int, more: str) -> None:
        if code != NONE:
            self.counts[f"{what} answered {code}"] += 1
        if self.trace is not None:
            self.trace(f"broker: {what} {who} -> {code} {more}")


def _by_topic(answers: Iterable[tuple[Place, Any]]) -> list[tuple[str, list[Any]]]:
    """Gather answers for partitions by topic, as the protocol has them."""
    topics: dict[str, list[Any]] = {}
    for (topic, _), answer in answers:
        topics.setdefault(topic, []).append(answer)
    return list(topics.items())


def _nothing(place: Place) -> None:
    """Do nothing with a partition that has changed."""
