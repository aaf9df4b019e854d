"""Casebooks as files: two feeds share a state partition, one is compressed and so goes through the spool."""

import csv
import gzip
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from backbone import points
from backbone.config import load
from backbone.provisioning import apply
from tests.chaos.checker import Document, Record
from tests.chaos.workload import CASES, KIND_WEIGHTS, KINDS, PART_WEIGHTS, TYPES, Ground

LINES_A_FILE: Final = 500
OVERLAP: Final = 50
START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)
HEADER: Final = "case,at,parts,kind\n"
FEEDS: Final[Mapping[str, tuple[int, str]]] = {
    "north": (1, "state_partition: 3,"),
    "south": (2, "state_partition: 3,"),
    "east": (3, ""),
    "packed": (4, ""),
}
"""The feeds: the digit that their case references begin with, and more of their settings."""


class FilesWorkload:
    """Four feeds of files. Implements ``Workload``. The files stay where they are: the checker compares with them."""

    points: Sequence[str] = tuple(name for name in points.POINTS if not name.startswith(("redrive", "transform")))
    counted: tuple[str, ...] = (".receipts",)
    backlog = 12

    def __init__(self, ground: Ground) -> None:
        """Write below the ground's folder; the case references of the feeds are disjoint."""
        self._folder = ground.folder
        self._choose = random.Random(f"{ground.seed}/{ground.number}")  # noqa: S311 - data, not a secret
        self._files = 0
        self._last: dict[str, list[str]] = {name: [] for name in FEEDS}
        self.siblings = (f"{ground.organisation}.north.main".encode(), f"{ground.organisation}.south.main".encode())
        for name in FEEDS:
            (ground.folder / name).mkdir(parents=True)
        self._config = ground.folder / "backbone.yaml"
        self._config.write_text(
            f"organisation: {{id: {ground.organisation}}}\n"
            f'kafka: {{bootstrap_servers: "{ground.servers}", replication_factor: {ground.replicas},'
            f" min_insync_replicas: {min(2, ground.replicas)}}}\n"
            "topics: {events: {partitions: 3}}\n"
            f"spool: {{folder: {ground.folder / 'spool'}}}\nfeeds:{_feeds()}\n"
        )

    async def prepare(self) -> None:
        """Create the deployment's topics."""
        await apply(load(self._config))

    def command(self) -> Sequence[str]:
        """Run the feeds."""
        return ["feeds", str(self._config)]

    def refusing(self) -> Sequence[str]:
        """Return the event topics."""
        return sorted(name for name in load(self._config).worker_settings().written_topics() if name.endswith(".v1"))

    def write(self) -> None:
        """Write a file of every feed under a name that no source takes until it is whole."""
        for name, (digit, _) in FEEDS.items():
            lines = self._lines(digit)
            text = HEADER + "".join([*self._last[name], *lines])
            self._last[name] = [line for line in lines if line.endswith(",ok\n")][-OVERLAP:]
            packed = name == "packed"
            path = self._folder / name / f"{20_310_000 + self._files}.csv{'.gz' if packed else ''}"
            hidden = path.with_name(f".{path.name}")
            hidden.write_bytes(gzip.compress(text.encode(), 1) if packed else text.encode())
            hidden.rename(path)
        self._files += 1

    def written(self) -> int:
        """Return how many files lie there: each gets a receipt."""
        return self._files * len(FEEDS)

    due = written

    def expected(self) -> Iterator[Document]:
        """Read the files: a line that an earlier file of its feed had is a duplicate; the others say what they are."""
        for name in FEEDS:
            known: set[tuple[str, str]] = set()
            for path in sorted((self._folder / name).glob("*.csv*")):
                raw = path.read_bytes()
                text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
                lines = enumerate(csv.DictReader(text.splitlines()), 1)
                yield Document(name, path.name, [_expected(number, line, known) for number, line in lines])

    def _lines(self, digit: int) -> list[str]:
        first = self._files * LINES_A_FILE
        lines = []
        for number in range(first, first + LINES_A_FILE):
            at = START + timedelta(minutes=number)
            kind = self._choose.choices(KINDS, KIND_WEIGHTS)[0]
            parts = self._choose.choices((1, 2, 3), PART_WEIGHTS)[0]
            lines.append(f"{digit}{number % CASES:05},{at:%Y-%m-%dT%H:%M:%SZ},{parts},{kind}\n")
        return lines


def _feeds() -> str:
    return "".join(
        f"\n  - {{name: {name}, adapter: 'tests.chaos.casebook:adapter', {more}"
        f" source: {{type: files, url: {name}, pattern: '*.csv*', ready_after_secs: 0, poll_interval_secs: 0.1}}}}"
        for name, (_, more) in FEEDS.items()
    )


def _expected(number: int, line: Mapping[str, str], known: set[tuple[str, str]]) -> Record:
    identity = (line["case"], line["at"])
    if identity in known:
        return Record(number, *identity, "duplicate")
    if line["kind"] == "bad":
        return Record(number, *identity, "rejected")
    known.add(identity)
    if line["kind"] == "skip":
        return Record(number, *identity, "skipped")
    return Record(number, *identity, "published", TYPES[: int(line["parts"])])
