"""Whether events are what the vocabulary says: each by itself, all of a case in their order, all ids together. Pure.

For a council or a department that checks what a supplier sends. The report counts and names codes, fields and case
references, and repeats no other value; a reference that is itself personal is not shown, its place is.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from backbone.conformance_rules import KEYED, Checked, Problem, Received, check
from schemas.families import LIFECYCLES
from schemas.shared import Event
from schemas.shared.identifiers import found_in
from schemas.shared.lifecycle import KINDS, Misplaced, Position, step

EXAMPLES: Final = 5

CODES: Final[Mapping[str, str]] = {
    "envelope.not-an-event": "What was read is no event",
    "envelope.missing-attribute": "An attribute of the envelope is missing",
    "envelope.wrong-attribute": "An attribute of the envelope is not as it must be",
    "envelope.unknown-type": "The type is not in the vocabulary",
    "envelope.unknown-major": "The major version is not known and is refused",
    "envelope.no-data": "The event carries no data",
    "envelope.too-large": "The event is too large for a topic",
    "schema.missing-field": "A required field is missing",
    "schema.value-not-allowed": "A value is not in its closed list",
    "schema.invalid-value": "A value does not have the form that its type demands",
    "identity.same-id-other-data": "One id stands for different data",
    "identity.other-id-same-content": "The same event has several ids; accept it of a source that repeats itself",
    "identity.repeated": "An event came again, unchanged",
    "ordering.sequence-backwards": "An event comes after a later one of its case, by time and sequence",
    "ordering.time-backwards": "An event comes after a later one of its case, by time",
    "ordering.back-dated": "An event in sequence tells of an earlier time",
    **{f"lifecycle.{kind}": text for kind, text in KINDS.items()},
    "privacy.nino": "A National Insurance number where everybody sees it",
    "privacy.nhs-number": "An NHS number where everybody sees it",
    "privacy.e-mail": "An e-mail address where everybody sees it",
    "privacy.date-of-birth": "A date such as a date of birth where everybody sees it",
    "privacy.case-ref-in-clear": "A personal case reference where everybody sees it",
}
"""Every code, with what it means."""

NOTES: Final = frozenset({"identity.repeated", "ordering.back-dated"})
"""What is worth knowing and breaks no rule: a delivery may be repeated, and registers are filled in later."""


@dataclass(slots=True)
class Finding:
    """One kind of problem of one event type: how often, and the first cases."""

    code: str
    event: str
    text: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What was found of all events. ``ignored`` counts unknown optional fields, which readers pass over."""

    events: int = 0
    tombstones: int = 0
    cases: int = 0
    types: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    accepted: frozenset[str] = frozenset()

    def is_violation(self, finding: Finding) -> bool:
        """Return whether a finding breaks a rule, and nobody said that it may."""
        return finding.code not in NOTES and finding.code not in self.accepted

    @property
    def violations(self) -> int:
        """Return how often a rule was broken."""
        return sum(finding.count for finding in self.findings if self.is_violation(finding))

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "events": self.events,
            "tombstones": self.tombstones,
            "cases": self.cases,
            "violations": self.violations,
            "types": dict(sorted(self.types.items())),
            "ignored_fields": dict(sorted(self.ignored.items())),
            "findings": [
                {
                    "code": finding.code,
                    "violation": self.is_violation(finding),
                    "event": finding.event,
                    "text": finding.text,
                    "count": finding.count,
                    "cases": finding.examples,
                }
                for finding in self.findings
            ],
        }


@dataclass(slots=True)
class _Case:
    position: Position | None = None
    time: str = ""
    sequences: dict[str, str] = field(default_factory=dict)


class Examiner:
    """Look at events one after the other; the memory grows with cases and ids, by some hundred bytes each."""

    def __init__(self, *, window: bool = False, accepted: Iterable[str] = ()) -> None:
        """Begin; with ``window`` the events are cut from a longer stream, so that a case may begin anywhere."""
        self._window = window
        self._report = Report(accepted=frozenset(accepted))
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self._cases: dict[tuple[str, str, str], _Case] = {}
        self._data_of_id: dict[bytes, bytes] = {}
        self._id_of_content: dict[bytes, bytes] = {}

    def look(self, received: Received) -> None:
        """Take in one event, in the order in which they came."""
        if received.data is None and received.key is not None and "type" not in received.attributes:
            self._report.tombstones += 1
            return
        self._report.events += 1
        checked = check(received)
        name = _short(checked.event) if checked.event else ""
        if name:
            self._report.types[name] += 1
        for path in checked.ignored:
            self._report.ignored[f"{name} {path}"] += 1
        for problem in (*checked.problems, *self._together(received, checked)):
            self._note(problem, name, received, checked.event)

    def report(self) -> Report:
        """Return what was found so far, violations first, the most frequent first."""
        report = self._report
        report.cases = len(self._cases)
        report.findings = sorted(
            self._findings.values(), key=lambda each: (not report.is_violation(each), -each.count, each.code, each.text)
        )
        return report

    def _together(self, received: Received, checked: Checked) -> list[Problem]:
        """Return what is wrong with an event among the others."""
        event = checked.event
        if event is None or not isinstance(received.data, dict) or "replayid" in received.attributes:
            return []
        repeated = self._identity(received)
        if repeated is not None:
            return [Problem(repeated, CODES[repeated])]
        reference = received.data.get("case_ref")
        if not isinstance(reference, str):
            return []
        case = self._cases.setdefault((event.family, str(received.data.get("organisation")), reference), _Case())
        if received.attributes.get("late") == "true":
            return []
        disorder = _order(case, received)
        if disorder is not None:
            return [Problem(disorder, CODES[disorder])]
        wrong = self._place(case, event, received.data, valid=not checked.problems)
        return [_misplaced(wrong)] if wrong else []

    def _identity(self, received: Received) -> str | None:
        attributes = received.attributes
        source, event_id = attributes.get("source", ""), attributes.get("id")
        if not event_id:
            return None
        content = _digest(source, attributes["type"], orjson.dumps(received.data, option=orjson.OPT_SORT_KEYS))
        identity = _digest(source, event_id)
        known = self._data_of_id.get(identity)
        if known is not None:
            return "identity.repeated" if known == content else "identity.same-id-other-data"
        self._data_of_id[identity] = content
        first = self._id_of_content.setdefault(content, identity)
        return None if first == identity else "identity.other-id-same-content"

    def _place(self, case: _Case, event: type[Event], data: Mapping[str, Any], *, valid: bool) -> Misplaced | None:
        lifecycle = LIFECYCLES[event.topic_suffix]
        state = data.get(lifecycle.state_field) if valid else None
        before = Position() if case.position is None and self._window else case.position
        case.position, wrong = step(lifecycle, before, event, state)
        return wrong

    def _note(self, problem: Problem, name: str, received: Received, event: type[Event] | None) -> None:
        key = (problem.code, name, problem.text)
        finding = self._findings.setdefault(key, Finding(problem.code, name, problem.text))
        finding.count += 1
        if len(finding.examples) < EXAMPLES and (example := _example(received, event)) not in finding.examples:
            finding.examples.append(example)


def examine(events: Iterable[Received], *, window: bool = False, accepted: Iterable[str] = ()) -> Report:
    """Return the report on events, in the order in which they came."""
    examiner = Examiner(window=window, accepted=accepted)
    for received in events:
        examiner.look(received)
    return examiner.report()


def _order(case: _Case, received: Received) -> str | None:
    """Return what is wrong with an event's order in its case: by time, and by sequence where time does not decide.

    A reader of a disordered document delivers a case by its times, so that a later time may have a lower sequence.
    """
    source, sequence = received.attributes.get("source", ""), received.attributes.get("sequence", "")
    time = received.attributes.get("time", "").removesuffix("Z")
    latest, highest = case.time, case.sequences.get(source, "")
    case.time, case.sequences[source] = max(time, latest), sequence or highest
    if time and latest and time > latest:
        return None
    if highest and sequence:
        if sequence < highest:
            return "ordering.sequence-backwards"
        return "ordering.back-dated" if time < latest and time else None
    return "ordering.time-backwards" if time < latest and time else None


def _misplaced(wrong: Misplaced) -> Problem:
    text = KINDS[wrong.kind]
    if wrong.before:
        text += f": {wrong.before}"
    allowed = ", ".join(wrong.allowed) or "nothing"
    return Problem(f"lifecycle.{wrong.kind}", text if wrong.kind == "after-the-end" else f"{text}; allowed: {allowed}")


def _example(received: Received, event: type[Event] | None) -> str:
    """Return the case's reference if everybody may see it, else where the event stood."""
    subject = received.attributes.get("subject", "")
    reference = received.data.get("case_ref") if isinstance(received.data, dict) else None
    if event is None or not subject:
        return received.place
    if event.personal_case_ref:
        return subject if KEYED.fullmatch(subject) and subject != reference else received.place
    if subject == reference and (not found_in(subject) or (event.case_ref_is_uprn and subject.isdigit())):
        return subject
    return received.place


def _short(event: type[Event]) -> str:
    return f"{event.family}.{event.fact}.v{event.major}"


def _digest(*parts: str | bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.digest()
