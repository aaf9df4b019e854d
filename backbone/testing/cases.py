"""Cases of adapters in YAML: what goes in, what must come out. Somebody who doesn't program can read and write them.

    - name: A next action of RSW means that it was passed to another team
      options: {ambiguous_time: later}        # the feed's options, if it needs any
      input: |
        History Date/Time,CRNo,...
        14/06/2031 09:05,700123,...
      gives:                                  # one entry a record, in order
        - outcome: published
          events:
            - type: servicerequests.status-changed.v1
              data: {case_ref: "700123", state: internal_referral}     # what is not named is not compared
              absent: [source_status]         # fields that must not be there
        - {outcome: skipped, reason: no-status}
        - {outcome: rejected, reason: record.bad-date, field: History Date/Time}
      planted: [Ann Example]                  # personal values that may stand in the data of events only
      withheld: [ann@example.org]             # personal values that the adapter must not let out at all

Instead of ``gives``, ``held: document.unknown-layout`` says that the document is held as a whole. ``encoding: cp1252``
says how the input is written, where that is not UTF-8. A key that is none of these is an error: a misspelt
expectation would hold whatever came out.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from ruamel.yaml import YAML

from backbone.adapter import AnyAdapter, Context, Document
from backbone.errors import ConfigurationError
from backbone.event import Encoder, Origin, new_traceparent, structured
from backbone.feed import FeedSetup
from backbone.formats.reader import RawRecord
from backbone.moments import rfc3339
from backbone.packed import Message, unpack
from backbone.pipeline import At, DocumentFacts, Pipeline
from backbone.preview import Preview, RecordResult
from backbone.receipts import Receipt
from backbone.seen import SeenWindow
from backbone.sources.source import Fingerprint, SourceDocument

ORGANISATION: Final = "E09000099"
NOW: Final = datetime(2031, 7, 1, 12, 0, tzinfo=UTC)
TYPE_PREFIX: Final = "org.councilbackbone."
CASE_KEYS: Final = frozenset({"name", "input", "encoding", "options", "gives", "held", "planted", "withheld"})
RECORD_KEYS: Final = frozenset({"outcome", "reason", "field", "events"})
EVENT_KEYS: Final = frozenset({"type", "data", "absent"})


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a YAML file."""

    file: str
    name: str
    input: bytes
    gives: list[dict[str, Any]]
    held: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    planted: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name the case as test reports show it."""
        return f"{self.file}: {self.name}"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came out of a case."""

    results: list[RecordResult]
    receipt: Receipt


def load_cases(folder: Path) -> list[Case]:
    """Read every ``*.yaml`` of a folder; raises ConfigurationError for a key that no case has."""
    yaml = YAML(typ="safe", pure=True)
    return [
        _case(path.stem, entry)
        for path in sorted(folder.glob("*.yaml"))
        for entry in yaml.load(path.read_text(encoding="utf-8"))
    ]


def _case(file: str, entry: Mapping[str, Any]) -> Case:
    place = f"{file}: {entry.get('name', 'a case without a name')}"
    _check_keys(place, entry, CASE_KEYS, required=("name", "input"))
    for wanted in entry.get("gives", ()):
        _check_keys(place, wanted, RECORD_KEYS, required=("outcome",))
        for event in wanted.get("events", ()):
            _check_keys(place, event, EVENT_KEYS, required=("type",))
    return Case(
        file=file,
        name=entry["name"],
        input=entry["input"].encode(entry.get("encoding", "utf-8")),
        gives=entry.get("gives", []),
        held=entry.get("held", ""),
        options=entry.get("options", {}),
        planted=tuple(entry.get("planted", ())),
        withheld=tuple(entry.get("withheld", ())),
    )


def _check_keys(place: str, entry: Mapping[str, Any], known: frozenset[str], *, required: Sequence[str]) -> None:
    unknown, missing = sorted(set(entry) - known), [key for key in required if key not in entry]
    if unknown or missing:
        faults = [f"unknown key {key}" for key in unknown] + [f"no {key}" for key in missing]
        raise ConfigurationError(f"{place} has {', '.join(faults)}", guidance=f"known are {', '.join(sorted(known))}")


def document(content: bytes, name: str = "case") -> SourceDocument:
    """Return bytes as a document."""

    def opened() -> BinaryIO:
        return io.BytesIO(content)

    return SourceDocument(name, Fingerprint(name, len(content), 0), NOW, opened, lambda: True)


def run_case(adapter: AnyAdapter, case: Case, *, document_name: str = "case") -> Ran:
    """Run a case through the first pass and the pipeline, as a worker does."""
    options = adapter.options.model_validate(case.options)
    origin = Origin(ORGANISATION, adapter.name)
    preview = Preview(FeedSetup("case", adapter, adapter.layouts, options, origin), now=lambda: NOW)
    came = list(preview.run(document(case.input, document_name)))
    receipt = came[-1]
    assert isinstance(receipt, Receipt)
    return Ran([result for result in came if isinstance(result, RecordResult)], receipt)


def run_alone(adapter: AnyAdapter, case: Case, raw: RawRecord, layout: str) -> list[Message]:
    """Run one record of a case as if it stood alone, far down in another document; return its messages."""
    origin = Origin(ORGANISATION, adapter.name)
    pipeline = Pipeline(
        adapter,
        Context(ORGANISATION, adapter.options.model_validate(case.options), Document("elsewhere", layout)),
        Encoder(origin, adapter.emits, ordinal=7, traceparent=new_traceparent()),
        DocumentFacts(ORGANISATION, "case", "main", "elsewhere", "", layout, 7, rfc3339(NOW)),
        lambda _topic, _key: 0,
        origin=origin,
        seen=SeenWindow(0),
    )
    pipeline.process(raw, At(900_000))
    return [unpack(packed) for some in pipeline.cut().messages.values() for packed in some]


def differences(case: Case, ran: Ran) -> list[str]:
    """Return what came out otherwise than the case says; empty when it holds."""
    if case.held:
        return (
            [] if ran.receipt.code == case.held else [f"is {ran.receipt.outcome} {ran.receipt.code}, not {case.held}"]
        )
    if ran.receipt.outcome == "held":
        return [f"is held: {ran.receipt.code} {ran.receipt.message}"]
    found = list(_counted(case, ran))
    for number, (wanted, result) in enumerate(zip(case.gives, ran.results, strict=False), 1):
        found += [f"record {number}: {fault}" for fault in _record(wanted, result)]
    return found


def _counted(case: Case, ran: Ran) -> Iterator[str]:
    if len(case.gives) != len(ran.results):
        yield f"{len(ran.results)} records came out; the case names {len(case.gives)}"


def _record(wanted: Mapping[str, Any], result: RecordResult) -> Iterator[str]:
    if result.outcome != wanted["outcome"]:
        detail = f" ({result.reject.code}: {result.reject.message})" if result.reject else ""
        yield f"is {result.outcome}{detail}, not {wanted['outcome']}"
        return
    if wanted.get("reason", result.reason) != result.reason:
        yield f"its reason is {result.reason}, not {wanted['reason']}"
    if "field" in wanted and (result.reject is None or result.reject.field != wanted["field"]):
        yield f"its field is {result.reject and result.reject.field}, not {wanted['field']}"
    events = [structured(message) for _, message in result.events]
    if "events" in wanted and len(events) != len(wanted["events"]):
        yield f"{len(events)} events came out; the case names {len(wanted['events'])}"
    for expected, event in zip(wanted.get("events", ()), events, strict=False):
        yield from _event(expected, event)


def _event(expected: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[str]:
    kind = str(event["type"]).removeprefix(TYPE_PREFIX)
    if expected["type"] != kind:
        yield f"the event is {kind}, not {expected['type']}"
    data = orjson.loads(str(event["data"]))
    for name, value in expected.get("data", {}).items():
        if data.get(name) != value:
            yield f"{name} is {data.get(name)!r}, not {value!r}"
    yield from (f"{name} should not be there" for name in expected.get("absent", ()) if name in data)
