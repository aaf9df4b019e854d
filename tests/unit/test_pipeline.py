"""The pipeline on a toy adapter: one outcome a record, all or none of its events, rejects that say enough."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import TypedDict

from backbone import Adapter, Context, Document, FeedOptions, Identity, RecordError, Skip, UnmappedCodeError
from backbone.adapter import Translation
from backbone.errors import FatalError
from backbone.event import Encoder, Origin, structured
from backbone.formats import Malformed, csv_layout
from backbone.packed import unpack
from backbone.pipeline import UNEXPECTED_IN_A_ROW, At, DocumentFacts, Pipeline
from backbone.seen import SeenWindow
from schemas.servicerequests.v1 import Opened, Revoked, StatusChanged, Superseded


class Row(TypedDict):
    """A record of the toy system."""

    id: str
    case: str
    does: str


def shared(row: Row) -> dict[str, Any]:
    return {"case_ref": row["case"], "organisation": "E09000099", "occurred_at": "2031-01-06T08:00:00Z"}


def translate(row: Row, context: Context[FeedOptions]) -> Translation:
    """Do what the record asks for."""
    match row["does"]:
        case "skip":
            return Skip("asked-for")
        case "wrong":
            raise RecordError("does is wrong", field="does")
        case "unmapped":
            raise UnmappedCodeError("does", row["does"])
        case "fail":
            raise ZeroDivisionError
        case "nothing":
            return []
        case "two":
            return [Opened(**shared(row)), StatusChanged(**shared(row), state="open")]
        case "second-undeclared":
            return [Opened(**shared(row)), Revoked(**shared(row), reason="duplicate")]
        case "correct":
            return [
                Superseded(**shared(row), superseded_by="#1", reason="typographical"),
                StatusChanged(**shared(row), state="fixed"),
            ]
        case "long":
            return Opened(
                **shared(row),
                description="x" * 20_000,
                public_update="y" * 20_000,
                media=("https://e.org/" + "z" * 2000,) * 20,
            )
        case _:
            return StatusChanged(**shared(row), state="open")


ADAPTER = Adapter(
    name="toy",
    version="1.0.0",
    layouts=(csv_layout("toy", "id", "case", "does"),),
    record=Row,
    identity=Identity(record=lambda raw: str(raw["id"]), case=lambda raw: str(raw["case"])),
    emits=(Opened, StatusChanged, Superseded),
    translate=translate,
    options=FeedOptions,
)
ORIGIN = Origin("E09000099", "toy")


def pipeline(*, seen: int = 100, hold_case: bool = False, open_rejects: dict[int, str] | None = None) -> Pipeline:
    return Pipeline(
        ADAPTER,
        Context("E09000099", FeedOptions(), Document("d", "toy")),
        Encoder(ORIGIN, ADAPTER.emits, ordinal=3, traceparent="00-0-0-01"),
        DocumentFacts("E09000099", "toys", "main", "d", "0" * 64, "toy", 3, "2031-01-06T08:00:00.000Z"),
        lambda _topic, key: len(key) % 2,
        origin=ORIGIN,
        seen=SeenWindow(seen),
        hold_case=hold_case,
        open_rejects=open_rejects,
    )


def run(made: Pipeline, *records: tuple[str, str, str]) -> list[str]:
    return [
        made.process({"id": key, "case": case, "does": does}, At(number))
        for number, (key, case, does) in enumerate(records, 1)
    ]


def published(made: Pipeline) -> list[dict[str, object]]:
    return [structured(unpack(packed)) for some in made.batch.messages.values() for packed in some]


def test_every_kind_of_result_has_its_outcome() -> None:
    """Published, skipped and each kind of reject are told apart, with codes from a bounded list."""
    made = pipeline()
    does = ["open", "skip", "wrong", "unmapped", "fail", "nothing", "second-undeclared", "long"]
    outcomes = run(made, *[(str(number), "c", what) for number, what in enumerate(does)])
    assert outcomes == ["published", "skipped", *["rejected"] * 6]
    assert [reject.code for reject in made.batch.rejects] == [
        "record.invalid", "record.unmapped-code", "record.unexpected", "record.no-outcome",
        "record.undeclared-event", "record.event-too-large",
    ]  # fmt: skip
    assert made.counts.balanced()


def test_the_events_of_a_record_are_all_there_or_none() -> None:
    """When a record's second event cannot be encoded, its first is not published either."""
    made = pipeline()
    run(made, ("1", "c", "second-undeclared"))
    assert made.batch.messages == {}


def test_ids_are_of_the_identity_and_count_within_the_type() -> None:
    """The same record gives the same ids whatever its document; two events of one record differ."""
    first, second = pipeline(), pipeline()
    run(first, ("1", "c", "two"))
    run(second, ("0", "c", "skip"), ("1", "c", "two"))
    assert [event["id"] for event in published(first)] == [event["id"] for event in published(second)]
    assert len({event["id"] for event in published(first)}) == 2


def test_a_correction_names_its_sibling_by_id() -> None:
    """`superseded_by="#1"` becomes the id of the second event of the same return."""
    made = pipeline()
    run(made, ("1", "c", "correct"))
    superseded, correction = published(made)
    assert f'"superseded_by":"{correction["id"]}"' in str(superseded["data"])


def test_a_record_that_was_seen_is_a_duplicate_and_a_rejected_one_is_not_seen() -> None:
    """Published and skipped identities enter the window; rejected ones may come again."""
    made = pipeline()
    assert run(made, ("1", "c", "open"), ("1", "c", "open"), ("2", "c", "skip"), ("2", "c", "skip")) == [
        "published", "duplicate", "skipped", "duplicate",
    ]  # fmt: skip
    assert run(made, ("3", "c", "wrong"), ("3", "c", "open")) == ["rejected", "published"]


def test_publishing_settles_the_open_reject_of_the_same_record() -> None:
    """The reject's id is closed in the batch in which its record is published."""
    made = pipeline()
    run(made, ("1", "c", "wrong"))
    (reject,) = made.cut().rejects
    run(made, ("1", "c", "open"))
    assert made.batch.closed == [reject.id]


def test_a_held_case_waits_and_other_cases_go_on() -> None:
    """With hold_case, records behind a reject of their case are parked; without, they are published."""
    records = (("1", "a", "wrong"), ("2", "a", "open"), ("3", "b", "open"))
    made = pipeline(hold_case=True)
    assert run(made, *records) == ["rejected", "rejected", "published"]
    assert made.batch.rejects[1].code == "record.behind-reject"
    assert run(pipeline(), *records) == ["rejected", "published", "published"]


def test_a_feed_that_holds_too_many_cases_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits behind open rejects is bounded; a feed that does not hold cases goes on."""
    monkeypatch.setattr("backbone.pipeline.HELD_MOST", 3)
    records = [(str(number), str(number), "wrong") for number in range(5)]
    assert run(pipeline(), *records) == ["rejected"] * 5
    with pytest.raises(FatalError) as caught:
        run(pipeline(hold_case=True), *records)
    assert caught.value.code == "feed.too-many-held"


def test_an_adapter_that_fails_again_and_again_stops_its_feed() -> None:
    """After a hundred unexpected failures in a row the feed ends; one good record in between starts the count anew."""
    made = pipeline()
    run(made, *[(str(number), "c", "fail") for number in range(UNEXPECTED_IN_A_ROW - 1)], ("good", "c", "open"))
    with pytest.raises(FatalError) as caught:
        run(made, *[(f"x{number}", "c", "fail") for number in range(UNEXPECTED_IN_A_ROW)])
    assert caught.value.code == "feed.translate-failing"


def test_a_reject_names_the_field_and_never_the_value() -> None:
    """A value that breaks the record's schema is in the raw record alone."""
    made = pipeline()
    made.process({"id": "1", "case": "secret-canary", "does": 7}, At(1, 42))
    (reject,) = made.batch.rejects
    assert (reject.code, reject.field, reject.offset) == ("record.schema", "does", 42)
    assert "secret-canary" not in reject.message


def test_a_malformed_stretch_is_rejected_with_what_stood_there() -> None:
    """What a reader could not make a record of keeps its bytes and gets an id from them."""
    made = pipeline()
    made.process(Malformed("record.ragged", "3 cells", {"cells": ["a"]}), At(1, 9))
    (reject,) = made.batch.rejects
    assert (reject.code, reject.raw, reject.identity) == ("record.ragged", {"cells": ["a"]}, "")


DOES = st.sampled_from(["open", "skip", "wrong", "unmapped", "fail", "nothing", "two", "second-undeclared", "correct"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30).map(str), st.sampled_from("abc"), DOES), max_size=80), st.booleans())
def test_every_record_has_exactly_one_outcome(records: Sequence[tuple[str, str, str]], hold_case: bool) -> None:  # noqa: FBT001
    """Whatever comes, the counts balance, events are those of published records, and no id is twice."""
    made = pipeline(hold_case=hold_case)
    outcomes = run(made, *records)
    counts = made.counts
    assert counts.balanced()
    assert counts.records == len(records)
    assert [counts.published, counts.duplicate, counts.skipped, counts.rejected] == [
        outcomes.count(outcome) for outcome in ("published", "duplicate", "skipped", "rejected")
    ]
    events = published(made)
    assert len(events) == counts.events
    assert len({event["id"] for event in events}) == len(events)
    assert len(made.batch.rejects) == counts.rejected


@pytest.mark.parametrize("code", ["PTC1", "N3", "split-decision", "Split decision", "a/b.c+1"])
def test_a_code_that_is_missing_from_its_table_is_shown(code: str) -> None:
    """An operator can add it from the reject alone."""
    assert UnmappedCodeError("f", code).legacy_code == code
    assert repr(code) in UnmappedCodeError("f", code).message


@pytest.mark.parametrize("text", ["Ann Example", "12 Canary Row", "a@b.example", "x" * 41, "ANN EXAMPLE", "\u0661"])
def test_text_where_a_code_should_be_is_not_shown(text: str) -> None:
    """A shifted row puts a name or an address there: it stays in the reject's raw record."""
    error = UnmappedCodeError("f", text)
    assert text not in f"{error.message}{error.legacy_code}"
