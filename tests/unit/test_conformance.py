"""The conformance check: each rule told from what is right, with counts and case references and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from backbone.conformance import CODES, NOTES, Report, examine
from backbone.conformance_html import as_html, verdict
from backbone.conformance_input import from_lines, from_record
from backbone.sample import sample_messages, stream
from backbone.sample_faults import LABEL, NHS_NUMBER, NINO, as_message, as_structured, bad_events
from schemas.families import FAMILIES

GOLDEN = sorted((Path(__file__).parents[1] / "contract" / "golden").glob("*.jsonl"))
CANARY = "Zebedee-Canary-9931"


def lines(*events: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(event) for event in events]


def checked(*events: dict[str, Any], **options: Any) -> Report:
    return examine(from_lines(lines(*events), "events.jsonl"), **options)


def codes(*events: dict[str, Any], **options: Any) -> dict[str, int]:
    report = checked(*events, **options)
    found: dict[str, int] = {}
    for finding in report.findings:
        found[finding.code] = found.get(finding.code, 0) + finding.count
    return found


def good(family: str = "servicerequests.v1", count: int = 1, seed: int = 1) -> list[dict[str, Any]]:
    sampled = []
    for each in stream(family, seed):
        sampled.append(each)
        if len(sampled) == count:
            break
    return [as_structured(message, each) for each, _, message in sample_messages(sampled, seed)]


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_conform(family: str) -> None:
    """What the generator calls right is right for every rule, and cases and types are counted."""
    report = checked(*good(family, 400))
    assert report.findings == []
    assert (report.events, sum(report.types.values())) == (400, 400)
    assert 0 < report.cases < 400


@pytest.mark.parametrize("family", FAMILIES)
def test_each_bad_sample_is_found_under_its_label(family: str) -> None:
    """Every label names the code under which its event is reported, and the right events among them are not."""
    events = list(bad_events(family, 40, 3))
    labels = [event[LABEL].split(":")[0] for event in events if LABEL in event]
    assert len(labels) == 40
    assert codes(*events) == {code: labels.count(code) for code in labels}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_what_the_adapters_publish_conforms(golden: Path) -> None:
    """Each case of an adapter gives events that break no rule; a source that repeats itself may do so."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for line in golden.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if "specversion" in event:
            cases.setdefault(event.pop("case"), []).append(event)
    assert cases
    for name, events in cases.items():
        report = checked(*events, window=True, accepted=("identity.other-id-same-content",))
        assert [finding for finding in report.findings if report.is_violation(finding)] == [], name


def test_an_unknown_major_is_refused_with_its_type_and_where_to_look() -> None:
    """A reader learns which version it was and where the new one is described."""
    event = good()[0]
    event["type"] = event["type"].replace(".v1", ".v2")
    (finding,) = checked(event).findings
    assert finding.code == "envelope.unknown-major"
    assert event["type"] in finding.text
    assert "servicerequests/CHANGELOG.md" in finding.text


def test_an_unknown_optional_field_is_ignored_and_counted() -> None:
    """It breaks no rule, on any level; it is named with its event."""
    events = good(count=3)
    for event in events:
        event["data"]["unheard_of"] = CANARY
        event["data"]["location"] = {"usrn": "1", "colour": CANARY}
    report = checked(*events)
    assert report.violations == 0
    assert sum(count for name, count in report.ignored.items() if name.endswith(" unheard_of")) == 3
    assert sum(count for name, count in report.ignored.items() if name.endswith(" location.colour")) == 3


def test_an_unknown_field_of_a_date_is_ignored_too() -> None:
    """Where a field may be one thing or another, readers pass over what they do not know as well."""
    event = good("planning.v1")[0]
    event["data"]["occurred_at"]["certainty"] = "high"
    report = checked(event)
    assert report.violations == 0
    assert list(report.ignored.values()) == [1]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"state": CANARY}, "schema.value-not-allowed", "state may be 'open', 'investigating'"),
        ({"organisation": None}, "schema.missing-field", "organisation is missing"),
        ({"occurred_at": None}, "schema.missing-field", "occurred_at is missing"),
        ({"occurred_at": CANARY}, "schema.invalid-value", "occurred_at is neither"),
        ({"occurred_at": {"year": 2031, "month": 2, "day": 30}}, "schema.invalid-value", "occurred_at is neither"),
        ({"location": {"uprn": CANARY}}, "schema.invalid-value", "location.uprn does not have the form"),
        ({"external_refs": [{"system": "a"}]}, "schema.missing-field", "external_refs.value is missing"),
        ({"lgsl": "574"}, "schema.invalid-value", "lgsl"),
        ({"service_name": [CANARY]}, "schema.invalid-value", "service_name"),
    ],
)
def test_wrong_data_is_named_and_never_repeated(change: dict[str, Any], code: str, said: str) -> None:
    """The field, the rule and the allowed values are in the report, and what stood there is not."""
    event = good()[0]
    event["data"] = {name: value for name, value in {**event["data"], **change}.items() if value is not None}
    report = checked(event)
    wrong = [finding for finding in report.findings if finding.code.startswith("schema.")]
    assert [finding.code for finding in wrong] == [code]
    assert said in wrong[0].text
    assert CANARY not in json.dumps(report.as_json())
    assert CANARY not in as_html(report, ["events.jsonl"], "now")


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("specversion", "0.3", "specversion is not 1.0"),
        ("id", "1", "id is not 32 hexadecimal digits"),
        ("source", "urn:backbone:E09000001:sample", "source does not name the organisation"),
        ("subject", "700999", "subject is not the case reference"),
        ("dataschema", "urn:other", "dataschema is not urn:backbone:schema:servicerequests:Opened:v1"),
        ("datacontenttype", "text/xml", "datacontenttype is not application/json"),
        ("dataclassification", "open", "dataclassification is not official"),
        ("datacategory", "secret", "datacategory is not none or personal"),
        ("datacategory", "none", "datacategory is lower than what the data holds"),
        ("time", "2031-06-14T08:05:00Z", "time is not occurred_at"),
        ("traceparent", "abc", "traceparent is not a W3C trace context"),
        ("Not_A_Name", "x", "has a name that is not"),
    ],
)
def test_a_wrong_attribute_is_named(attribute: str, value: str, said: str) -> None:
    """The envelope is checked attribute by attribute, against the data where they belong together."""
    event = {**good(seed=2)[0], attribute: value}
    event["data"]["description"] = "invented"
    report = checked(event)
    assert [finding.code for finding in report.findings] == ["envelope.wrong-attribute"]
    assert said in report.findings[0].text


@pytest.mark.parametrize("attribute", ["id", "source", "subject", "sequence", "datacategory", "time", "specversion"])
def test_a_missing_attribute_is_named(attribute: str) -> None:
    """What the vocabulary demands of the envelope must be there."""
    event = good()[0]
    del event[attribute]
    (finding,) = checked(event).findings
    assert (finding.code, finding.text.split(" is missing")[0]) == ("envelope.missing-attribute", attribute)


def test_a_partial_date_needs_no_time() -> None:
    """Who knows only the year cannot say the time."""
    event = good("planning.v1")[0]
    event["data"]["occurred_at"] = {"year": 2031}
    del event["time"]
    assert codes(event) == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (NINO, "privacy.nino"),
        (NHS_NUMBER, "privacy.nhs-number"),
        ("ann@example.org", "privacy.e-mail"),
        ("4/3/1957", "privacy.date-of-birth"),
    ],
)
def test_identifiers_in_key_subject_headers_and_reference_are_violations(text: str, code: str) -> None:
    """Each place is looked at, the kind is named, and the report holds the place and not the value."""
    key, value, headers = as_message(good()[0])
    records = [
        (text.encode(), value, headers),
        (key, value, [*headers, ("ce_note", text.encode())]),
        (key, value, [*headers, ("x-supplier", f"for {text}".encode())]),
        as_message({**good()[0], "subject": text}),
        as_message({**good()[0], "data": {**good()[0]["data"], "case_ref": text}}),
    ]
    for record in records:
        report = examine([from_record(*record, "topic/0@17")])
        assert code in {finding.code for finding in report.findings}
        assert text not in json.dumps(report.as_json())
        assert text not in as_html(report, ["topic"], "now")
    hidden = examine([from_record(*records[3], "topic/0@17")])
    assert all(finding.examples == ["topic/0@17"] for finding in hidden.findings)


def test_a_personal_case_reference_in_clear_is_a_violation() -> None:
    """A council tax account's number in the subject is told, and the report shows the place instead."""
    event = good("counciltax.v1")[0]
    event["subject"] = event["data"]["case_ref"]
    (finding,) = checked(event).findings
    assert (finding.code, finding.examples) == ("privacy.case-ref-in-clear", ["events.jsonl:1"])


def test_a_property_number_is_no_nhs_number() -> None:
    """UPRNs of ten digits may pass the check by chance."""
    event = good("addresses.v1")[0]
    number = "4010232137"
    event |= {"subject": number, "data": {**event["data"], "case_ref": number, "uprn": number}}
    assert codes(event) == {}


def test_the_same_event_again_is_worth_a_note() -> None:
    """A repeated delivery breaks no rule; the same id with other data, or the same event with another id, does."""
    event = good()[0]
    other = {**event, "data": {**event["data"], "logged_at": "2031-01-01T00:00:00Z"}}
    assert codes(event, event) == {"identity.repeated": 1}
    assert checked(event, event).violations == 0
    assert codes(event, other) == {"identity.same-id-other-data": 1}
    assert codes(event, {**event, "id": "0" * 32}) == {"identity.other-id-same-content": 1}
    assert checked(event, other, accepted=("identity.same-id-other-data",)).violations == 0


def two() -> list[dict[str, Any]]:
    """Return two events of a case, an hour apart, right in every way."""
    first = good()[0]
    data = {**first["data"], "case_ref": "1", "occurred_at": "2031-06-14T08:00:00Z", "state": "open"}
    first |= {"subject": "1", "time": data["occurred_at"], "sequence": "00000001-000000001-00", "data": data}
    changed = "org.councilbackbone.servicerequests.status-changed.v1"
    later = {name: value for name, value in data.items() if name != "reporter"}
    later |= {"occurred_at": "2031-06-14T09:00:00Z", "state": "fixed"}
    second = {
        **first,
        "id": "1" * 32,
        "type": changed,
        "dataschema": "urn:backbone:schema:servicerequests:StatusChanged:v1",
        "time": later["occurred_at"],
        "sequence": "00000001-000000002-00",
        "data": later,
    }
    return [first, second]


def moved(event: dict[str, Any], time: str) -> dict[str, Any]:
    return {**event, "time": time, "data": {**event["data"], "occurred_at": time}}


def test_order_is_by_time_and_then_by_sequence() -> None:
    """Registers are filled in later, and readers mend the order of documents; what is lower in both is out of order."""
    first, second = two()
    early = moved(second, "2031-06-14T07:00:00Z")
    lower = {"sequence": "00000001-000000000-00"}
    assert codes(first, second) == {}
    assert codes(first, {**second, **lower}) == {}
    assert codes(first, early) == {"ordering.back-dated": 1}
    assert codes(first, {**early, **lower}) == {"ordering.sequence-backwards": 1}
    assert codes(first, {**moved(second, first["time"]), **lower}) == {"ordering.sequence-backwards": 1}
    bare = [{name: value for name, value in event.items() if name != "sequence"} for event in (first, early)]
    assert codes(*bare) == {"envelope.missing-attribute": 2, "ordering.time-backwards": 1}
    assert codes(first, {**early, **lower, "late": "true"}) == {}


def test_events_without_a_time_are_ordered_by_sequence() -> None:
    """Where the source knows only the year, its numbers decide."""
    events = good("planning.v1", 40)
    first = events[0]
    second = next(event for event in events[1:] if event["subject"] == first["subject"])
    for event in (first, second):
        event["data"]["occurred_at"] = {"year": 2031}
        del event["time"]
    assert codes(first, second) == {}
    assert codes(second, first) == {"ordering.sequence-backwards": 1}


def test_fractions_of_a_second_are_later_than_none() -> None:
    """Half a second after eight is after eight, although a full stop sorts before Z."""
    first, second = two()
    half = moved(second, "2031-06-14T08:00:00.5Z")
    assert codes(first, half) == {}
    assert codes(moved(first, "2031-06-14T08:00:00.5Z"), moved(second, "2031-06-14T08:00:00Z")) == {
        "ordering.back-dated": 1
    }


def test_life_cycles_are_followed_case_by_case() -> None:
    """What may not follow is told with what may; another case, and a cut from a longer stream, are something else."""
    first, second = two()
    again = {**first, "id": "2" * 32, "sequence": "00000001-000000003-00"}
    again = moved(again, "2031-06-14T10:00:00Z")
    (finding,) = checked(first, second, again).findings
    assert finding.code == "lifecycle.may-not-follow"
    assert "status-changed; allowed: status-changed" in finding.text
    assert finding.examples == ["1"]
    other = {**again, "subject": "2", "data": {**again["data"], "case_ref": "2"}}
    assert codes(first, second, other) == {}
    closing = good("counciltax.v1", 40)
    closed = next(event for event in closing if event["type"].endswith("account-closed.v1"))
    assert codes(closed, window=True) == {}


def test_a_replay_is_not_held_against_the_stream() -> None:
    """Events that carry a replay's id are checked by themselves only."""
    first, second = two()
    assert codes(first, second, {**first, "replayid": "run-7"}) == {}


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1]", b"null", b'{"a": 1}', b'{"specversion": "1.0", "data_base64": "AA=="}', b"\xff\xfe", b"7" * 2**21],
)
def test_what_is_no_event_is_told_with_its_place(line: bytes) -> None:
    """Lines that cannot be read are counted as violations, and the others are read."""
    report = examine(from_lines([b"\n", line, *lines(good()[0])], "events.jsonl"))
    (finding,) = report.findings
    assert (finding.code, finding.examples, report.events) == ("envelope.not-an-event", ["events.jsonl:2"], 2)


def test_records_are_read_in_both_modes_and_tombstones_are_counted() -> None:
    """Binary mode, structured mode, a record that is no JSON, and a compaction's tombstone."""
    event = good()[0]
    key, value, headers = as_message(event)
    structured = (key, orjson.dumps(event), [("content-type", b"application/cloudevents+json; charset=UTF-8")])
    assert examine([from_record(key, value, headers, "t/0@0")]).findings == []
    assert examine([from_record(*structured, "t/0@0")]).findings == []
    assert examine([from_record(key, b"{", headers, "t/0@0")]).findings[0].code == "envelope.not-an-event"
    report = examine([from_record(key, None, [], "t/0@0")])
    assert (report.events, report.tombstones, report.findings) == (0, 1, [])
    other_key = examine([from_record(b"other", value, headers, "t/0@0")])
    assert [finding.text for finding in other_key.findings] == ["the record's key is not the subject"]


def test_examples_are_few_and_each_case_is_named_once() -> None:
    """The count goes on when the list of first cases is full."""
    events = good(count=30, seed=4)
    for event in events:
        del event["source"]
    report = checked(*events)
    finding = max(report.findings, key=lambda each: each.count)
    assert len(finding.examples) == len(set(finding.examples)) == 5
    assert sum(finding.count for finding in report.findings) == 30


def test_the_page_is_escaped_and_says_what_the_codes_mean() -> None:
    """Nothing that a supplier sent becomes markup, and every code on the page is explained."""
    event = {**good()[0], "type": "<script>alert(1)</script>"}
    bold = {**good()[0], "subject": "<b>1</b>", "source": ""}
    bold["data"] = {**bold["data"], "case_ref": "<b>1</b>"}
    report = checked(event, bold)
    page = as_html(report, ["<i>file</i>"], "2031-06-14T08:05:00Z")
    assert "<script>alert" not in page
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page
    assert "&lt;i&gt;file" in page
    assert CODES["envelope.missing-attribute"] in page
    assert verdict(report) in page


def test_codes_are_explained_and_notes_are_codes() -> None:
    """Every label of a bad event and every note has its meaning."""
    assert set(CODES) >= NOTES
    for family in FAMILIES:
        assert {event[LABEL].split(":")[0] for event in bad_events(family, 20, 0) if LABEL in event} <= set(CODES)


def test_verdicts_are_sentences() -> None:
    """Nothing read, nothing wrong, one wrong, many wrong."""
    event = good()[0]
    wrong: Callable[[int], dict[str, Any]] = lambda number: {**event, "id": f"x{number}"}  # noqa: E731
    assert verdict(checked()) == "There was no event to check."
    assert verdict(checked(event)) == "1 events, and no rule was broken."
    assert verdict(checked(wrong(1))).endswith("broken once.")
    assert verdict(checked(*(wrong(number) for number in range(3)))).startswith("3 events, and rules were broken")
