"""A casebook on a topic, written in transactions of which some are aborted, and relayed by a transform."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from backbone import points
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.partitioning import partition_of
from backbone.packed import Message
from backbone.subscriber.positions import PARTITIONS, named, positions_topic, transactional_id_of
from backbone.testing.events import Publisher
from backbone.topics import COMPACTED
from schemas.servicerequests.v1 import Updated
from tests.chaos.checker import Document, Record, committed
from tests.chaos.workload import CASES, KIND_WEIGHTS, KINDS, PART_WEIGHTS, TYPES, Ground

NAME: Final = "relay"
RECORDS_A_WRITE: Final = 1_000
INPUT_PARTITIONS: Final = 8
WRITE_DEADLINE_SECS: Final = 30.0
START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)


class KafkaWorkload:
    """One topic of another organisation's events. Implements ``Workload``.

    The checker compares with what is committed on that topic, so a write whose outcome is unknown does no harm.
    """

    points: Sequence[str] = tuple(
        name for name in points.POINTS if name.startswith(("state", "transaction", "commit", "transform"))
    )
    counted: tuple[str, ...] = (".v1", f".dead.{NAME}")
    backlog = 10_000

    def __init__(self, ground: Ground) -> None:
        """Prepare; nothing is written."""
        self._ground = ground
        self._choose = random.Random(f"{ground.seed}/{ground.number}")  # noqa: S311 - data, not a secret
        self._writes = self._records = self._outputs = 0
        self._producer: Producer | None = None
        self._speaker = Publisher(f"E{91_000_000 + ground.number}")
        self.source = f"{self._speaker.organisation}.servicerequests.v1"
        self.siblings = self._siblings()

    def _siblings(self) -> tuple[bytes, bytes]:
        """Return two lanes whose positions lie in one partition."""
        organisation = self._ground.organisation
        places = [(self.source, partition) for partition in range(INPUT_PARTITIONS)]
        for one, other in combinations(places, 2):
            if partition_of(named(one).encode(), PARTITIONS) == partition_of(named(other).encode(), PARTITIONS):
                return (
                    transactional_id_of(organisation, NAME, one).encode(),
                    transactional_id_of(organisation, NAME, other).encode(),
                )
        message = "no two lanes of this organisation share a partition: take more input partitions"
        raise AssertionError(message)

    async def prepare(self) -> None:
        """Create the input, the outputs and the transform's own topics."""
        organisation, replicas = self._ground.organisation, self._ground.replicas
        safe = {"min.insync.replicas": str(min(2, replicas))}
        wanted = [
            TopicSpec(self.source, INPUT_PARTITIONS, replicas, safe),
            *(TopicSpec(name, 3, replicas, safe) for name in self.refusing()),
            TopicSpec(f"{organisation}.dead.{NAME}", 1, replicas, safe),
            TopicSpec(positions_topic(organisation, NAME), PARTITIONS, replicas, {**safe, **COMPACTED}),
        ]
        await create_topics(KafkaConnection(self._ground.direct), wanted)

    def command(self) -> Sequence[str]:
        """Run the transform."""
        return ["relay", self._ground.servers, self._ground.organisation, self._speaker.organisation]

    def refusing(self) -> Sequence[str]:
        """Return the output topics."""
        organisation = self._ground.organisation
        return [f"{organisation}.planningenforcement.v1", f"{organisation}.servicerequests.v1"]

    def write(self) -> None:
        """Write a transaction; every third one is written and aborted first."""
        made = [self._record(number) for number in range(self._records, self._records + RECORDS_A_WRITE)]
        self._records += RECORDS_A_WRITE
        self._writes += 1
        try:
            for real in (False, True) if self._writes % 3 == 0 else (True,):
                self._transaction([message for message, _ in made], commit=real)
        except KafkaException:
            self._producer = None  # what became of it shows on the topic; the next one fences it off
        else:
            self._outputs += sum(outputs for _, outputs in made)

    def _record(self, number: int) -> tuple[Message, int]:
        kind = self._choose.choices(KINDS, KIND_WEIGHTS)[0]
        parts = self._choose.choices((1, 2, 3), PART_WEIGHTS)[0]
        event = Updated.model_validate({
            "case_ref": f"5{number % CASES:05}", "organisation": self._speaker.organisation,
            "occurred_at": f"{START + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}", "service_code": f"{parts} {kind}",
        })  # fmt: skip
        return self._speaker.message(event)[1], {"ok": parts, "bad": 1}.get(kind, 0)

    def _transaction(self, messages: Sequence[Message], *, commit: bool) -> None:
        if self._producer is None:
            self._producer = Producer({
                "bootstrap.servers": self._ground.direct, "transactional.id": f"casebook-{self._ground.organisation}",
                "log_level": 0, "linger.ms": 5,
            })  # fmt: skip
            self._producer.init_transactions(WRITE_DEADLINE_SECS)
        self._producer.begin_transaction()
        for key, value, headers in messages:
            partition = partition_of(key, INPUT_PARTITIONS)
            self._producer.produce(self.source, value, key, partition, headers=list(headers))
        if commit:
            self._producer.commit_transaction(WRITE_DEADLINE_SECS)
        else:
            self._producer.flush(WRITE_DEADLINE_SECS)
            self._producer.abort_transaction(WRITE_DEADLINE_SECS)

    def written(self) -> int:
        """Return how many outputs and dead letters the transactions mean that were surely committed."""
        return self._outputs

    def close(self) -> None:
        """Settle what the last write may have left open, by fencing it."""
        with suppress(KafkaException):
            if self._producer is None:
                self._transaction([], commit=True)

    def expected(self) -> Iterator[Document]:
        """Read the topic: an ``ok`` record means as many outputs as it has parts, a bad one a dead letter."""
        self.close()
        found: dict[int, list[Record]] = {partition: [] for partition in range(INPUT_PARTITIONS)}
        times: Counter[tuple[str, str]] = Counter()
        for message in committed(self._ground.direct, self._speaker.organisation, []):
            record = _expected(message.offset() or 0, json.loads(message.value() or b""))
            times[record.case, record.at] += 1
            if times[record.case, record.at] > 1:
                record = replace(record, case=f"{record.case}, written twice")  # would be a fault of this workload
            found[message.partition() or 0].append(record)
        for partition, records in found.items():
            yield Document(NAME, f"{self.source}/{partition}", records, receipt=False)

    def due(self) -> int:
        """Return how many outputs and dead letters there must be."""
        records = [record for document in self.expected() for record in document.records]
        return sum(len(record.types) + (record.outcome == "rejected") for record in records)


def _expected(offset: int, data: dict[str, Any]) -> Record:
    parts, kind = data["service_code"].split()
    identity = (data["case_ref"], data["occurred_at"])
    if kind == "bad":
        return Record(offset, *identity, "rejected")
    if kind == "skip":
        return Record(offset, *identity, "skipped")
    return Record(offset, *identity, "published", TYPES[: int(parts)])
