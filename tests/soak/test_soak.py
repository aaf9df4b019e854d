"""The short form of the long run, and the parts that judge it."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.chaos.cell import ROOT
from tests.scale.moves import Place
from tests.soak.backlog import drain
from tests.soak.figures import slope, trends
from tests.soak.stream import Stream


@pytest.mark.timeout(420)
async def test_a_short_run_under_faults_is_right_and_leaves_nothing_open() -> None:
    """A worker and a subscriber at full speed, with faults: nothing missing, nothing twice, no descriptor left over."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak", "--minutes", "0.6", "--seed", "3", "--mean-wait-secs", "4",
        "--cases", "500", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()


@pytest.mark.timeout(300)
async def test_a_backlog_is_drained_in_order_within_bounded_memory(
    tmp_path: Path, broker: str, organisation: str
) -> None:
    """Files that waited for days come out in their order, each with a receipt, and the worker does not grow."""
    drained = await drain(Place(tmp_path, broker, organisation), files=1_000)
    assert drained.problems == []
    assert drained.most_mb < drained.early_mb + 30


def test_the_slope_is_that_of_the_line() -> None:
    """A line has its own slope, noise around a level has none, and one point has none either."""
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(0, 1), (1, 2), (2, 1), (3, 2), (4, 1)]) == pytest.approx(0)
    assert slope([(1, 1)]) == 0


def test_samples_before_the_warm_up_do_not_count(tmp_path: Path) -> None:
    """What a process takes while it starts is no growth; afterwards each figure has its slope an hour."""
    path = tmp_path / "samples"
    steady = {"blocks": 1, "descriptors": 9, "sockets": 3, "tasks": 4}
    lines = [{"at": at, "rss_bytes": 50 + at, **steady} for at in range(100, 200, 10)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [{**lines[0], "at": 0, "rss_bytes": 1}, *lines]))
    found = {trend.figure: trend for trend in trends(path, warm_up_secs=100)}
    assert found["rss_bytes"].slope == pytest.approx(3_600)
    assert (found["rss_bytes"].first, found["rss_bytes"].last) == (150, 240)
    assert found["tasks"].slope == 0


@pytest.mark.parametrize(
    ("minutes", "problems"),
    [
        ([0, 1, 2], {}),
        ([0, 2], {"missing": 1}),
        ([0, 1, 1, 2], {"duplicate": 1}),
        ([0, 1, 0, 1], {"out of order": 1}),
    ],
)
def test_the_running_check_reports_each_fault(minutes: list[int], problems: dict[str, int]) -> None:
    """A case's events come in steps of a minute: a gap, a repetition and a step back are told apart."""
    stream = Stream()
    for minute in minutes:
        stream.event("700001", f"2031-01-06T08:{minute:02}:00Z")
    assert dict(stream.problems) == problems


def test_a_receipt_that_does_not_balance_or_follow_is_reported() -> None:
    """Counts that do not add up, and an ordinal that does not come next, are problems of the run."""
    good = {
        "feed": "north", "document": "a", "outcome": "complete", "code": "", "ordinal": 0,
        "records": 2, "published": 1, "duplicate": 0, "skipped": 0, "rejected": 1,
    }  # fmt: skip
    stream = Stream()
    stream.receipt(good)
    assert not stream.problems
    stream.receipt({**good, "ordinal": 1, "published": 2})
    stream.receipt({**good, "ordinal": 3})
    assert stream.problems["receipts"] == 2
