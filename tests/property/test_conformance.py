"""The conformance check takes whatever a supplier sends: it never fails, and never repeats what it is given."""

import json
from itertools import islice
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as some

from backbone.conformance import examine
from backbone.conformance_html import as_html
from backbone.conformance_input import from_lines, from_record
from backbone.sample import sample_messages, stream
from backbone.sample_faults import as_message, as_structured
from schemas.families import FAMILIES

CANARY = "Zebedee-Canary-9931"
EVENTS: list[dict[str, Any]] = [
    as_structured(message, sampled)
    for family in FAMILIES
    for sampled, _, message in sample_messages(islice(stream(family, 1), 3), 1)
]
JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**53), 2**53)
    | some.floats(allow_nan=False)
    | some.text(max_size=9),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(some.sampled_from(EVENTS), some.data())
def test_any_content_in_any_place_is_taken(event: dict[str, Any], data: some.DataObject) -> None:
    """Attributes and fields may hold anything at all; the report is made, in each form."""
    attribute = data.draw(some.sampled_from([*event, "unheardof"]))
    field = data.draw(some.sampled_from([*event["data"], "unheard_of"]))
    spoilt = {**event, "data": {**event["data"], field: data.draw(JSON)}, attribute: data.draw(JSON)}
    report = examine(from_lines([orjson.dumps(spoilt), orjson.dumps(event)], "events.jsonl"))
    assert report.events == 2
    assert orjson.loads(orjson.dumps(report.as_json()))
    assert as_html(report, ["events.jsonl"], "now")


@given(some.lists(some.binary(max_size=40) | some.sampled_from([orjson.dumps(event) for event in EVENTS]), max_size=6))
def test_any_bytes_are_taken(lines: list[bytes]) -> None:
    """A file may hold anything at all; every line that is not blank is counted."""
    report = examine(from_lines(lines, "events.jsonl"))
    assert report.events == sum(bool(line.strip()) for line in lines)


@given(
    some.none() | some.binary(max_size=12),
    some.none() | some.binary(max_size=20) | JSON.map(orjson.dumps),
    some.lists(
        some.tuples(some.sampled_from(["ce_type", "ce_id", "content-type", "x", "ce_"]), some.binary(max_size=9))
    ),
)
def test_any_record_is_taken(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """A topic may hold anything at all; a record is an event or a tombstone."""
    report = examine([from_record(key, value, headers, "topic/0@0")])
    assert report.events + report.tombstones == 1


@given(some.sampled_from(EVENTS), some.data())
def test_no_value_of_a_field_is_repeated(event: dict[str, Any], data: some.DataObject) -> None:
    """Wherever a text stands in the data, but for the case reference, the report does not hold it."""
    field = data.draw(some.sampled_from([name for name in event["data"] if name != "case_ref"]))
    held = data.draw(some.sampled_from([CANARY, [CANARY], {"name": CANARY}, {"year": CANARY}, [{"code": CANARY}]]))
    spoilt = {**event, "data": {**event["data"], field: held}}
    for received in (from_lines([orjson.dumps(spoilt)], "f"), [from_record(*as_message(spoilt), "t/0@0")]):
        report = examine(received)
        assert CANARY not in json.dumps(report.as_json())
        assert CANARY not in as_html(report, ["f"], "now")
