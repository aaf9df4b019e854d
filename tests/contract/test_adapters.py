"""Every built-in adapter against the contract suite that ships with the product."""

import pytest

from adapters import ADAPTERS
from adapters.cases import FOLDERS
from backbone.adapter import AnyAdapter
from backbone.testing.adapter_contract import check_adapter, check_case
from backbone.testing.cases import Case, load_cases

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


def test_the_suite_finds_what_is_wrong() -> None:
    """A case that says something else than what comes out is reported, or the suite would prove nothing."""
    case = next(case for case in CASES["symology"] if "beats" in case.name)
    wrong = Case(case.file, case.name, case.input, [{"outcome": "skipped"}, *case.gives[1:]], planted=("700123",))
    found = check_case(next(adapter for adapter in ADAPTERS if adapter.name == "symology"), wrong)
    assert any("is published" in fault for fault in found)
    assert any("'700123' stands in key or headers" in fault for fault in found)
