"""Synthetic drops of three legacy systems, with the quirks that the real ones have.

Everything is invented. What must come out is worked out here, beside what is written, from tables of its own: the
verdict shares no code with the adapters.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

ORGANISATION: Final = "E09000099"
LONDON: Final = ZoneInfo("Europe/London")
HEADER: Final = (
    '"History Date/Time","Recorded Date","CRNo","Stage Desc.","Date Cleared","Inspection","LCA","Action Due",'
    '"Event Type","Stage"\n'
)
MEANINGS: Final = (
    ("RSW", "RECORDED", "1", "internal_referral"),
    ("CR", "CLEARED", "9", "fixed"),
    ("N3", "RECORDED", "1", "in_progress"),
    ("PTC2", "MAINT", "7", "action_scheduled"),
    ("NCR", "CLEARED", "9", "not_councils_responsibility"),
    ("IGF", "RECORDED", "1", "investigating"),
    ("", "CLEARED", "9", ""),
)
"""Next action, stage and number, and the state that they mean; the last means nothing and is skipped."""

Expected = tuple[str, str, str, str]
"""Family, case, time and meaning of an event that must come out."""


@dataclass(slots=True)
class Drops:
    """What was written, what must come out of it, and the half-written file that is completed later."""

    folder: Path
    expected: set[Expected] = field(default_factory=set)
    rejects: int = 0
    documents: int = 0
    late_path: Path | None = None
    late_rest: str = ""

    def write_a_little(self) -> None:
        """Write one more character of the late file; the row that it stands in stays unfinished."""
        assert self.late_path is not None
        if self.late_rest[:1] not in {"", "\n"}:
            with self.late_path.open("a") as file:
                file.write(self.late_rest[0])
            self.late_rest = self.late_rest[1:]
        else:
            self.late_path.touch()

    def complete_late_file(self) -> None:
        """Write the second half of the file that was cut off in the middle of a row."""
        assert self.late_path is not None
        with self.late_path.open("a") as file:
            file.write(self.late_rest)


def write_drops(folder: Path, rows: int, seed: int = 7) -> Drops:
    """Write the drops of highways, registrations and planning below a folder."""
    drops = Drops(folder)
    for name in ("highways", "deaths", "planning"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _highways(drops, rows, random.Random(seed))
    _deaths(drops)
    _planning(drops)
    return drops


def _history(rows: int, choose: random.Random) -> Iterator[tuple[str, Expected | None]]:
    """Yield rows and what each must become; no two have the same case and minute."""
    start = datetime(2031, 6, 2, 7, 0, tzinfo=LONDON)
    for number in range(rows):
        case = 700_000 + number // 3
        at = start + timedelta(minutes=number)
        action, stage, code, state = choose.choice(MEANINGS)
        printed = f"00{case}" if number % 50 == 0 else str(case)
        cleared = f"{at:%d/%m/%Y}" if stage == "CLEARED" else '""'
        text = f'{at:%d/%m/%Y %H:%M},{at:%d/%m/%Y},{printed},"{stage}",{cleared},NI2,N3,"{action}",,{code}\n'
        when = f"{at.astimezone(ZoneInfo('UTC')):%Y-%m-%dT%H:%M:%SZ}"
        yield text, ("servicerequests", str(case), when, state) if state else None


def _highways(drops: Drops, rows: int, choose: random.Random) -> None:
    folder = drops.folder / "highways"
    history = list(_history(rows, choose))
    drops.expected.update(event for _, event in history if event is not None)
    first, second = history[: rows * 2 // 3], history[rows * 2 // 3 - 900 :]
    lines = [text for text, _ in first]
    lines.insert(40, "31/06/2031 09:15,02/06/2031,799001,RECORDED,,NI1,N3,CR,,1\n")
    lines.insert(90, "02/06/2031 10:00,02/06/2031,799002,RECORDED\n")
    drops.rejects += 2
    content = HEADER + "".join(lines)
    (folder / "20310602_07000000_updates.csv").write_text(content)
    (folder / "20310602_07300000_updates.csv").write_text(content)  # the same file, sent again under another name
    (folder / "20310602_08000000_updates.csv").write_text(
        "<!DOCTYPE html>\n<html><body><h1>503 Service Unavailable</h1></body></html>\n"
    )
    overlapping = HEADER + "".join(text for text, _ in second)  # its first 900 rows are in the first file, too
    cut = len(overlapping) // 2 + 17
    drops.late_path = folder / "20310602_08300000_updates.csv"
    drops.late_path.write_text(overlapping[:cut])
    drops.late_rest = overlapping[cut:]
    drops.documents += 4


NAMESPACE: Final = "http://www.ons.gov.uk/gro/OGDDeathExtractDWP"


def _registration(number: int, kind: str, moment: str, reason: str = "") -> str:
    inner = f"<RecordUpdateReason>{reason}</RecordUpdateReason>" if reason else ""
    return (
        f"<DeathRegistration><RegistrationID>{number}</RegistrationID><Record{kind}DateTime>{moment}"
        f"</Record{kind}DateTime>{inner}<DeceasedName><PersonGivenName>Invented</PersonGivenName>"
        f"<PersonFamilyName>Exämple{number}</PersonFamilyName></DeceasedName><DeceasedGender>2</DeceasedGender>"
        "<PartialYearOfDeath>2031</PartialYearOfDeath></DeathRegistration>"
    )


def _deaths(drops: Drops) -> None:
    folder = drops.folder / "deaths"
    first = 500_099_001
    records = []
    for number in range(first, first + 40):
        records.append(_registration(number, "Locked", f"2031-06-02T09:{number % 60:02d}:33"))
        drops.expected.add(("lifeevents", str(number), f"2031-06-02T09:{number % 60:02d}:33Z", "death-registered"))
    # an update may stand before its registration in the file; the order within the case is mended
    records.insert(0, _registration(first, "Update", "2031-06-02T15:00:00", "3"))
    drops.expected.add(("lifeevents", str(first), "2031-06-02T15:00:00Z", "death-registration-updated"))
    records.append(_registration(first + 1, "Update", "2031-06-02T16:00:00", "8"))  # no such reason
    drops.rejects += 1
    body = "".join(records)
    (folder / "DI_D_20310602.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<DeathRegistrationGroup xmlns="{NAMESPACE}">{body}'
        f"<RecordCount>{len(records)}</RecordCount></DeathRegistrationGroup>\n"
    )
    (folder / "DI_D_20310603.xml").write_text(
        f'<DeathRegistrationGroup xmlns="{NAMESPACE}">{_registration(first + 90, "Locked", "2031-06-03T09:00:00")}'
        "<RecordCount>2</RecordCount></DeathRegistrationGroup>\n"
    )  # cut off on its way: it says that it has two
    drops.documents += 2


def _planning(drops: Drops) -> None:
    folder = drops.folder / "planning"
    rows = ["reference,planning-application,permission-process-event,event-date,notes"]
    for number in range(30):
        reference = f"31/{number:05d}/FUL"
        for code, day, meaning in (
            ("valid-from", "2031-03-05", "application-validated"),
            ("application-submitted", "2031-03-03", "application-submitted"),
            ("consultation-start", "2031-03-08", "consultation-started"),
            ("time-extension-agreed", "2031-03-20", ""),
        ):
            rows.append(f"31_{number:05d}_FUL-{code},{reference},{code},{day},")
            if meaning:
                drops.expected.add(("planning", reference, f"{day}T00:00:00Z", meaning))
    rows.append("31_00001_FUL-found,31/00001/FUL,found-valid,2031-03-05,")  # outside of the code list
    drops.rejects += 1
    (folder / "20310602_timeline.csv").write_text("\r\n".join(rows) + "\r\n")
    drops.documents += 1
