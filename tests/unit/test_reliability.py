"""The page on reliability names every fault of the catalogue and every test of the core, and what it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NO_SUCH_SOURCE = {26, 27, 28, 29, 30}
SOURCES_OF_THOSE = ("http", "soap", "sql", "inbox", "webhook")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(heading: str) -> dict[int, str]:
    """Return the rows of the table under a heading by their number."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {int(match[1]): match[0] for match in re.finditer(r"^\| (\d+) \|.*$", section, re.MULTILINE)}


FAULTS, CORE = rows("The fault catalogue"), rows("The tests that the core must have")


def test_every_fault_and_every_test_has_its_row() -> None:
    """Both tables are whole and in order; only faults of sources that do not exist are without a test."""
    assert list(FAULTS) == list(range(1, 35))
    assert list(CORE) == list(range(1, 21))
    assert {number for number, row in FAULTS.items() if not TEST.search(row)} == NO_SUCH_SOURCE
    assert {number for number, row in FAULTS.items() if "no such source yet" in row} == NO_SUCH_SOURCE
    assert all(TEST.search(row) for row in CORE.values())


def test_sources_that_do_not_exist_still_do_not() -> None:
    """Once there is such a source, its faults need their rows."""
    modules = {path.stem for path in (ROOT / "backbone" / "sources").iterdir()}
    assert modules.isdisjoint(SOURCES_OF_THOSE)


@pytest.mark.parametrize(("path", "name"), sorted(set(TEST.findall(PAGE))))
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    """Whoever follows the page finds the test."""
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize(("kind", "table"), [("fault", FAULTS), ("core", CORE)], ids=["faults", "core"])
def test_a_numbered_test_stands_in_its_row(kind: str, table: dict[int, str]) -> None:
    """What is named after a row is named by it."""
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        for name, number in re.findall(rf"def (test_{kind}_(\d\d)_\w+)\(", path.read_text()):
            assert f"{path.relative_to(ROOT)}::{name}`" in table[int(number)]
