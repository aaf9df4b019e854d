"""Symology's identity and rules against the words of its reference, written down a second time."""

import hashlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.symology.codes import RULES
from adapters.symology.history import HistoryOptions
from adapters.symology.updates import UPDATES_7, UPDATES_10, UPDATES_13, UpdatesOptions, identity_of

CELLS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["0", "00", "", " 0", "CR", "é"])
CODES = [
    "", "CR", "cr", "CLEARREQ", "N1", "N7", "RSW", "NCR", "SI6MOB", "PTC9", "XTPHRX", "XREIN", "REINX", "ROD", "MAJ",
    "SNPR", "403", "BESP", "ZZ9",
]  # fmt: skip


def test_a_row_of_ten_columns_has_the_identity_that_is_written_down() -> None:
    """Case number as printed, and the start of what md5sum says of the values in the order of the reference.

    They are: RSW-00700123--RES-NI2-N3-11/06/2031-1-RECORDED-14/06/2031 09:05
    """
    values = ("14/06/2031 09:05", "11/06/2031", "00700123", "RECORDED", "", "NI2", "N3", "RSW", "RES", "1")
    raw = dict(zip(UPDATES_10.columns, values, strict=True))
    assert identity_of(raw) == "00700123_470550fc"


@settings(max_examples=100)
@given(st.data(), st.sampled_from([UPDATES_10, UPDATES_7, UPDATES_13]))
def test_identity_is_that_of_the_reference_whatever_the_order_of_columns(data: st.DataObject, layout: Any) -> None:
    """Sorted by code point, the time renamed, a lone 0 as good as empty: for every layout and every cell."""
    columns = data.draw(st.permutations(layout.columns))
    raw = {column: data.draw(CELLS) for column in columns}
    renamed = {("date_history" if column == "History Date/Time" else column): cell for column, cell in raw.items()}
    joined = "-".join("" if renamed[column] == "0" else renamed[column] for column in sorted(renamed))
    digest = hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()
    assert identity_of(raw) == f"{raw['CRNo']}_{digest[:8]}"


def test_columns_sort_by_code_point() -> None:
    """Upper case comes first, a blank before a full stop, a full stop before letters."""
    columns = sorted((*UPDATES_13.columns[1:], "date_history"))
    assert columns.index("L.A.Code") < columns.index("LCA")
    assert columns.index("Maint. Stage") < columns.index("Maint.Recd.")
    assert columns[-1] == "date_history"


def _in_words(row: dict[str, str]) -> str:
    """Give the state by the reference's table, one sentence a line, without our rules."""
    works, action, event = row.get("Maint. Stage", ""), row.get("Action Due", ""), row.get("Event Type", "")
    if "Maint.Recd." in row:
        if works == "ORDERED":
            return "action_scheduled"
        return "fixed" if "COMPLETED" in works or "APPROVED" in works else "none"
    if works == "ORDERED":
        return "investigating"
    sentences = [
        (works in {"COMMENCED", "ALLOCATED"}, "action_scheduled"),
        (any(word in works for word in ("COMPLETED", "CLAIMED", "APPROVED")), "fixed"),
        (action in {"CLEARREQ", "NRSM", "NF", "NDMC", "NTBR", "NFA"}, "no_further_action"),
        (action in {"CR", "NR"}, "fixed"),
        (action == "RPOS" or action in {f"{kind}{number}" for kind in "NS" for number in range(1, 7)}, "in_progress"),
        (action in {"IR", "RBC", "REH", "RES", "RET", "RP", "RPL", "RSW", "RT", "RWT"}, "internal_referral"),
        (action == "NCR", "not_councils_responsibility"),
        (action in {"IPSGM", "IGF", "IABV", "ECI"}, "investigating"),
        (action in {f"{kind}I{number}MOB" for kind in "NS" for number in range(1, 7)}, "investigating"),
        (action.startswith(("PTC", "PTS")) or "TPHR" in action or action.endswith("REIN"), "action_scheduled"),
        (action in {"ROD", "MAJ", "SNPR"} or event in {"MAJ", "SNPR"}, "closed"),
        (action in {"BESP", "RDC", "403"} or event in {"BESP", "RDC", "403"}, "no_further_action"),
        (row.get("Stage", "").lstrip("0") in {"8", "9"}, "none"),
    ]
    return next((state for holds, state in sentences if holds), "open")


def _every_code() -> list[str]:
    return sorted({*CODES, *(value for rule in RULES if rule.column != "Stage" for value in rule.values)})


@pytest.mark.parametrize("columns", [UPDATES_10.columns, UPDATES_7.columns, UPDATES_13.columns], ids=len)
def test_the_rules_say_what_the_reference_says_of_every_combination(columns: tuple[str, ...]) -> None:
    """Every action with every event and stage, and every stage of a works order: the first fit wins."""
    states = UpdatesOptions().states
    works = ["", "ORDERED", "COMMENCED", "ALLOCATED", "COMPLETED", "CLAIMED", "APPROVED", "ordered", "PART COMPLETED"]
    choices = [
        {"Maint. Stage": stage_of_works, "Action Due": action, "Event Type": event, "Stage": stage}
        for stage_of_works in (works if "Maint. Stage" in columns else [""])
        for action in (_every_code() if "Action Due" in columns else [""])
        for event in (CODES if "Action Due" in columns else [""])
        for stage in (["", "1", "7", "8", "9", "09"] if "Stage" in columns else [""])
    ]
    for choice in choices:
        row: Any = {column: choice.get(column, "") for column in columns}
        assert states.of(row) == _in_words(row), choice


def test_no_value_stands_under_two_rules_of_one_column() -> None:
    """A value that two exact rules name would make the second one dead."""
    exact = sorted((rule.column, value) for rule in RULES if rule.test == "is" for value in rule.values)
    assert all(one != other for one, other in pairwise(exact))


@pytest.mark.parametrize(
    "options",
    [
        {"window_start": "14/06/2031"},
        {"window_end": "2031-06-14T08:05:00.5Z"},
        {"window_start": "2031-06-31T08:05:00Z"},
        {"rules": [{"column": "LCA", "values": ["N1"], "state": "open"}]},
        {"rules": [{"column": "Stage", "values": [], "state": "open"}]},
        {"default_state": "unknown"},
    ],
)
def test_options_that_could_not_work_are_refused(options: dict[str, Any]) -> None:
    """A window that compares as nothing, a column that is not read, a state that is none: the feed does not start."""
    with pytest.raises(ValidationError):
        UpdatesOptions.model_validate(options)


@pytest.mark.parametrize(
    "table",
    [{"1": "open"}, {19: "open"}, {"21": {"field": "HistoryUsername", "values": {"X": "open"}}}, {"21": "unknown"}],
)
def test_a_history_table_that_could_never_match_is_refused(table: dict[Any, Any]) -> None:
    """An unquoted key or a field that decides nothing would silently skip every line."""
    with pytest.raises(ValidationError):
        HistoryOptions.model_validate({"history_types": table})
