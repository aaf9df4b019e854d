"""Symology's request history: one XML document a request, one record a line of its history."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from backbone import Adapter, Context, FeedOptions, Identity, RecordError, Skip
from backbone.formats import RawRecord, XmlLayout
from backbone.times import AmbiguousTime, uk_clock
from schemas.servicerequests.v1 import State, StatusChanged
from schemas.shared import Location, SourceStatus

HISTORY = XmlLayout(
    "request-history",
    record="GetRequestResult/Request",
    explode="EventHistory/EventHistoryGet",
    carry=("OutCRNo", "NSGRef", "RegionSite", "Easting", "Northing"),
)
USRN: Final = re.compile("[1-9][0-9]{0,7}")

Deciding = Literal["HistoryEvent", "HistoryReference", "HistoryAction", "HistoryEventType", "HistoryEventDescription"]
"""The fields of a line that a council's table may decide by. Officers' names and their text are none of them."""


class HistoryLine(TypedDict):
    """One line of a request's history, with the request's own fields that are carried along."""

    OutCRNo: str
    LineNo: str
    HistoryDate: NotRequired[str]
    HistoryTime: NotRequired[str]
    HistoryType: str
    HistoryEvent: NotRequired[str]
    HistoryReference: NotRequired[str]
    HistoryAction: NotRequired[str]
    HistoryEventType: NotRequired[str]
    HistoryEventDescription: NotRequired[str]
    HistoryDescription: NotRequired[str]
    NSGRef: NotRequired[str]
    RegionSite: NotRequired[str]
    Easting: NotRequired[str]
    Northing: NotRequired[str]


class ByField(BaseModel):
    """A history type whose meaning is in another field of the line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    field: Deciding
    values: dict[str, State]


class HistoryOptions(FeedOptions):
    """Options of a request-history feed. Quote the keys of ``history_types``: "01" is not 1."""

    history_types: dict[Annotated[str, StringConstraints(pattern="^[0-9]{2}$")], State | ByField] = Field(
        default={
            "19": "investigating",
            "21": ByField(field="HistoryEventType", values={"NFA": "no_further_action"}),
        }
    )
    publish_descriptions: bool = True
    ambiguous_time: AmbiguousTime = "later"


def identity_of(raw: RawRecord) -> str:
    """Return the case number as printed and the number of the line; raises RecordError where one is missing."""
    return f"{_required(raw, 'OutCRNo')}_{_required(raw, 'LineNo')}"


def case_of(raw: RawRecord) -> str:
    """Return the bare case number; raises RecordError where it is missing."""
    return _required(raw, "OutCRNo").lstrip("0")


def _required(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if not value:
        raise RecordError(f"{name} is empty", code="record.missing-required", field=name)
    return str(value)


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
    """Return a coordinate; empty, 0 in any spelling and -1 mean that there is none."""
    text = line.get(name)
    if not text:
        return None
    try:
        metres = float(str(text))
    except ValueError:
        raise RecordError(f"{name} is not a number", code="record.bad-coordinate", field=name) from None
    return None if metres in {0, -1} else metres


def translate(line: HistoryLine, context: Context[HistoryOptions]) -> StatusChanged | Skip:
    """Map one line by its type; nothing of the customer, and no officer's name, leaves the adapter."""
    options = context.options
    number = line["OutCRNo"].lstrip("0")
    if not number:
        raise RecordError("OutCRNo is empty", code="record.missing-required", field="OutCRNo")
    if not (number.isdecimal() and number.isascii()):
        raise RecordError("OutCRNo is not a number", code="record.bad-reference", field="OutCRNo")
    found = _state(line, options)
    if found is None:
        return Skip("no-status")
    # over SOAP both are date-times: the date counts in the first, the time of day in the second
    day, _, _ = _required(line, "HistoryDate").partition("T")
    _, _, clock = _required(line, "HistoryTime").rpartition("T")
    occurred_at, note = uk_clock(options.ambiguous_time).convert(day, clock, "HistoryDate")
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
