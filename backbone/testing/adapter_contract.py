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
from collections.abc import Iterator, Sequence
from typing import Final

import orjson
from structlog.testing import capture_logs

from backbone.adapter import AnyAdapter
from backbone.event import structured
from backbone.testing.cases import Case, Ran, differences, run_case

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
        *_determinism(adapter, case, ran),
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


def _determinism(adapter: AnyAdapter, case: Case, ran: Ran) -> Iterator[str]:
    """Run it again: the same input must give the same bytes, and the document's name must not matter."""
    again = run_case(adapter, case, document_name="another-name")
    for one, other in zip(ran.results, again.results, strict=True):
        for (_, first), (_, second) in zip(one.events, other.events, strict=True):
            if first[:2] != second[:2] or _header(first, "ce_id") != _header(second, "ce_id"):
                yield f"record {one.number} gives other bytes the second time"


def _header(message: tuple[bytes, bytes | None, list[tuple[str, bytes]]], name: str) -> bytes:
    return dict(message[2])[name]


def _canaries(case: Case, ran: Ran, logs: str) -> Iterator[str]:
    """Planted personal values may stand in the data of events and in the raw record of a reject, nowhere else."""
    places = {"the log": logs, "the receipt": ran.receipt.model_dump_json()}
    for result in ran.results:
        for _, (key, _, headers) in result.events:
            places[f"key or headers of record {result.number}"] = repr((key, headers))
        if result.reject is not None:
            shown = result.reject.model_dump(exclude={"raw", "identity"})
            places[f"the reject of record {result.number}"] = orjson.dumps(shown).decode()
    for planted in case.planted:
        yield from (f"{planted!r} stands in {place}" for place, text in places.items() if planted in text)
