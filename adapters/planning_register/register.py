"""Applications, timeline and decision notices; sites and section 106 agreements are read and mean no event."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from adapters.planning_register import codes
from backbone import Adapter, Context, FeedOptions, Identity, OrderWithin, RecordError, Skip, UnmappedCodeError
from backbone.adapter import Translation
from backbone.formats import RawRecord, csv_layout
from backbone.times import iso_date
from schemas.planning.v1 import (
    ApplicationDecided,
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CommitteeScheduled,
    Decision,
    DecisionCode,
    PlanningEvent,
)
from schemas.shared import PartialDate, SourceStatus

APPLICATIONS = csv_layout(
    "planning-application", "reference", "name", "description", "application-types", "site", "received-date",
    "planning-authority", "officer-name", "development-scale", "planning-performance-agreement", "withdrawn-date",
    "linked-applications", "document-url", "documentation-url", "notes",
    required=("reference", "application-types", "received-date", "withdrawn-date"),
)  # fmt: skip
TIMELINE = csv_layout(
    "planning-permission-timeline",
    "reference", "planning-application", "permission-process-event", "event-date", "notes",
    required=("reference", "planning-application", "permission-process-event", "event-date"),
)  # fmt: skip
DECISIONS = csv_layout(
    "decision-notice", "reference", "planning-application", "decision", "decision-date", "organisation",
    "decision-maker", "planning-officer-recommendation", "document-url", "documentation-url", "notes",
    required=("reference", "planning-application", "decision", "decision-date"),
)  # fmt: skip
SITES = csv_layout(
    "site", "reference", "name", "address-text", "postcode", "description", "geometry",
    required=("reference", "address-text", "geometry"),
)  # fmt: skip
SECTION_106 = csv_layout(
    "section-106", "reference", "name", "decision-notice", "document-url", "documentation-url",
    required=("reference", "decision-notice"),
)  # fmt: skip

AUTHORITY: Final = re.compile(r"local-authority:[A-Z]{3}")
URL: Final = re.compile(r"https?://\S+")

Row = TypedDict(
    "Row",
    {
        "reference": str,
        "planning-application": NotRequired[str],
        "description": NotRequired[str],
        "application-types": NotRequired[str],
        "received-date": NotRequired[str],
        "planning-authority": NotRequired[str],
        "development-scale": NotRequired[str],
        "planning-performance-agreement": NotRequired[str],
        "withdrawn-date": NotRequired[str],
        "permission-process-event": NotRequired[str],
        "event-date": NotRequired[str],
        "decision": NotRequired[str],
        "decision-date": NotRequired[str],
        "decision-maker": NotRequired[str],
        "document-url": NotRequired[str],
        "documentation-url": NotRequired[str],
        "decision-notice": NotRequired[str],
        "geometry": NotRequired[str],
    },
)


class RegisterOptions(FeedOptions):
    """Options of a register feed.

    ``aliases`` maps timeline codes outside of the code list to codes within it: ``found-valid: valid-from``.
    ``decisions`` maps the register's free text, in lower case, to decision codes.
    """

    aliases: dict[str, str] = Field(default={})
    decisions: dict[str, DecisionCode] = Field(default=codes.DECISIONS)
    publish_descriptions: bool = False


def kind_of(raw: RawRecord) -> str:
    """Return which of the register's files a row comes from, by its columns."""
    if "permission-process-event" in raw:
        return "timeline"
    if "decision" in raw:
        return "decision"
    if "decision-notice" in raw:
        return "section-106"
    return "site" if "geometry" in raw else "application"


def identity_of(raw: RawRecord) -> str:
    """Return file, reference and a digest of the row: registers are published whole and mark no change."""
    row = "\x1f".join(f"{name}={raw[name]}" for name in sorted(raw) if name != "officer-name")
    return f"{kind_of(raw)}|{raw['reference']}|{hashlib.sha256(row.encode()).hexdigest()[:16]}"


def case_of(raw: RawRecord) -> str:
    """Return the application that a row is about."""
    return str(raw.get("planning-application") or raw["reference"]).strip()


def order_of(raw: RawRecord) -> tuple[str, int]:
    """Return date and place in an application's life, by which a timeline is ordered."""
    position = codes.LIFECYCLE.get(str(raw.get("permission-process-event", "")), len(codes.LIFECYCLE))
    return str(raw.get("event-date") or raw.get("decision-date") or ""), position


def translate(row: Row, context: Context[RegisterOptions]) -> Translation:
    """Map one row, whichever of the register's files it stands in."""
    if not case_of(row):
        raise RecordError("the reference is empty", code="record.missing-required", field="reference")
    return _KINDS[kind_of(row)](row, context)


def _shared(row: Row, context: Context[RegisterOptions], occurred_on: str) -> dict[str, Any]:
    reference = case_of(row)
    return {
        "case_ref": reference,
        "reference": reference,
        "organisation": context.organisation,
        "occurred_at": _partial(occurred_on),
    }


def _partial(iso: str) -> PartialDate:
    return PartialDate(year=int(iso[:4]), month=int(iso[5:7]), day=int(iso[8:]))


def _timeline(row: Row, context: Context[RegisterOptions]) -> Translation:
    printed = row["permission-process-event"].strip()
    code = context.options.aliases.get(printed, printed)
    step = codes.TIMELINE.get(code)
    if step is None:
        raise UnmappedCodeError("permission-process-event", printed, table="aliases")
    date = iso_date(row["event-date"].strip(), "event-date")
    if step.event is None:
        return Skip("not-in-scope")
    shared = _shared(row, context, date)
    more: dict[str, Any] = {"committee_on": date} if step.event is CommitteeScheduled else {}
    return step.event(**shared, **more, stage=step.stage, status=step.status, source_status=SourceStatus(code=printed))


def _decision(row: Row, context: Context[RegisterOptions]) -> Translation:
    printed = row["decision"].strip()
    code = context.options.decisions.get(printed.lower())
    if code is None:
        raise UnmappedCodeError("decision", printed, table="decisions")
    maker = row.get("decision-maker", "").strip()
    if maker not in codes.DECISION_MAKERS:
        raise UnmappedCodeError("decision-maker", maker)
    date = iso_date(row["decision-date"].strip(), "decision-date")
    decision = Decision.model_validate(
        {"code": code, "label": printed, "decided_on": date, "decision_maker_role": maker or None}
    )
    return ApplicationDecided(**_shared(row, context, date), stage="assessment", status="determined", decision=decision)


def _application(row: Row, context: Context[RegisterOptions]) -> Translation:
    """Announce the submission, and the withdrawal where there is one; every cell is checked for its type first.

    Some registers leave out the officer's cell and put a blank one before the notes, so that every cell between
    stands one column to the left: nothing of such a row may be believed.
    """
    _check_cells(row)
    received, withdrawn = row.get("received-date", "").strip(), row.get("withdrawn-date", "").strip()
    more: dict[str, Any] = {
        "planning_authority": row.get("planning-authority", "").strip() or None,
        "application_type": tuple(row.get("application-types", "").split(";"))
        if row.get("application-types")
        else None,
    }
    if context.options.publish_descriptions:
        more["description"] = row.get("description", "").strip() or None
    events: list[PlanningEvent] = []
    if received:
        shared = _shared(row, context, iso_date(received, "received-date"))
        events.append(ApplicationSubmitted(**shared, **more, stage="submission", status="undetermined"))
    if withdrawn:
        shared = _shared(row, context, iso_date(withdrawn, "withdrawn-date"))
        events.append(ApplicationWithdrawn(**shared, **more, stage="assessment", status="withdrawn"))
    return events or Skip("no-date")


def _check_cells(row: Row) -> None:
    types = row.get("application-types", "")
    unknown = [code for code in types.split(";") if types and code not in codes.APPLICATION_TYPES]
    if unknown:
        raise UnmappedCodeError("application-types", unknown[0])
    wrong = [name for name, fits in _CELLS.items() if not fits(str(row.get(name, "")).strip())]
    if wrong:
        message = f"{', '.join(wrong)} hold what belongs elsewhere: the row's cells are shifted"
        raise RecordError(message, code="record.malformed", field=wrong[0])


def _is_date(cell: str) -> bool:
    try:
        return not cell or bool(iso_date(cell, ""))
    except RecordError:
        return False


_CELLS: Final[dict[str, Callable[[str], bool]]] = {
    "received-date": _is_date,
    "withdrawn-date": _is_date,
    "planning-authority": lambda cell: not cell or AUTHORITY.fullmatch(cell) is not None,
    "development-scale": lambda cell: cell in codes.SCALES,
    "planning-performance-agreement": lambda cell: cell in codes.FLAGS,
    "document-url": lambda cell: not cell or URL.fullmatch(cell) is not None,
    "documentation-url": lambda cell: not cell or URL.fullmatch(cell) is not None,
}


def _no_event(_row: Row, _context: Context[RegisterOptions]) -> Translation:
    return Skip("not-in-scope")


_KINDS: Final[dict[str, Callable[[Row, Context[RegisterOptions]], Translation]]] = {
    "timeline": _timeline,
    "decision": _decision,
    "application": _application,
    "site": _no_event,
    "section-106": _no_event,
}

adapter = Adapter(
    name="planning-register",
    version="1.0.0",
    layouts=(APPLICATIONS, TIMELINE, DECISIONS, SITES, SECTION_106),
    record=Row,
    identity=Identity(record=identity_of, case=case_of),
    emits=(
        ApplicationDecided,
        ApplicationWithdrawn,
        *codes.TIMELINE_EVENTS,
    ),
    translate=translate,
    options=RegisterOptions,
    order_within=OrderWithin(key=case_of, time=order_of),
)
