"""Symology's request history: one XML document a request, one record a line of its history."""

import re
from functools import cache
from typing import Final, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from backbone import Adapter, Context, FeedOptions, Identity, RecordError, Skip
from backbone.formats import RawRecord, XmlLayout
from backbone.times import AmbiguousTime, UkClock
from schemas.servicerequests.v1 import State, StatusChanged
from schemas.shared import Location, SourceStatus

HISTORY = XmlLayout(
    "request-history",
    record="GetRequestResult/Request",
    explode="EventHistory/EventHistoryGet",
    carry=("OutCRNo", "NSGRef", "RegionSite", "Easting", "Northing"),
)
USRN: Final = re.compile(r"[1-9]\d{0,7}")


class HistoryLine(TypedDict):
    """One line of a request's history, with the request's own fields that are carried along."""

    OutCRNo: str
    LineNo: str
    HistoryDate: str
    HistoryTime: NotRequired[str]
    HistoryType: str
    HistoryEvent: NotRequired[str]
    HistoryReference: NotRequired[str]
    HistoryAction: NotRequired[str]
    HistoryEventType: NotRequired[str]
    HistoryDescription: NotRequired[str]
    NSGRef: NotRequired[str]
    RegionSite: NotRequired[str]
    Easting: NotRequired[str]
    Northing: NotRequired[str]


class ByField(BaseModel):
    """A history type whose meaning is in another field of the line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    field: str
    values: dict[str, State]


class HistoryOptions(FeedOptions):
    """Options of a request-history feed. Quote the keys of ``history_types``: "01" is not 1."""

    history_types: dict[str, State | ByField] = Field(
        default={
            "19": "investigating",
            "21": ByField(field="HistoryEventType", values={"NFA": "no_further_action"}),
        }
    )
    publish_descriptions: bool = True
    ambiguous_time: AmbiguousTime = "later"


@cache
def _clock(rule: AmbiguousTime) -> UkClock:
    return UkClock(rule)


def identity_of(raw: RawRecord) -> str:
    """Return the case number as printed and the number of the line."""
    return f"{raw['OutCRNo']}_{raw['LineNo']}"


def case_of(raw: RawRecord) -> str:
    """Return the bare case number."""
    return str(raw["OutCRNo"]).lstrip("0")


def _state(line: HistoryLine, options: HistoryOptions) -> tuple[State, str] | None:
    """Return the state and the source's code, or None for a line that means no change: most are noise."""
    kind = line["HistoryType"]
    found = options.history_types.get(kind)
    if found is None:
        return None
    if isinstance(found, ByField):
        value = str(line.get(found.field, ""))
        state = found.values.get(value)
        return None if state is None else (state, f"{kind}_{value}")
    return found, kind


def _location(line: HistoryLine) -> Location | None:
    usrn = next((text for name in ("NSGRef", "RegionSite") if USRN.fullmatch(text := _bare(line.get(name)))), None)
    easting, northing = _metres(line, "Easting"), _metres(line, "Northing")
    if easting is None or northing is None:
        return Location(usrn=usrn) if usrn else None
    return Location(usrn=usrn, easting=easting, northing=northing, source_crs="EPSG:27700")


def _bare(value: object) -> str:
    return str(value or "").lstrip("0")


def _metres(line: HistoryLine, name: str) -> float | None:
    """Return a coordinate; empty, 0 and -1 mean that there is none."""
    text = str(line.get(name) or "").strip()
    if text in {"", "0", "-1"}:
        return None
    try:
        return float(text)
    except ValueError:
        raise RecordError(f"{name} is not a number", code="record.bad-coordinate", field=name) from None


def translate(line: HistoryLine, context: Context[HistoryOptions]) -> StatusChanged | Skip:
    """Map one line by its type; nothing of the customer, and no officer's name, leaves the adapter."""
    options = context.options
    number = line["OutCRNo"].lstrip("0")
    if not number.isdigit() or not line["LineNo"]:
        raise RecordError("OutCRNo or LineNo is empty", code="record.missing-required", field="OutCRNo")
    found = _state(line, options)
    if found is None:
        return Skip("no-status")
    # over SOAP both are date-times: the date counts in the first, the time of day in the second
    clock = line.get("HistoryTime", "").rpartition("T")[2]
    occurred_at, note = _clock(options.ambiguous_time).convert(line["HistoryDate"][:10], clock, "HistoryDate")
    description = line.get("HistoryDescription") if options.publish_descriptions else None
    return StatusChanged(
        case_ref=number,
        organisation=context.organisation,
        occurred_at=occurred_at,
        occurred_at_note=note,
        state=found[0],
        source_status=SourceStatus(code=found[1]),
        description=description or None,
        location=_location(line),
    )


adapter = Adapter(
    name="symology-history",
    version="1.0.0",
    layouts=(HISTORY,),
    record=HistoryLine,
    identity=Identity(record=identity_of, case=case_of),
    emits=(StatusChanged,),
    translate=translate,
    options=HistoryOptions,
)
