"""What a source has to bring to be put through the faults: write data, and say from it what must come out.

``FilesWorkload`` writes casebooks of four feeds into folders. A new source joins with a class of its own in
``WORKLOADS`` that does the same with its system.
"""

import csv
import gzip
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from tests.chaos.checker import Document, Record

LINES_A_FILE: Final = 500
OVERLAP: Final = 50
CASES: Final = 40
START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)
HEADER: Final = "case,at,parts,kind\n"
TYPES: Final = (
    "org.councilbackbone.servicerequests.updated.v1",
    "org.councilbackbone.planningenforcement.case-opened.v1",
    "org.councilbackbone.servicerequests.opened.v1",
)
"""The events of an ``ok`` line, as many as it has parts."""


class Workload(Protocol):
    """Data for one organisation."""

    def feeds(self) -> str:
        """Return the feeds of the deployment file, as YAML."""
        ...

    def write(self) -> None:
        """Let the source hold one document more of every feed."""
        ...

    def documents(self) -> int:
        """Return how many documents were written."""
        ...

    def expected(self) -> Iterator[Document]:
        """Read the source's data anew and say what must become of each record; asked when all is done."""
        ...


class FilesWorkload:
    """Four feeds of files: two share a state partition, one is compressed and so goes through the spool.

    The files stay where they are, and are what the checker compares with.
    """

    def __init__(self, folder: Path, cell: int, seed: int) -> None:
        """Write below ``folder``; the case references of the feeds are disjoint."""
        self._folder = folder
        self._choose = random.Random(f"{seed}/{cell}")  # noqa: S311 - data, not a secret
        self._files = 0
        self._last: dict[str, list[str]] = {name: [] for name in FEEDS}
        for name in FEEDS:
            (folder / name).mkdir(parents=True)

    def feeds(self) -> str:
        """Return the four feeds."""
        return "".join(
            f"\n  - {{name: {name}, adapter: 'tests.chaos.casebook:adapter', {more}"
            f" source: {{type: files, url: {name}, pattern: '*.csv*', ready_after_secs: 0, poll_interval_secs: 0.1}}}}"
            for name, (_, more) in FEEDS.items()
        )

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

    def documents(self) -> int:
        """Return how many files lie there."""
        return self._files * len(FEEDS)

    def expected(self) -> Iterator[Document]:
        """Read the files: a line that an earlier file of its feed had is a duplicate; the others say what they are."""
        for name in FEEDS:
            known: set[tuple[str, str]] = set()
            for path in sorted((self._folder / name).glob("*.csv*")):
                raw = path.read_bytes()
                text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
                yield Document(name, path.name, [_expected(line, known) for line in csv.DictReader(text.splitlines())])

    def _lines(self, digit: int) -> list[str]:
        first = self._files * LINES_A_FILE
        lines = []
        for number in range(first, first + LINES_A_FILE):
            at = START + timedelta(minutes=number)
            kind = self._choose.choices(("ok", "skip", "bad"), (95, 3, 2))[0]
            parts = self._choose.choices((1, 2, 3), (5, 3, 2))[0]
            lines.append(f"{digit}{number % CASES:05},{at:%Y-%m-%dT%H:%M:%SZ},{parts},{kind}\n")
        return lines


def _expected(line: Mapping[str, str], known: set[tuple[str, str]]) -> Record:
    identity = (line["case"], line["at"])
    if identity in known:
        return Record(*identity, "duplicate")
    if line["kind"] == "bad":
        return Record(*identity, "rejected")
    known.add(identity)
    if line["kind"] == "skip":
        return Record(*identity, "skipped")
    return Record(*identity, "published", TYPES[: int(line["parts"])])


FEEDS: Final[Mapping[str, tuple[int, str]]] = {
    "north": (1, "state_partition: 3,"),
    "south": (2, "state_partition: 3,"),
    "east": (3, ""),
    "packed": (4, ""),
}
"""The feeds: the digit that their case references begin with, and more of their settings."""

WORKLOADS: Final[Mapping[str, Callable[[Path, int, int], Workload]]] = {"files": FilesWorkload}
