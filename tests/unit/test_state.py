"""State and its parts: what is written is read back, other shards are passed over, windows and ledgers are bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.errors import FatalError
from backbone.ledger import LedgerEntry
from backbone.receipts import Counts
from backbone.seen import SEGMENT_HASHES, SeenWindow, SegmentLog
from backbone.sources.source import Fingerprint
from backbone.state import DAY_MS, Checkpoint, OpenDocument, ShardState

FILE = Fingerprint("a.csv", 10, 20)


def entry(outcome: str = "complete", at_ms: int = 1_000, sha: str = "51") -> LedgerEntry:
    return LedgerEntry(sha, outcome, "r1", "a.csv", (FILE.path, FILE.size, FILE.modified_ns), 3, at_ms)


def reread(written: ShardState, messages: list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]) -> ShardState:
    state = ShardState(written.shard, written.seen_capacity)
    for key, value, _ in messages:
        state.apply(key, value)
    state.loaded()
    return state


def test_a_checkpoint_comes_back_as_it_was_written() -> None:
    """Position, running counts and the open document survive a restart."""
    state = ShardState("f/main", 10)
    counts = Counts(5, 3, 1, 0, 1, 4, {"record.bad-date": 1})
    document = OpenDocument("a.csv", FILE, "s", 10, "l", "utf-8", "t", "now", 5, 99, counts)
    checkpoint = Checkpoint(7, 2, "w", document, 4)
    assert reread(state, [state.write_checkpoint(checkpoint)]).checkpoint == checkpoint


def test_only_complete_blocks_a_repeat_and_an_aborted_file_is_looked_at_again() -> None:
    """A duplicate does not overwrite the first receipt; an aborted file has no outcome."""
    state = ShardState("f/main", 0)
    messages = state.write_ended(entry(), FILE)
    other = Fingerprint("b.csv", 10, 20)
    messages += state.write_ended(LedgerEntry("51", "duplicate", "r2", "b.csv", ("b.csv", 10, 20), 3, 2_000), other)
    third = Fingerprint("c.csv", 1, 1)
    messages += state.write_ended(LedgerEntry("53", "aborted", "r3", "c.csv", ("c.csv", 1, 1), 0, 3_000), third)
    again = reread(state, messages)
    assert again.ledger.get("51") == entry()
    assert (again.outcome_of(FILE), again.outcome_of(other), again.outcome_of(third)) == ("complete", "duplicate", None)


def test_records_of_other_shards_are_passed_over() -> None:
    """Shards that share a partition, also with names that begin alike, never mix."""
    one, two = ShardState("f/main", 0), ShardState("f/main2", 0)
    messages = [*one.write_ended(entry(), FILE), two.write_checkpoint(Checkpoint(9, 9))]
    again = reread(one, messages)
    assert again.checkpoint.generation == 0
    assert len(again.ledger) == 1


def test_a_newer_state_refuses_to_start() -> None:
    """An older program must not go on from what it does not understand."""
    with pytest.raises(FatalError) as caught:
        ShardState("f/main", 0).apply(b"cp/f/main", b'{"v": 2}')
    assert caught.value.code == "state.newer-version"


def test_old_entries_are_forgotten_with_tombstones() -> None:
    """The ledger lasts 400 days; what is forgotten in memory is tombstoned on the topic."""
    state = ShardState("f/main", 0)
    messages = state.write_ended(entry(at_ms=0), FILE)
    tombstones = state.expired(401 * DAY_MS, 30)
    assert len(tombstones) == 2
    assert all(value is None for _, value, _ in tombstones)
    again = reread(state, messages + tombstones)
    assert len(again.ledger) == 0
    assert again.outcome_of(FILE) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=12), st.integers(1, 4_000))
def test_the_seen_window_survives_any_pattern_of_transactions(sizes: list[int], capacity: int) -> None:
    """However hashes come in, a restart remembers the last up to its capacity, hardly more, and no key is new."""
    window, log, stored, number = SeenWindow(capacity), SegmentLog(capacity), {}, 0
    for size in sizes:
        hashes = list(range(number, number + size))
        number += size
        window.extend(hashes)
        for slot, segment, content in log.append(hashes):
            stored[slot] = (segment, content)
    again, restored = SeenWindow(capacity), SegmentLog(capacity)
    restored.restore(stored.values(), again)
    last = set(range(max(0, number - capacity), number))
    assert last <= again.hashes
    assert last <= window.hashes
    assert max(len(again.hashes), len(window.hashes)) <= capacity + SEGMENT_HASHES
    assert len(stored) <= capacity // SEGMENT_HASHES + 2
    assert [content for _, _, content in restored.append([1])] == [content for _, _, content in log.append([1])]
