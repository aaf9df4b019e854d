"""How feeds are judged, what is waited for, who is heard, what is counted: without a broker."""

import asyncio
import re
from pathlib import Path

import orjson
import pytest

from backbone.board import Board, heartbeat_of
from backbone.config import load
from backbone.end_points import EndPoints, Readiness
from backbone.errors import ConfigurationError
from backbone.operate import Figures, readiness
from backbone.receipts import Counts, Receipt
from backbone.reporting import Sight
from backbone.sources.files import FilesSettings, FilesSource
from backbone.sources.filesystem import FileEntry, LocalFolder
from backbone.sources.source import Fingerprint
from backbone.sources.unpack import Spool
from backbone.state import ShardState
from backbone.status import ShardStatus, Verdict, worst
from backbone.tally import Histogram, Tally
from backbone.waiting import Reason, Waits, waiting, waits_are
from backbone.worker import Worker

NOW = 10_000_000
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
REASON = Reason("broker.unreachable", "the broker", "look at it")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def running(**more: object) -> ShardStatus:
    """Return the status of a shard that runs."""
    return ShardStatus("f", "main", "w", opened=True, since_ms=NOW - 5_000, beat_ms=NOW, **more)  # type: ignore[arg-type]


def receipt(outcome: str, records: int = 0, rejected: int = 0, code: str = "") -> Receipt:
    return Receipt.model_validate({
        "id": "i", "organisation": "o", "feed": "f", "shard": "main", "adapter": "a", "adapter_version": "1",
        "document": "d", "sha256": "s", "size_bytes": 1, "outcome": outcome, "records": records, "rejected": rejected,
        "code": code, "ordinal": 0, "began_at": "", "finished_at": "", "traceparent": "",
    })  # fmt: skip


def test_a_feed_is_judged_by_what_happened() -> None:
    """Each cause has its state, its code, since when, what is waited for and what to do."""
    assert running().verdict(NOW) == Verdict("OK", "", NOW - 5_000)
    cases: list[tuple[ShardStatus, str, str]] = [
        (ShardStatus("f", "main", "w", paused=True), "PAUSED", "feed.paused"),
        (ShardStatus("f", "main", "w", beat_ms=NOW, since_ms=NOW), "STUCK", "feed.starting"),
        (ShardStatus("f", "main", "w", beat_ms=NOW - 6_000), "STUCK", "feed.nobody-runs-it"),
        (running(rival="other-1 (second)"), "STUCK", "feed.ids-in-use"),
        (running(blocked_code="topic.missing", blocked_by="x", blocked_guidance="y"), "STUCK", "topic.missing"),
        (running(stalled_code="topic.missing", stalled_message="x", guidance="y"), "STUCK", "topic.missing"),
        (running(held={"s": "document.count-mismatch"}), "HELD", "document.count-mismatch"),
        (running(last_share_rejected=0.5), "FAILING", "feed.many-rejects"),
        (running(expected_every_secs=60, last_success_ms=NOW - 61_000), "LATE", "feed.late"),
        (running(ended=True, stalled_code="feed.fatal", stalled_message="x", guidance="y"), "FAILING", "feed.fatal"),
    ]  # fmt: skip
    for status, state, code in cases:
        verdict = status.verdict(NOW)
        assert (verdict.state, verdict.code) == (state, code)
        assert verdict.waits_for
        assert verdict.to_do
        assert verdict.is_well == (state == "PAUSED")
    assert running(expected_every_secs=60, last_success_ms=NOW - 59_000).verdict(NOW).state == "OK"
    late = running(expected_every_secs=60, last_success_ms=NOW - 61_000).verdict(NOW)
    assert late.since_ms == NOW - 1_000


def test_a_stall_ends_only_when_something_went_well() -> None:
    """Loading the state again is not enough; it has a beginning that repeated tries do not move."""
    status = running()
    assert status.stalled("topic.refused", "m", "g", NOW)
    assert not status.stalled("topic.refused", "m", "g", NOW + 3_000)
    status.running(NOW + 4_000)
    assert status.verdict(NOW + 4_000) == Verdict("STUCK", "topic.refused", NOW, "m", "g")
    assert status.stalled("topic.missing", "m", "g", NOW + 4_500), "another cause is told again"
    status.progressed(NOW + 4_600)
    assert status.verdict(NOW + 4_600) == Verdict("OK", "", NOW + 4_600)
    assert status.stalled("topic.refused", "m", "g", NOW + 4_700), "the same cause, come again, is a new one"
    status.released()
    assert status.verdict(NOW).code == "feed.starting"
    status.stalled("feed.ids-in-use", "m", "g", NOW, ended=True)
    status.released()
    status.progressed(NOW)
    assert status.verdict(NOW + 600_000).state == "FAILING", "the last word of a feed that ended stays"


def test_documents_change_the_verdict() -> None:
    """Held until settled, failing until a document was good, late until one came."""
    status = running()
    status.received(receipt("held", code="document.empty"), NOW)
    status.received(receipt("held", code="document.empty"), NOW + 1_000)
    assert (status.verdict(NOW).state, status.verdict(NOW).since_ms) == ("HELD", NOW)
    status.received(receipt("complete", 100, 20), NOW + 2_000)
    assert status.verdict(NOW).code == "feed.many-rejects"
    status.received(receipt("complete", 100, 90), NOW + 3_000)
    assert status.verdict(NOW).since_ms == NOW + 2_000
    status.received(receipt("complete", 19, 19), NOW + 4_000)
    assert status.verdict(NOW + 4_000).state == "OK", "so few records say nothing"


def test_a_new_owner_knows_when_the_last_document_came() -> None:
    """After a fail-over a feed is as late, and as held back, as it was before."""
    state = ShardState("f/main", 10)
    for name, outcome, at_ms in (
        ("0a", "complete", NOW - 90_000),
        ("0b", "duplicate", NOW - 70_000),
        ("0c", "held", NOW),
    ):
        state.ledger.enter_file(name, Fingerprint(name, 1, 1), outcome, at_ms)
    status = running(expected_every_secs=60)
    status.knows(state)
    assert status.last_success_ms == NOW - 70_000
    assert status.verdict(NOW).state == "LATE"


def test_the_worst_shard_speaks_for_its_feed() -> None:
    """In the order of the states, and among equals the one that has waited longest."""
    one, other = Verdict("STUCK", "a", 5), Verdict("STUCK", "b", 3)
    assert worst({"1": Verdict("OK"), "2": one, "3": other, "4": Verdict("LATE")}) is other


def test_what_is_waited_for_too_long_shows_until_it_comes() -> None:
    """The longest wait beyond its patience; what moves on is waited for anew; what knows better says so."""
    clock = Clock()
    waits = Waits(clock)
    first = waits.begin(REASON)
    clock.now += 2.0
    second = waits.begin(Reason("topic.missing", "a topic"), 0.5)
    assert waits.overdue() is None
    clock.now += 1.0
    assert waits.overdue() == (second.reason, 1.0)
    clock.now += 0.5
    assert waits.overdue() == (REASON, 3.5)
    first.why = lambda: Reason("topic.refused", "replicas")
    found = waits.overdue()
    assert found is not None
    assert found[0].code == "topic.refused"
    first.moved()
    assert waits.overdue() == (second.reason, 1.5)
    waits.end(second)
    waits.end(second)
    assert waits.overdue() is None


async def test_whoever_waits_need_not_know_for_whom() -> None:
    """The waits of a task are those of the tasks that it starts, and of nobody else."""
    clock = Clock()
    waits = Waits(clock)
    inside, come = asyncio.Event(), asyncio.Event()

    async def deep() -> None:
        with waiting(REASON):
            inside.set()
            await come.wait()

    async def ours() -> None:
        waits_are(waits)
        await asyncio.create_task(deep())

    task = asyncio.create_task(ours())
    await inside.wait()
    clock.now += 4
    with waiting(REASON):
        assert waits.overdue() == (REASON, 4.0)
    come.set()
    await task
    assert waits.overdue() is None


async def test_a_folder_that_does_not_answer_shows(tmp_path: Path) -> None:
    """A mount that hangs raises no error: the wait for it shows in its stead."""

    class Hanging(LocalFolder):
        async def listing(self) -> list[FileEntry]:
            await asyncio.Event().wait()
            return []

    clock = Clock()
    waits = Waits(clock)
    source = FilesSource(FilesSettings(url="x"), Hanging(tmp_path), Spool(tmp_path / "spool", 1_000))

    async def poll() -> None:
        waits_are(waits)
        async for _ in source.documents("main", ShardState("f/main", 10)):
            pass

    task = asyncio.create_task(poll())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.now += 3.1
    found = waits.overdue()
    assert found is not None
    assert found[0].code == "source.silent"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert waits.overdue() is None


def beat(board: Board, deployment: str, **more: object) -> None:
    status = running(deployment=deployment, **more)
    _, value, _ = heartbeat_of(status)
    assert value is not None
    board.take(value)


def test_a_rival_is_a_deployment_that_goes_on_speaking() -> None:
    """One that was renamed, or has ended, is none; silence ends it. Its clock does not matter."""
    clock = Clock()
    board = Board(clock)
    beat(board, "old")
    clock.now += 1
    began = clock.now
    assert board.rival("new", "f", "main", began) == ""
    for _ in range(2):
        clock.now += 2
        beat(board, "second")
    assert board.rival("new", "f", "main", began) == "w (second)"
    assert board.rival("second", "f", "main", began) == ""
    assert board.rival("new", "f", "other", began) == ""
    clock.now += 5
    assert board.rival("new", "f", "main", began) == ""
    newest = board.newest("second", "f", "main")
    assert newest is not None
    assert newest[1] == 5.0


def test_heartbeats_of_other_versions_are_understood() -> None:
    """A field that we do not know is passed over, one that is missing has its default."""
    board = Board()
    board.take(orjson.dumps({"v": 1, "feed": "f", "shard": "main", "worker": "w", "of-the-future": 1}))
    (found,) = board.of("default")
    assert (found.feed, found.documents) == ("f", 0)


def test_records_count_when_they_are_committed() -> None:
    """A transaction adds the difference of the running counts, and the size of its batch."""
    tally = Tally()
    first = Counts(records=3_000, published=2_990, rejected=10, events=3_100)
    tally.committed(Counts(), first, 3_000)
    tally.committed(first, Counts(records=3_050, published=3_000, duplicate=40, rejected=10, events=3_110), 50)
    assert tally.records == {"published": 3_000, "duplicate": 40, "skipped": 0, "rejected": 10}
    assert tally.events == 3_110
    assert dict(tally.transaction_records.buckets())["100.0"] == 1
    assert dict(tally.transaction_records.buckets())["3000.0"] == 2


def test_a_histogram_counts_at_and_below_its_bounds() -> None:
    """Cumulative, with everything under +Inf, and the sum beside it."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert histogram.total == 12.0


METRICS = {
    "backbone_alarm": {"organisation", "feed", "code"},
    "backbone_feed_cause": {"organisation", "feed", "code"},
    "backbone_feed_documents": {"organisation", "feed", "outcome"},
    "backbone_feed_documents_held": {"organisation", "feed"},
    "backbone_feed_documents_waiting": {"organisation", "feed"},
    "backbone_feed_end_to_end_seconds": {"organisation", "feed", "le"},
    "backbone_feed_events": {"organisation", "feed"},
    "backbone_feed_fenced": {"organisation", "feed"},
    "backbone_feed_lag_seconds": {"organisation", "feed"},
    "backbone_feed_last_success_timestamp_seconds": {"organisation", "feed"},
    "backbone_feed_records": {"organisation", "feed", "outcome"},
    "backbone_feed_rejects_oldest_timestamp_seconds": {"organisation", "feed"},
    "backbone_feed_rejects_open": {"organisation", "feed"},
    "backbone_feed_stalls": {"organisation", "feed", "code"},
    "backbone_feed_state": {"organisation", "feed", "state"},
    "backbone_feed_state_since_timestamp_seconds": {"organisation", "feed"},
    "backbone_lease_changes": {"organisation"},
    "backbone_transaction_records": {"organisation", "feed", "le"},
    "backbone_transaction_seconds": {"organisation", "feed", "le"},
    "backbone_worker_ready": {"organisation"},
}
"""Names and labels are a contract: dashboards and alerts that are not ours are made of them."""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Give a worker that is not connected, over one feed."""
    path = tmp_path / "backbone.yaml"
    path.write_text(
        'organisation: {id: E09000099}\nkafka: {bootstrap_servers: "127.0.0.1:1"}\nfeeds:\n'
        "  - {name: hw, adapter: symology, source: {type: files, url: drop}}\n"
    )
    return Worker(load(path).worker_settings())


def test_the_names_and_labels_of_metrics_are_pinned(worker: Worker) -> None:
    """Each is exported with exactly these labels, and has its line in the runbook's table."""
    (shard,) = worker.shards
    shard.tally.ended(receipt("complete"))
    shard.tally.stalled("topic.missing")
    shard.status.last_success_ms = shard.status.oldest_reject_ms = NOW
    worker._tasks[shard.key] = None  # type: ignore[assignment]  # it runs, as far as figures are concerned
    families = list(Figures("E09000099", worker.reporter, worker.shards, lambda: 1).collect())
    assert {
        family.name: {label for sample in family.samples for label in sample.labels} for family in families
    } == METRICS
    table = set(re.findall(r"^\| `(backbone_[a-z_]+)`", DOCS.read_text(), re.MULTILINE))
    assert table == {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


def test_readiness_lists_who_needs_somebody_worst_first(worker: Worker) -> None:
    """The code is that of the worst; those that are well show with `verbose` only."""
    sights = [
        Sight(running(), Verdict("OK"), ours=True, told=True),
        Sight(running(), Verdict("LATE", "feed.late", NOW, "a document", "ask"), ours=True, told=True),
        Sight(running(), Verdict("STUCK", "topic.missing", NOW, "a topic", "make it"), ours=True, told=True),
    ]
    found = readiness(sights)
    assert found.code == "topic.missing"
    assert [one["state"] for one in found.more["feeds"]] == ["STUCK", "LATE"]
    assert found.more["feeds"][0] == {
        "feed": "f", "shard": "main", "worker": "w", "state": "STUCK", "code": "topic.missing",
        "since": "1970-01-01T02:46:40.000Z", "waits_for": "a topic", "to_do": "make it",
        "runbook": "docs/operations.md#topicmissing",
    }  # fmt: skip
    assert len(readiness(sights, verbose=True).more["feeds"]) == 3
    assert readiness(sights[:1]) == Readiness()


@pytest.mark.parametrize("address", ["9000", "host:", "host:http", "host:70000", ":9000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """With a sentence, before anything listens."""
    with pytest.raises(ConfigurationError, match="no address"):
        EndPoints(address, None)  # type: ignore[arg-type]  # it is not served
