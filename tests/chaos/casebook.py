"""A legacy system made up for fault runs: its records mean one, two or three events, which must never be torn apart.

A line holds ``case,at,parts,kind``: ``kind`` is ``ok``, ``skip`` or ``bad``; ``parts`` says how many events an ``ok``
line means. They go to two topics, so that one record's events lie in different partitions.
"""

from typing import Final

from typing_extensions import TypedDict

from backbone import Adapter, Context, FeedOptions, Identity, RecordError, Skip
from backbone.formats import CsvLayout
from backbone.formats.reader import RawRecord
from schemas.planningenforcement.v1 import CaseOpened
from schemas.servicerequests.v1 import Opened, Updated
from schemas.shared import Event


class Line(TypedDict):
    """One line of a casebook."""

    case: str
    at: str
    parts: str
    kind: str


MEANT: Final[tuple[type[Event], ...]] = (Updated, CaseOpened, Opened)


def translate(line: Line, context: Context[FeedOptions]) -> list[Event] | Skip:
    """Return as many events as the line says."""
    if line["kind"] == "skip":
        return Skip("not-wanted")
    if line["kind"] != "ok":
        raise RecordError("the line is bad on purpose", code="record.bad-reference", field="kind")
    content = {"case_ref": line["case"], "organisation": context.organisation, "occurred_at": line["at"]}
    return [event.model_validate(content) for event in MEANT[: int(line["parts"])]]


def identity_of(raw: RawRecord) -> str:
    """Return case and time: no two lines of a feed share both."""
    return f"{raw['case']}|{raw['at']}"


adapter = Adapter(
    name="casebook",
    version="1.0.0",
    layouts=(CsvLayout("casebook", ("case", "at", "parts", "kind")),),
    record=Line,
    identity=Identity(record=identity_of, case=lambda raw: str(raw["case"])),
    emits=MEANT,
    translate=translate,
    options=FeedOptions,
)
