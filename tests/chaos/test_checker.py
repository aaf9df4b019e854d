"""The checker has to report whatever can go wrong: it is shown each fault of its own, and a right result."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import Document, Found, Record, Seen, judge
from tests.chaos.files_workload import FilesWorkload
from tests.chaos.workload import Ground

DOCUMENT = Document(
    "north", "1.csv",
    [
        Record(1, "1", "2031-01-06T08:00:00Z", "published", ("a", "b")),
        Record(2, "1", "2031-01-06T08:01:00Z", "published", ("a",)),
        Record(3, "2", "2031-01-06T08:02:00Z", "skipped"),
        Record(4, "2", "2031-01-06T08:03:00Z", "rejected"),
        Record(5, "1", "2031-01-06T08:00:00Z", "duplicate"),
    ],
)  # fmt: skip
COUNTS = {"records": 5, "published": 2, "duplicate": 1, "skipped": 1, "rejected": 1}


def right() -> Found:
    """Return what lies there when all is well."""
    return Found(
        events=[
            Seen("t", 0, 0, "i0", "a", "1", "2031-01-06T08:00:00Z"),
            Seen("u", 0, 0, "i1", "b", "1", "2031-01-06T08:00:00Z"),
            Seen("t", 0, 1, "i2", "a", "1", "2031-01-06T08:01:00Z"),
        ],
        receipts=[{"feed": "north", "document": "1.csv", "outcome": "complete", "ordinal": 0, **COUNTS}],
        rejects=[{"feed": "north", "document": "1.csv", "record_number": 4}],
        checkpoints=[
            ("cp/north/main", {"generation": 1, "ordinal": 0, "document": {"delivered": 2}}),
            ("cp/north/main", {"generation": 2, "ordinal": 0, "document": {"delivered": 4}}),
            ("cp/north/main", {"generation": 3, "ordinal": 1, "document": None}),
        ],
    )


def test_a_right_result_has_no_problem() -> None:
    """Nothing is reported where nothing is wrong."""
    verdict = judge([DOCUMENT], right(), ["t 0 0 i0"])
    assert not verdict.counts
    assert (verdict.events, verdict.records, verdict.documents) == (3, 5, 1)


def _lose_a_part(found: Found) -> None:
    del found.events[1]


def _lose_a_record(found: Found) -> None:
    del found.events[2]


def _repeat(found: Found) -> None:
    found.events.append(replace(found.events[0], offset=7, id="i7"))


def _repeat_an_id(found: Found) -> None:
    found.events[2] = replace(found.events[2], id="i0")


def _invent(found: Found) -> None:
    found.events.append(Seen("t", 0, 9, "i9", "a", "3", "2031-01-06T08:00:00Z"))


def _swap(found: Found) -> None:
    found.events[0], found.events[2] = replace(found.events[0], offset=1), replace(found.events[2], offset=0)


def _unbalance(found: Found) -> None:
    found.receipts[0]["published"] = 1


def _repeat_a_receipt(found: Found) -> None:
    found.receipts.append(deepcopy(found.receipts[0]))


def _lose_a_receipt(found: Found) -> None:
    found.receipts.clear()


def _skip_an_ordinal(found: Found) -> None:
    found.receipts[0]["ordinal"] = 1


def _repeat_a_reject(found: Found) -> None:
    found.rejects.append(found.rejects[0])


def _go_back(found: Found) -> None:
    going_back: dict[str, Any] = {"generation": 4, "ordinal": 0, "document": {"delivered": 2}}
    found.checkpoints.append(("cp/north/main", going_back))


def _fork(found: Found) -> None:
    found.checkpoints.append(("cp/north/main", {"generation": 3, "ordinal": 1, "document": None}))


def _hold_back(found: Found) -> None:
    found.held_back.append("t/0")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_lose_a_part, "torn"), (_lose_a_record, "missing"), (_repeat, "duplicate"), (_repeat_an_id, "duplicate"),
        (_invent, "unexpected"), (_swap, "out of order"), (_unbalance, "receipts"), (_repeat_a_receipt, "receipts"),
        (_lose_a_receipt, "receipts"), (_skip_an_ordinal, "receipts"), (_repeat_a_reject, "rejects"),
        (_go_back, "checkpoints"), (_fork, "checkpoints"), (_hold_back, "open transaction"),
    ],
)  # fmt: skip
def test_each_fault_is_reported(spoil: Callable[[Found], None], kind: str) -> None:
    """One thing is spoilt, and it is what the verdict names."""
    found = right()
    spoil(found)
    assert kind in judge([DOCUMENT], found).counts


def test_what_a_reader_was_given_has_to_stay() -> None:
    """An event that was read along the way and is not in the log now was never committed."""
    verdict = judge([DOCUMENT], right(), ["t 0 0 i0", "t 0 5 i5"])
    assert dict(verdict.counts) == {"aborted data read": 1}


def test_the_expected_set_comes_from_the_files_themselves(tmp_path: Path) -> None:
    """What was written is read anew: overlaps are duplicates, and a file that is spoilt changes what is due."""
    workload = FilesWorkload(Ground("E90000000", 0, tmp_path, "", "", 1, seed=1))
    workload.write()
    workload.write()
    documents = list(workload.expected())
    assert len(documents) == workload.due() == 8
    second = next(document for document in documents if document.name.startswith("20310001"))
    assert [record.outcome for record in second.records[:50]] == ["duplicate"] * 50
    assert "duplicate" not in {record.outcome for record in second.records[50:]}
    path = tmp_path / "north" / "20310000.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert sum(len(document.records) for document in workload.expected()) == sum(len(d.records) for d in documents) - 1
