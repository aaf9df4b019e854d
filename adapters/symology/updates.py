"""The CSV updates file that Symology drops every 30 minutes, in its three layouts."""

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from adapters.symology import codes
from backbone import Adapter, Context, FeedOptions, Identity, RecordError, Skip, UnmappedCodeError
from backbone.formats import RawRecord, csv_layout
from backbone.times import AmbiguousTime, uk_clock
from schemas.servicerequests.v1 import State, StatusChanged
from schemas.shared import SourceStatus, UtcTimestamp

HISTORY: Final = "History Date/Time"
CLEANSING_COLUMN: Final = "Maint.Recd."
_FIRST = (HISTORY, "Recorded Date", "CRNo", "Stage Desc.", "Date Cleared")
_TEN = (*_FIRST, "Inspection", "LCA", "Action Due", "Event Type", "Stage")
_REQUIRED = (HISTORY, "CRNo")
REMEMBERED_COMBINATIONS: Final = 8_192

UPDATES_10 = csv_layout("updates-10", *_TEN, required=_REQUIRED)
UPDATES_7 = csv_layout("updates-7", *_FIRST, "Maint. Stage", "L.A.Code", required=_REQUIRED)
UPDATES_13 = csv_layout("updates-13", *_TEN, CLEANSING_COLUMN, "L.A.Code", "Maint. Stage", required=_REQUIRED)

Cell = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
"""A code or a time. CHAR columns come padded with blanks on either side; ``CR `` must not pass for an unknown code."""

Instant = Annotated[UtcTimestamp, StringConstraints(max_length=20)]
"""UTC with whole seconds, so that instants compare as text."""

Update = TypedDict(
    "Update",
    {
        "History Date/Time": Cell,
        "CRNo": Cell,
        "Action Due": NotRequired[Cell],
        "Event Type": NotRequired[Cell],
        "Stage": NotRequired[Cell],
        "Maint. Stage": NotRequired[Cell],
        "Maint.Recd.": NotRequired[Cell],
    },
)


class UpdatesOptions(FeedOptions):
    """Options of a Symology updates feed: the rules are the council's own data."""

    rules: Annotated[tuple[codes.Rule, ...], Field(strict=False)] = codes.RULES
    cleansing_rules: Annotated[tuple[codes.Rule, ...], Field(strict=False)] = codes.CLEANSING_RULES
    default_state: codes.RuleState | None = codes.DEFAULT_STATE
    states_with_code: Annotated[tuple[State, ...], Field(strict=False)] = codes.STATES_WITH_CODE
    ambiguous_time: AmbiguousTime = "later"
    window_start: Instant | None = Field(default=None, description="RFC 3339 UTC; earlier rows are skipped")
    window_end: Instant | None = Field(default=None, description="RFC 3339 UTC; later rows are skipped")

    @cached_property
    def states(self) -> "States":
        """Return the rules with their memory."""
        return States(self)


class States:
    """Find states by the rules; remembered by the cells that decide them, as a council has a few hundred."""

    __slots__ = ("_known", "_options")

    def __init__(self, options: UpdatesOptions) -> None:
        """Start with nothing remembered."""
        self._options = options
        self._known: dict[tuple[object, ...], codes.RuleState | None] = {}

    def of(self, update: Update) -> codes.RuleState | None:
        """Return the state that the first fitting rule gives, or None where no rule fits and none is declared."""
        get = update.get
        cells = (
            get("Maint. Stage"), get("Action Due"), get("Event Type"), get("Stage"), CLEANSING_COLUMN in update,
        )  # fmt: skip
        if cells in self._known:
            return self._known[cells]
        if len(self._known) >= REMEMBERED_COMBINATIONS:
            self._known.clear()
        state = self._known[cells] = self._by_rules(update)
        return state

    def _by_rules(self, update: Update) -> codes.RuleState | None:
        options, cleansing = self._options, CLEANSING_COLUMN in update
        for rule in options.cleansing_rules if cleansing else options.rules:
            if rule.fits(update):  # type: ignore[arg-type]  # a TypedDict of text is a mapping of text
                return rule.state
        return "none" if cleansing else options.default_state


@lru_cache(maxsize=REMEMBERED_COMBINATIONS)
def _source_status(code: str) -> SourceStatus:
    """Return the part that says the event code; parts are frozen, and a council has a few dozen codes."""
    return SourceStatus(code=code)


_MD5: Final = hashlib.md5(usedforsecurity=False)


@lru_cache(maxsize=64)
def _digested(columns: tuple[str, ...]) -> "itemgetter[Any]":
    """Return what takes a row's values in the order of the digest: by code point of the names, one renamed."""
    return itemgetter(*sorted(columns, key=lambda name: "date_history" if name == HISTORY else name))


def identity_of(raw: RawRecord) -> str:
    """Return ``CRNo`` as printed and 8 hex digits of an MD5 over all columns.

    That is the record id that the open-source integration gives to the same row, so both agree.
    """
    values: Sequence[str] = _digested(tuple(raw))(raw)
    joined = "-".join(values)
    if "-0-" in f"-{joined}-":  # quicker than a look at each value; where one is 0, it counts as empty
        joined = "-".join(["" if value == "0" else value for value in values])
    digest = _MD5.copy()
    digest.update(joined.encode())
    return f"{raw['CRNo']}_{digest.hexdigest()[:8]}"


def case_of(raw: RawRecord) -> str:
    """Return the bare case number."""
    return str(raw["CRNo"]).strip().lstrip("0")


def translate(update: Update, context: Context[UpdatesOptions]) -> StatusChanged | Skip:
    """Map one row: the rules give the state, and no state means no event."""
    options = context.options
    number = update["CRNo"].lstrip("0")
    if not number or not update[HISTORY]:
        field = "CRNo" if not number else HISTORY
        raise RecordError(f"{field} is empty", code="record.missing-required", field=field)
    if not (number.isdecimal() and number.isascii()):
        raise RecordError("CRNo is not a number", code="record.bad-reference", field="CRNo")
    occurred_at, note = uk_clock(options.ambiguous_time).day_first(update[HISTORY], HISTORY)
    if (options.window_start and occurred_at < options.window_start) or (
        options.window_end and occurred_at > options.window_end
    ):
        return Skip("out-of-window")
    state = options.states.of(update)
    if state == "none":
        return Skip("no-status")
    if state is None:
        raise UnmappedCodeError("Action Due", update.get("Action Due", ""), table="rules")
    code = update.get("Event Type")
    shown = _source_status(code) if code and state in options.states_with_code else None
    return StatusChanged.of(
        {
            "case_ref": number,
            "organisation": context.organisation,
            "occurred_at": occurred_at,
            "occurred_at_note": note,
            "state": state,
            "source_status": shown,
        }
    )


adapter = Adapter(
    name="symology",
    version="1.0.0",
    layouts=(UPDATES_10, UPDATES_7, UPDATES_13),
    record=Update,
    identity=Identity(record=identity_of, case=case_of),
    emits=(StatusChanged,),
    translate=translate,
    options=UpdatesOptions,
)
