"""What the catalogue says, without a browser: coverage, diagrams, snippets, and the same bytes every time."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.catalogue.build import build, markdown
from backbone.catalogue.coverage import measure
from backbone.catalogue.diagram import draw
from backbone.catalogue.lifecycle import Lifecycle, in_order
from backbone.catalogue.model import example_of, family_views, personal_fields
from backbone.catalogue.snippets import snippets
from backbone.cli.catalogue import build_, sources
from backbone.contracts.fields import fields_of
from backbone.errors import ConfigurationError
from schemas.families import FAMILIES
from schemas.shared import Event

EVENTS = [event for module in FAMILIES.values() for event in module.EVENTS]
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def cycles(draw_from: st.DrawFn) -> Lifecycle:
    """Draw any life-cycle, with steps back, loops and facts that nothing leads to."""
    facts = draw_from(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    some = st.lists(st.sampled_from(facts), unique=True)
    follows = {fact: draw_from(some) for fact in facts}
    return Lifecycle(follows, draw_from(st.lists(st.sampled_from(facts), min_size=1, unique=True)), draw_from(some))


@given(cycles())
def test_a_diagram_shows_every_fact_and_every_step(cycle: Lifecycle) -> None:
    """Whatever the life-cycle: a box a fact, a line a step, and all of it on the sheet."""
    drawing = ET.fromstring(draw(cycle, "T <&>", str.upper, lambda fact: f"{fact}.html?a&b", "d"))  # noqa: S314 - our own
    facts = in_order(cycle)
    assert sorted(facts) == sorted(cycle.follows)
    assert [link.get("href") for link in drawing.iter(f"{SVG}a")] == [f"{fact}.html?a&b" for fact in facts]
    steps = {(fact, later) for fact, after in cycle.follows.items() for later in after if later != fact}
    drawn = sum(path.get("d", "").count("M") for path in drawing.iter(f"{SVG}path"))
    assert drawn == len(steps)
    width, height = float(drawing.get("width", 0)), float(drawing.get("height", 0))
    boxes = list(drawing.iter(f"{SVG}rect"))
    assert all(0 <= float(box.get("x", -1)) <= width - float(box.get("width", 0)) for box in boxes)
    assert all(0 <= float(box.get("y", -1)) <= height - float(box.get("height", 0)) for box in boxes)


@given(cycles())
def test_lines_that_pass_each_other_have_lanes_of_their_own(cycle: Lifecycle) -> None:
    """Two vertical lines on one side never run over each other."""
    drawing = ET.fromstring(draw(cycle, "T", str, str, "d"))  # noqa: S314 - our own
    lanes: dict[float, list[tuple[float, float]]] = {}
    for path in drawing.iter(f"{SVG}path"):
        if path.get("stroke") == "#0b0c0c" and "Q" not in path.get("d", ""):
            continue
        columns, ends = set(), []
        for part in path.get("d", "").split("M")[1:]:
            turn = part.split("Q")[1].split()
            columns.add(float(turn[0]))
            ends += [float(part.split("H")[0].split()[1]), float(part.rsplit("Q", 1)[1].split()[1])]
        (column,) = columns
        lanes.setdefault(column, []).append((min(ends), max(ends)))
    for stretches in lanes.values():
        stretches.sort()
        assert all(first[1] < second[0] for first, second in pairwise(stretches))


def test_coverage_is_what_the_cases_give() -> None:
    """An adapter fills the fields that its own cases show, no more, and each is a field of the event."""
    from adapters import ADAPTERS  # noqa: PLC0415 - only this test looks at adapters by themselves

    found = {source.name: source for source in sources()}
    assert found.keys() == {adapter.name for adapter in ADAPTERS}
    (event,) = found["symology"].emits
    assert {"case_ref", "state", "source_status.code"} <= found["symology"].filled[event]
    assert "reporter" not in found["symology"].filled[event]
    for source in found.values():
        assert source.cases > 0
        for emitted, paths in source.filled.items():
            assert emitted in source.emits
            assert paths <= {field.path for field in fields_of(emitted)}


def test_an_adapter_without_cases_declares_and_fills_nothing() -> None:
    """What was not measured is not claimed."""
    from adapters import ADAPTERS  # noqa: PLC0415 - only this test looks at adapters by themselves

    source = measure(ADAPTERS[0], None)
    assert (source.emits, source.filled, source.cases) == (ADAPTERS[0].emits, {}, 0)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_code_to_copy_is_complete(event: type[Event]) -> None:
    """Each way of subscribing names topic and type or the class, nothing of the example's own event, and compiles."""
    names = {"servicerequests", "status-changed", "StatusChanged"} - {event.family, event.fact, event.__name__}
    for snippet in snippets(event):
        if snippet.file == "with_backbone.py":
            assert f"from {event.__module__} import {event.__name__}\n" in snippet.text
            assert snippet.text.count(event.__name__) == 3
        else:
            assert snippet.text.count(f"E09000099.{event.topic_suffix}") == 1
            assert snippet.text.count(event.event_type) == 1
        if snippet.file.endswith(".py"):
            compile(snippet.text, snippet.file, "exec")
        assert not [name for name in names if name in snippet.text]


def test_every_example_is_on_the_pages_and_short() -> None:
    """What lies in the folder of examples is what the catalogue shows, and none has forty lines."""
    folder = Path(__file__).parents[2] / "examples" / "subscribers"
    programs = {path.name for path in folder.iterdir() if path.suffix in {".py", ".java", ".mjs", ".sh"}}
    assert {snippet.file for snippet in snippets(EVENTS[0])} == programs
    for name in programs:
        assert len((folder / name).read_text().splitlines()) < 40, name


def test_every_personal_field_is_on_the_data_protection_page() -> None:
    """The view is derived from the markings: nothing personal is missing, and nothing else is there."""
    views = family_views(FAMILIES, [])
    shown = {(row.family.name, event.event, row.field.path) for row in personal_fields(views) for event in row.events}
    wanted = {
        (name, event, field.path)
        for name, module in FAMILIES.items()
        for event in module.EVENTS
        for field in fields_of(event)
        if field.category != "none"
    }
    assert shown == wanted


def test_the_same_vocabulary_gives_the_same_site(tmp_path: Path) -> None:
    """Nothing in the site depends on the run."""
    for name in ("one", "two"):
        build(tmp_path / name, FAMILIES, sources())
    files = {path.relative_to(tmp_path / "one"): path for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert files
    assert all((tmp_path / "two" / name).read_bytes() == path.read_bytes() for name, path in files.items())


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    """The command writes into an empty folder or over an earlier catalogue, never among other files."""
    assert build_(tmp_path / "new" / "site") == 0
    assert build_(tmp_path / "new" / "site") == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigurationError):
        build_(tmp_path / "mine")


def test_a_change_log_is_shown_and_its_markup_is_not() -> None:
    """Headings, lists, paragraphs and code are shown; what looks like HTML is text."""
    shown = markdown("# Title\n\n## v1\n\nFirst <b>version</b>.\n\n- one `a`\n- two\n  lines\n")
    assert "Title" not in shown
    assert '<h3 class="govuk-heading-s">v1</h3>' in shown
    assert "First &lt;b&gt;version&lt;/b&gt;." in shown
    assert "<li>one <code>a</code></li><li>two lines</li>" in shown


def test_an_example_is_found_by_its_path() -> None:
    """Values within parts and lists are found; parts themselves and what is absent show nothing."""
    data = {"a": {"b": 1}, "c": [{"d": "x"}], "e": ["y"], "f": []}
    shown = {path: example_of(data, path) for path in ("a", "a.b", "c", "c[].d", "e", "f", "g.h")}
    assert shown == {"a": "", "a.b": "1", "c": "", "c[].d": '"x"', "e": '["y"]', "f": "[]", "g.h": ""}
