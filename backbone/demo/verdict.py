"""The independent reader: what a subscriber sees, compared with what the drops must give."""

from collections import Counter
from dataclasses import dataclass, field

import orjson

from backbone.demo.drops import ORGANISATION, Expected
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import matching_topics, read_topics


@dataclass(slots=True)
class Verdict:
    """What was seen. ``out_of_order`` counts events that came before an earlier one of their case."""

    expected: int
    seen: int = 0
    missing: int = 0
    duplicate: int = 0
    unexpected: int = 0
    out_of_order: int = 0
    sample: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Say whether everything is there once, in order, and nothing else."""
        return not (self.missing or self.duplicate or self.unexpected or self.out_of_order)


async def judge(connection: KafkaConnection, expected: set[Expected]) -> Verdict:
    """Read every family topic to its end, read-committed, and compare."""
    verdict = Verdict(len(expected))
    found: Counter[Expected] = Counter()
    ids: Counter[str] = Counter()
    latest: dict[tuple[str, str], str] = {}
    samples: dict[str, str] = {}
    topics = await matching_topics(connection, [rf"{ORGANISATION}\.[a-z]+\.v1"])
    async for record in read_topics(connection, topics):
        headers = {name: value.decode() for name, value in record.headers}
        family, fact = headers["ce_type"].split(".")[2:4]
        data = orjson.loads(record.value or b"{}")
        meaning = str(data["state"]) if family == "servicerequests" else fact
        event = (family, headers["ce_subject"], headers["ce_time"], meaning)
        found[event] += 1
        ids[headers["ce_id"]] += 1
        case = event[:2]
        verdict.out_of_order += headers["ce_time"] < latest.get(case, "")
        latest[case] = max(latest.get(case, ""), headers["ce_time"])
        samples.setdefault(headers["ce_type"], f"{headers['ce_time']}  {fact}.v1  case {event[1]}\n      {data}")
    verdict.seen = sum(found.values())
    verdict.missing = len(expected - found.keys())
    verdict.unexpected = len(found.keys() - expected)
    repeated = sum(count - 1 for count in found.values())
    verdict.duplicate = max(repeated, sum(count - 1 for count in ids.values()))
    verdict.sample = list(samples.values())[:4]
    return verdict
