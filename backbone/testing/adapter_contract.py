"""The contract of adapters as a suite: each check returns what is wrong, in sentences, and nothing when it holds.

A new adapter's whole test::

    CASES = load_cases(Path(adapters.acme.__file__).parent / "cases")

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_case(case):
        assert check_case(adapter, case) == []

    def test_adapter():
        assert check_adapter(adapter, CASES) == []
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import orjson
from structlog.testing import capture_logs

from backbone.adapter import AnyAdapter
from backbone.event import structured
from backbone.packed import Message
from backbone.testing.cases import Case, Ran, differences, run_alone, run_case

KEBAB: Final = re.compile(r"[a-z]+(-[a-z]+)*")
CODE: Final = re.compile(r"[a-z]+\.[a-z]+(-[a-z]+)*")


def check_case(adapter: AnyAdapter, case: Case) -> list[str]:
    """Run a case; return how it differs from what it says, and which promises of every adapter it breaks."""
    with capture_logs() as logs:
        ran = run_case(adapter, case)
    return [
        *differences(case, ran),
        *_balance(ran),
        *_reasons(ran),
        *_keys(ran),
        *_determinism(adapter, case, ran),
        *_positions(adapter, case, ran),
        *_canaries(case, ran, repr(logs)),
    ]


def check_adapter(adapter: AnyAdapter, cases: Sequence[Case]) -> list[str]:
    """Return what the cases as a whole leave out: every event that the adapter may emit needs one."""
    emitted: set[str] = set()
    layouts: set[str] = set()
    for case in cases:
        ran = run_case(adapter, case)
        layouts.add(ran.receipt.layout)
        emitted |= {str(structured(message)["type"]) for result in ran.results for _, message in result.events}
    found = [f"no case emits {event.event_type}" for event in adapter.emits if event.event_type not in emitted]
    found += [f"no case reads layout {layout.name}" for layout in adapter.layouts if layout.name not in layouts]
    if len({event.event_type for event in adapter.emits}) != len(adapter.emits):
        found.append("emits names an event twice")
    return found


def _balance(ran: Ran) -> Iterator[str]:
    receipt = ran.receipt
    if receipt.records != receipt.published + receipt.duplicate + receipt.skipped + receipt.rejected:
        yield "the receipt does not balance"
    if receipt.outcome == "complete" and receipt.records != len(ran.results):
        yield "the receipt counts other records than came out"


def _reasons(ran: Ran) -> Iterator[str]:
    for result in ran.results:
        fits = KEBAB if result.outcome == "skipped" else CODE
        if result.reason and not fits.fullmatch(result.reason):
            yield f"reason {result.reason!r} is not bounded text of the right form"


def _keys(ran: Ran) -> Iterator[str]:
    """Order is kept by key, so every event needs one, and it is the subject."""
    for result in ran.results:
        for _, message in result.events:
            if not message[0] or message[0] != _header(message, "ce_subject"):
                yield f"record {result.number} gives an event whose key is not its case reference"


def _determinism(adapter: AnyAdapter, case: Case, ran: Ran) -> Iterator[str]:
    """Run it again: the same input must give the same bytes, and the document's name must not matter."""
    again = run_case(adapter, case, document_name="another-name")
    if [result.outcome for result in ran.results] != [result.outcome for result in again.results]:
        yield "the outcomes are others the second time"
        return
    for one, other in zip(ran.results, again.results, strict=True):
        if _facts(message for _, message in one.events) != _facts(message for _, message in other.events):
            yield f"record {one.number} gives other bytes the second time"
        if one.reject is not None and (other.reject is None or one.reject.id != other.reject.id):
            yield f"record {one.number} is another reject the second time"


def _positions(adapter: AnyAdapter, case: Case, ran: Ran) -> Iterator[str]:
    """Run each record alone, elsewhere: its ids and data must not depend on what stands around it."""
    for result in ran.results:
        if result.events:
            alone = run_alone(adapter, case, result.raw, ran.receipt.layout)
            if _facts(message for _, message in result.events) != _facts(alone):
                yield f"record {result.number} gives other ids or data where it stands alone"


def _facts(messages: Iterable[Message]) -> list[tuple[bytes, bytes, bytes | None]]:
    return sorted((_header(message, "ce_id"), message[0], message[1]) for message in messages)


def _header(message: Message, name: str) -> bytes:
    return dict(message[2])[name]


def _canaries(case: Case, ran: Ran, logs: str) -> Iterator[str]:
    """Planted personal values may stand in the data of events and in the raw record of a reject, nowhere else.

    Withheld ones may not stand in the data either. Upper and lower case are one: systems write names in both.
    """
    shown = [("the log", logs), ("the receipt", ran.receipt.model_dump_json())]
    data: list[tuple[str, str]] = []
    for result in ran.results:
        for topic, (key, value, headers) in result.events:
            text = "\n".join([topic, key.decode(), *(f"{name}: {content.decode()}" for name, content in headers)])
            shown.append((f"key or headers of record {result.number}", text))
            data.append((f"the data of record {result.number}", (value or b"").decode()))
        if result.reject is not None:
            kept = result.reject.model_dump(exclude={"raw", "identity"})
            shown.append((f"the reject of record {result.number}", orjson.dumps(kept).decode()))
    yield from _standing((*case.planted, *case.withheld), shown)
    yield from _standing(case.withheld, data)


def _standing(values: Sequence[str], places: Sequence[tuple[str, str]]) -> Iterator[str]:
    for value in values:
        yield from (f"{value!r} stands in {place}" for place, text in places if value.casefold() in text.casefold())
