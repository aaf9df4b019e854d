"""What Symology's codes mean, as data: ordered rules, the first that fits wins. A council may bring its own.

The defaults are the rules of Bexley, the most complete set that is published.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.servicerequests.v1 import State

RuleState = State | Literal["none"]
"""A common state, or ``none``: the row means no event."""

Column = Literal["Maint. Stage", "Action Due", "Event Type", "Stage"]


class Rule(BaseModel):
    """One line of the table: if the column passes the test with one of the values, the case has the state.

    ``Stage`` is compared as a number, so that ``09`` is 9; everything else exactly and by case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: Column
    test: Literal["is", "contains", "starts", "ends"] = "is"
    values: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    state: RuleState

    def fits(self, row: Mapping[str, str]) -> bool:
        """Say whether a row passes; a missing column reads as empty."""
        cell = row.get(self.column, "")
        if self.column == "Stage":
            cell = stage_number(cell)
        match self.test:
            case "is":
                return cell in self.values
            case "contains":
                return any(value in cell for value in self.values)
            case "starts":
                return cell.startswith(self.values)
            case "ends":
                return cell.endswith(self.values)


def stage_number(cell: str) -> str:
    """Return a stage without leading zeros; an empty one is 0."""
    return cell.strip().lstrip("0") or "0"


def _rule(
    column: Column, values: str, state: RuleState, test: Literal["is", "contains", "starts", "ends"] = "is"
) -> Rule:
    return Rule(column=column, test=test, values=tuple(values.split()), state=state)


CLEANSING_RULES: Final = (
    _rule("Maint. Stage", "ORDERED", "action_scheduled"),
    _rule("Maint. Stage", "COMPLETED APPROVED", "fixed", "contains"),
)
"""For documents with the column ``Maint.Recd.``; nothing else of the row counts, and no fit means no event."""

RULES: Final = (
    _rule("Maint. Stage", "ORDERED", "investigating"),
    _rule("Maint. Stage", "COMMENCED ALLOCATED", "action_scheduled"),
    _rule("Maint. Stage", "COMPLETED CLAIMED APPROVED", "fixed", "contains"),
    _rule("Action Due", "CLEARREQ NRSM NF NDMC NTBR NFA", "no_further_action"),
    _rule("Action Due", "CR NR", "fixed"),
    _rule("Action Due", "RPOS N1 N2 N3 N4 N5 N6 S1 S2 S3 S4 S5 S6", "in_progress"),
    _rule("Action Due", "IR RBC REH RES RET RP RPL RSW RT RWT", "internal_referral"),
    _rule("Action Due", "NCR", "not_councils_responsibility"),
    _rule(
        "Action Due",
        "IPSGM IGF IABV ECI NI1MOB NI2MOB NI3MOB NI4MOB NI5MOB NI6MOB SI1MOB SI2MOB SI3MOB SI4MOB SI5MOB SI6MOB",
        "investigating",
    ),
    _rule("Action Due", "PTC PTS", "action_scheduled", "starts"),
    _rule("Action Due", "TPHR", "action_scheduled", "contains"),
    _rule("Action Due", "REIN", "action_scheduled", "ends"),
    _rule("Action Due", "ROD MAJ SNPR", "closed"),
    _rule("Event Type", "MAJ SNPR", "closed"),
    _rule("Action Due", "BESP RDC 403", "no_further_action"),
    _rule("Event Type", "BESP RDC 403", "no_further_action"),
    _rule("Stage", "8 9", "none"),
)

DEFAULT_STATE: Final[RuleState] = "open"
"""What no rule fits: a declared default, not an unknown code."""

STATES_WITH_CODE: Final[tuple[State, ...]] = (
    "not_councils_responsibility", "action_scheduled", "no_further_action", "closed", "internal_referral",
)  # fmt: skip
"""The event code is published beside these states only."""
