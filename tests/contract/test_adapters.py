"""Every built-in adapter against the contract suite that ships with the product."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters import ADAPTERS
from adapters.cases import FOLDERS
from backbone.adapter import AnyAdapter, Skip
from backbone.errors import ConfigurationError, RecordError
from backbone.testing.adapter_contract import check_adapter, check_case
from backbone.testing.cases import Case, load_cases
from schemas.servicerequests.v1 import Updated

Translate = Callable[[Any, Any], Any]
WITHHELD = "ann@example.org"
CASES = {adapter.name: load_cases(FOLDERS[adapter.name]) for adapter in ADAPTERS}
EVERY = [(adapter, case) for adapter in ADAPTERS for case in CASES[adapter.name]]


@pytest.mark.parametrize(("adapter", "case"), EVERY, ids=lambda value: getattr(value, "name", None))
def test_a_case_holds(adapter: AnyAdapter, case: Case) -> None:
    """What the case says comes out, deterministic, balanced, with personal values in their place only."""
    assert check_case(adapter, case) == []


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_the_cases_of_an_adapter_cover_what_it_emits_and_reads(adapter: AnyAdapter) -> None:
    """Every event and every layout that an adapter declares has a case."""
    assert check_adapter(adapter, CASES[adapter.name]) == []


@pytest.mark.parametrize(
    ("gives", "fault"),
    [
        ("{outcome: skipped, reasons: no-status}", "unknown key reasons"),
        ("{outcome: published, events: [{type: x, abscent: [state]}]}", "unknown key abscent"),
        ("{reason: no-status}", "no outcome"),
    ],
)
def test_a_misspelt_expectation_is_an_error(tmp_path: Path, gives: str, fault: str) -> None:
    """A key that no case has is refused when cases are read: what it meant to demand would never be looked at."""
    (tmp_path / "a.yaml").write_text(f"- name: one\n  input: x\n  gives:\n    - {gives}\n")
    with pytest.raises(ConfigurationError, match=fault):
        load_cases(tmp_path)


def _symology() -> AnyAdapter:
    return next(adapter for adapter in ADAPTERS if adapter.name == "symology")


def _case_about(words: str) -> Case:
    return next(case for case in CASES["symology"] if words in case.name)


def test_the_suite_finds_a_case_that_says_something_else() -> None:
    """A case that says something else than what comes out is reported, or the suite would prove nothing."""
    case = _case_about("beats")
    wrong = replace(case, gives=[{"outcome": "skipped"}, *case.gives[1:]], planted=("700123",))
    found = check_case(_symology(), wrong)
    assert any("is published" in fault for fault in found)
    assert any("'700123' stands in key or headers" in fault for fault in found)


def _remembers(translate: Translate) -> Translate:
    before: list[str] = []

    def remembering(update: Any, context: Any) -> Any:
        result = translate(update, context)
        before.append(update["CRNo"] + str(len(before)))
        return result if isinstance(result, Skip) else result.model_copy(update={"service_code": before[-1]})

    return remembering


def _reads_the_name(translate: Translate) -> Translate:
    def reading(update: Any, context: Any) -> Any:
        result = translate(update, context)
        return result if isinstance(result, Skip) else result.model_copy(update={"service_name": context.document.name})

    return reading


def _skips_in_prose(_translate: Translate) -> Translate:
    return lambda _update, _context: Skip("Not of interest")


def _says_the_value(_translate: Translate) -> Translate:
    def saying(update: Any, _context: Any) -> Any:
        raise RecordError(f"{update['CRNo']} is wrong", code="record.bad-reference", field="CRNo")

    return saying


def _logs_the_value(translate: Translate) -> Translate:
    def logging(update: Any, context: Any) -> Any:
        structlog.get_logger().warning("record.seen", value=update["CRNo"])
        return translate(update, context)

    return logging


def _lets_it_out(translate: Translate) -> Translate:
    def letting(update: Any, context: Any) -> Any:
        result = translate(update, context)
        return result if isinstance(result, Skip) else result.model_copy(update={"description": f"for {WITHHELD}"})

    return letting


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_remembers, "where it stands alone"),
        (_remembers, "gives other bytes the second time"),
        (_reads_the_name, "gives other bytes the second time"),
        (_skips_in_prose, "is not bounded text of the right form"),
        (_says_the_value, "'700123' stands in the reject"),
        (_logs_the_value, "'700123' stands in the log"),
        (_lets_it_out, f"{WITHHELD!r} stands in the data"),
    ],
)
def test_the_suite_finds_an_adapter_that_breaks_its_promise(
    spoil: Callable[[Translate], Translate], fault: str
) -> None:
    """Each promise of the contract is one that the suite sees broken."""
    whole = _symology()
    case = replace(_case_about("beats"), planted=("700123",), withheld=(WITHHELD,))
    found = check_case(replace(whole, translate=spoil(whole.translate)), case)
    assert any(fault in each for each in found), found


def test_the_suite_finds_what_no_case_covers() -> None:
    """An event or a layout that an adapter declares and no case shows is reported."""
    whole = _symology()
    found = check_adapter(replace(whole, emits=(*whole.emits, Updated)), [_case_about("beats")])
    assert f"no case emits {Updated.event_type}" in found
    assert "no case reads layout updates-7" in found


def test_the_example_of_the_authors_guide_works() -> None:
    """What authors copy first is a whole adapter that passes the suite."""
    guide = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
    example: dict[str, Any] = {"__name__": "acme"}
    exec(guide.split("```python\n")[1].split("```")[0], example)  # noqa: S102 - our own page
    rows = "Ref,Changed,Status\nA1,14/06/2031 09:05,DONE\nA1,14/06/2031 09:06,NOTE\nA1,14/06/2031 09:07,ODD\n"
    event = {"type": "servicerequests.status-changed.v1", "data": {"case_ref": "A1", "state": "fixed"}}
    gives: list[dict[str, Any]] = [
        {"outcome": "published", "events": [event]},
        {"outcome": "skipped", "reason": "no-status"},
        {"outcome": "rejected", "reason": "record.unmapped-code", "field": "Status"},
    ]
    case = Case("guide", "every outcome", rows.encode(), gives)
    assert check_case(example["adapter"], case) == []
    assert check_adapter(example["adapter"], [case]) == []
