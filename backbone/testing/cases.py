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
        - {outcome: skipped, reason: no-status}
        - {outcome: rejected, reason: record.bad-date, field: History Date/Time}
      planted: [Ann Example]                  # personal values that may stand in the data of events only

Instead of ``gives``, ``held: document.unknown-layout`` says that the document is held as a whole.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from ruamel.yaml import YAML

from backbone.adapter import AnyAdapter
from backbone.event import Origin, structured
from backbone.feed import FeedSetup
from backbone.preview import Preview, RecordResult
from backbone.receipts import Receipt
from backbone.sources.source import Fingerprint, SourceDocument

ORGANISATION: Final = "E09000099"
NOW: Final = datetime(2031, 7, 1, 12, 0, tzinfo=UTC)
TYPE_PREFIX: Final = "org.councilbackbone."


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

    def __str__(self) -> str:
        """Name the case as test reports show it."""
        return f"{self.file}: {self.name}"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came out of a case."""

    results: list[RecordResult]
    receipt: Receipt


def load_cases(folder: Path) -> list[Case]:
    """Read every ``*.yaml`` of a folder."""
    yaml = YAML(typ="safe", pure=True)
    cases = []
    for path in sorted(folder.glob("*.yaml")):
        for entry in yaml.load(path.read_text(encoding="utf-8")):
            content = entry["input"].encode(entry.get("encoding", "utf-8"))
            known = {"gives": [], **{key: entry[key] for key in ("gives", "held", "options") if key in entry}}
            planted = tuple(entry.get("planted", ()))
            cases.append(Case(file=path.stem, name=entry["name"], input=content, planted=planted, **known))
    return cases


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
