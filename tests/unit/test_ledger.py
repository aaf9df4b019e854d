"""The ledger: packed entries come back as they were, expire in order, and cost little memory."""

import hashlib
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from backbone.ledger import Ledger, LedgerEntry, file_key
from backbone.sources.source import Fingerprint

OUTCOMES = ("complete", "held", "duplicate", "discarded")


def entry(number: int, outcome: str = "complete", at_ms: int = 0) -> LedgerEntry:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    file = (f"/srv/drop/highways/20310106_{number:08}_updates.csv", 12_345, 1_900_000_000_000_000_000 + number)
    return LedgerEntry(digest, outcome, digest[:32], file[0].rpartition("/")[2], file, 40_002, at_ms, "document.empty")


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OUTCOMES), st.booleans())))
def test_it_knows_what_a_dictionary_would_know(steps: list[tuple[int, str, bool]]) -> None:
    """Whatever is entered, replaced and forgotten, in whatever order."""
    ledger, known, files = Ledger(), dict[str, LedgerEntry](), dict[str, str]()
    for time, (number, outcome, forget) in enumerate(steps):
        one = entry(number, outcome, time)
        name = file_key(one.fingerprint)
        if forget:
            ledger.forget("doc", one.sha256)
            ledger.forget("file", name)
            known.pop(one.sha256, None)
            files.pop(name, None)
        else:
            ledger.enter(one)
            ledger.enter_file(name, one.fingerprint, outcome, time)
            known[one.sha256], files[name] = one, outcome
        assert ledger.get(one.sha256) == known.get(one.sha256)
        assert ledger.outcome_of(one.fingerprint) == files.get(name)
    assert len(ledger) == len(known)
    assert {held.sha256 for held in ledger.held()} == {one.sha256 for one in known.values() if one.outcome == "held"}
    assert sorted(ledger.names()) == sorted([*(("doc", sha) for sha in known), *(("file", name) for name in files)])
    for at_ms in range(len(steps) + 1):
        older = {name for kind, name in ledger.older_than(at_ms) if kind == "doc"}
        assert older == {sha for sha, one in known.items() if one.at_ms < at_ms}


def test_a_year_of_a_file_every_five_minutes_fits_into_memory() -> None:
    """An entry of a document and one of its file take less than 0.75 KB together."""
    tracemalloc.start()
    ledger = Ledger()
    for number in range(10_000):
        one = entry(number)
        ledger.enter(one)
        ledger.enter_file(file_key(one.fingerprint), Fingerprint(*one.file), one.outcome, 1_900_000_000_000 + number)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 750 * len(ledger)
