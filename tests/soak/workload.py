"""Symology extracts for a long run at full speed: every case has a new row each minute, and nothing is remembered."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from backbone.config import load
from backbone.kafka.admin import alter_settings
from backbone.provisioning import apply
from backbone.testing.rows import HEADER
from tests.chaos.checker import Document
from tests.chaos.workload import Ground

START: Final = datetime(2031, 1, 6, 8, 0, tzinfo=UTC)
"""In winter, when UK local time is UTC."""
FEEDS: Final = ("north", "south", "east", "west")
BAD: Final = '31/02/2031 10:00,06/01/2031,1,RECORDED,,NI2,N3,"RSW",RES,1\n'
"""One row of every file is a reject."""


class SoakWorkload:
    """Four feeds of files, which are removed when they have been put away. Implements ``Workload`` for faults."""

    points: Sequence[str] = ()
    counted: tuple[str, ...] = (".receipts",)
    backlog = 8

    def __init__(self, ground: Ground, *, cases: int = 5_000, minutes: int = 10) -> None:
        """Write below the ground's folder; a file holds ``minutes`` rows of each of ``cases``."""
        self._ground = ground
        self._cases = cases
        self._minutes = minutes
        self._files = 0
        organisation = ground.organisation
        self.siblings = (f"{organisation}.north.main".encode(), f"{organisation}.south.main".encode())
        self.config = ground.folder / "backbone.yaml"
        for name in FEEDS:
            (ground.folder / name).mkdir(parents=True)
        feeds = "".join(
            f"\n  - {{name: {name}, adapter: symology, {'state_partition: 3, ' if name in FEEDS[:2] else ''}"
            f"source: {{type: files, url: {name}, pattern: '*.csv', ready_after_secs: 0, poll_interval_secs: 0.2,"
            " after: move}}"
            for name in FEEDS
        )
        self.config.write_text(
            f"organisation: {{id: {organisation}}}\n"
            f'kafka: {{bootstrap_servers: "{ground.servers}", replication_factor: 1, min_insync_replicas: 1}}\n'
            f"topics: {{events: {{partitions: 4}}}}\nfeeds:{feeds}\n"
        )

    async def prepare(self) -> None:
        """Create the topics; events are kept for as long as there is room, as nobody reads them again."""
        deployment = load(self.config)
        await apply(deployment)
        room = {"retention.bytes": str(512 * 1_048_576), "segment.bytes": str(64 * 1_048_576)}
        for name in self.refusing():
            await alter_settings(deployment.connection, name, room)

    def command(self) -> Sequence[str]:
        """Run the feeds."""
        return ["feeds", str(self.config)]

    def refusing(self) -> Sequence[str]:
        """Return the event topics."""
        return [f"{self._ground.organisation}.servicerequests.v1"]

    def write(self) -> None:
        """Write a file of every feed under a name that no source takes until it is whole."""
        first = self._files * self._minutes
        for digit, name in enumerate(FEEDS, 1):
            path = self._ground.folder / name / f"{20_310_000 + self._files}.csv"
            hidden = path.with_name(f".{path.name}")
            with hidden.open("w") as file:
                file.write(HEADER + BAD)
                for minute in range(first, first + self._minutes):
                    at = START + timedelta(minutes=minute)
                    before, behind = f"{at:%d/%m/%Y %H:%M},{at:%d/%m/%Y},{digit}", ',RECORDED,,NI2,N3,"RSW",RES,1\n'
                    file.write("".join(f"{before}{case:06}{behind}" for case in range(self._cases)))
            hidden.rename(path)
        self._files += 1

    def remove_done(self) -> None:
        """Remove what has its receipt."""
        for name in FEEDS:
            for path in Path(self._ground.folder / name / "done").glob("*.csv"):
                path.unlink()

    def written(self) -> int:
        """Return how many files were written."""
        return self._files * len(FEEDS)

    due = written

    def events(self) -> int:
        """Return how many events the files mean."""
        return self.written() * self._cases * self._minutes

    def expected(self) -> Iterator[Document]:
        """Return nothing: what must come follows from the cases' minutes, which ``tests.soak.stream`` knows."""
        return iter(())
