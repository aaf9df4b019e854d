"""Synthetic Symology rows with what must come out of them; for tests of sources, workers and faults."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import TopicRecord, matching_topics, read_topics

HEADER: Final = (
    '"History Date/Time","Recorded Date","CRNo","Stage Desc.","Date Cleared","Inspection","LCA","Action Due",'
    '"Event Type","Stage"\n'
)
START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)
"""In winter, when UK local time is UTC: what must come out needs no conversion."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row that becomes one event of ``case`` at ``time`` (RFC 3339 UTC)."""

    text: str
    case: str
    time: str


def rows(count: int, *, first: int = 0, cases: int = 50) -> Iterator[Row]:
    """Yield rows; no two have the same case and minute, and minutes rise."""
    for number in range(first, first + count):
        at = START + timedelta(minutes=number)
        case = str(700_000 + number % cases)
        text = f'{at:%d/%m/%Y %H:%M},{at:%d/%m/%Y},{case},RECORDED,,NI2,N3,"RSW",RES,1\n'
        yield Row(text, case, f"{at:%Y-%m-%dT%H:%M:%SZ}")


def write(path: Path, content: Iterable[Row | str]) -> None:
    """Write an updates file of rows and literal lines, under a name that no source takes until it is whole."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(HEADER + "".join(row.text if isinstance(row, Row) else row for row in content))
    hidden.rename(path)


async def events(connection: KafkaConnection, organisation: str) -> list[TopicRecord]:
    """Return every committed event of an organisation, by topic, partition and offset."""
    topics = await matching_topics(connection, [rf"{organisation}\.[a-z]+\.v1"])
    return [record async for record in read_topics(connection, topics)]


def headers(record: TopicRecord) -> dict[str, str]:
    """Return a record's headers as text."""
    return {name: value.decode() for name, value in record.headers}


def seen(records: Iterable[TopicRecord]) -> list[tuple[str, str]]:
    """Return case and time of each event, in the order of the topic."""
    found = [headers(record) for record in records]
    return [(header["ce_subject"], header["ce_time"]) for header in found]


def faults(records: Iterable[TopicRecord], expected: Iterable[Row]) -> list[str]:
    """Return what is wrong with a topic: missing, unexpected, twice, out of order within a case."""
    wanted = {(row.case, row.time) for row in expected}
    found = seen(records)
    problems = [f"missing {pair}" for pair in wanted - set(found)]
    problems += [f"unexpected {pair}" for pair in set(found) - wanted]
    if len(set(found)) != len(found):
        problems.append(f"{len(found) - len(set(found))} twice")
    latest: dict[str, str] = {}
    for case, time in found:
        if time < latest.get(case, ""):
            problems.append(f"case {case} out of order at {time}")
        latest[case] = time
    return problems
