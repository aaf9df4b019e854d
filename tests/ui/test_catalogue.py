"""The catalogue in a real browser: it reads without a server or JavaScript, searches with it, and is for everybody."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from lxml import html
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from backbone.catalogue.build import build
from backbone.cli.catalogue import sources
from schemas.families import FAMILIES
from schemas.shared import Erased, Merged, Revoked, Superseded
from tests.ui.browser import find_browser

SCREENSHOTS = Path(os.environ.get("BACKBONE_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))
PLANNING = "families/planning.v1.html"
DECIDED = "events/planning.v1/application-decided.html"
PICTURE_TRIES = 10
PICTURE_PAUSE_MS = 500
AXE = {"preload": False}
"""The checker would fetch the style sheets a second time, which a page of a file may not do."""
KINDS = ("index.html", PLANNING, DECIDED, "data-protection.html", "coverage.html", "subscribe.html")
PAGES = (
    "index.html", "data-protection.html", "coverage.html", "subscribe.html",
    *(f"families/{name}.html" for name in FAMILIES),
    *(f"events/{name}/{event.fact}.html" for name, module in FAMILIES.items() for event in module.EVENTS),
)  # fmt: skip
SHARED_FACTS = {fact.fact for fact in (Erased, Merged, Revoked, Superseded)}
CHECKED = [
    name for name in PAGES
    if Path(name).stem not in SHARED_FACTS or Path(name).parent.name == next(iter(FAMILIES))
]  # fmt: skip
"""Pages for the accessibility checker: the facts that all families share look alike, and one family's stand for all."""


@dataclass(frozen=True)
class Cycle:
    """A life-cycle as a family may declare one, with steps back and steps over others."""

    follows: Mapping[str, Collection[str]]
    starts: Collection[str]
    ends: Collection[str]


CYCLE = Cycle(
    follows={
        "application-submitted": ("application-validated", "application-invalidated", "application-withdrawn"),
        "application-invalidated": ("application-validated", "application-returned", "application-withdrawn"),
        "application-validated": ("consultation-started", "committee-scheduled", "application-decided",
                                  "application-withdrawn"),
        "consultation-started": ("consultation-ended", "application-withdrawn"),
        "consultation-ended": ("consultation-started", "committee-scheduled", "application-decided",
                               "application-withdrawn"),
        "committee-scheduled": ("committee-scheduled", "application-decided", "application-withdrawn"),
        "application-decided": ("appeal-lodged",),
        "appeal-lodged": ("appeal-decided",),
    },
    starts=("application-submitted",),
    ends=("application-decided", "application-withdrawn", "application-returned", "appeal-decided"),
)  # fmt: skip


def with_cycle(module: ModuleType) -> ModuleType:
    """Return planning with a life-cycle, whether or not it declares one itself."""
    made = ModuleType(module.__name__, module.__doc__)
    made.__dict__.update({**vars(module), "LIFECYCLE": CYCLE, "SUNSET": "2033-03-31"})
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a built site in a folder whose name has a blank in it."""
    folder = tmp_path_factory.mktemp("the catalogue")
    build(folder, {**FAMILIES, "planning.v1": with_cycle(FAMILIES["planning.v1"])}, sources())
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a real browser."""
    path, environment = find_browser()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"], env={**os.environ, **environment}
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a page on which every fault of a script and every request to a network fails the test."""
    faults: list[str] = []
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else faults.append(asked.url))
    yield opened
    context.close()
    assert faults == []


def open_page(page: Page, site: Path, name: str) -> None:
    page.goto((site / name).as_uri())


def picture(page: Page, name: str, *, whole: bool = True) -> None:
    """Take a picture; a browser that has no time to draw says so, is given some, and is asked again."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(PICTURE_TRIES)):
        try:
            taken = page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)
        except PlaywrightError as error:
            if not left or "Unable to capture" not in str(error):
                raise
            page.bring_to_front()
            page.wait_for_timeout(PICTURE_PAUSE_MS)
        else:
            assert taken.startswith(b"\x89PNG")
            return


@pytest.mark.parametrize("name", CHECKED)
def test_no_page_has_an_accessibility_fault(page: Page, site: Path, name: str) -> None:
    """An automated checker finds nothing on any page, by WCAG 2.2 AA and by its own best practices."""
    open_page(page, site, name)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = Axe().run(page, options=AXE)
    assert found.violations_count == 0, found.generate_report()
    assert page.title().endswith(" Backbone catalogue")
    assert page.locator("h1").count() == 1


def test_the_checker_can_fail(page: Page, site: Path) -> None:
    """The same checker finds a fault that is put in."""
    open_page(page, site, "index.html")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"data:,\">')")
    assert Axe().run(page, options=AXE).violations_count > 0


def test_the_search_finds_an_event_and_leads_to_it(page: Page, site: Path) -> None:
    """A word of the meaning, the name of a field, or both: results come as one types, and lead to their page."""
    open_page(page, site, "index.html")
    page.get_by_label("Search events").fill("planning decision granted")
    results = page.locator("#search-results a")
    results.first.wait_for()
    assert re.fullmatch(r"\d+ pages? found", page.locator("#search-count").inner_text())
    picture(page, "search", whole=False)
    page.get_by_role("link", name="Application decided (planning)").click()
    page.wait_for_url("**/application-decided.html")
    assert page.locator("h1").inner_text() == "Application decided"
    page.go_back()
    page.get_by_label("Search events").fill("location.uprn <b>zzz")
    page.locator("#search-count", has_text="Nothing found").wait_for()
    page.get_by_label("Search events").fill("")
    assert page.locator("#search-results li").count() == 0


def test_a_reader_goes_from_family_to_event_to_subscribing(page: Page, site: Path) -> None:
    """Links carry a reader through the site: family, event, its fields and examples, code to copy, and home again."""
    open_page(page, site, "index.html")
    page.get_by_role("table").get_by_role("link", name="Planning", exact=True).click()
    page.wait_for_url("**/planning.v1.html")
    assert "E09000099.planning.v1" in page.locator("main").inner_text()
    assert "AIOKafkaConsumer" in page.locator("main").inner_text()
    assert "2033-03-31" in page.locator("main").inner_text()
    page.locator("svg a", has_text="Application decided").click()
    page.wait_for_url("**/application-decided.html")
    text = page.locator("main").inner_text()
    for wanted in ("org.councilbackbone.planning.application-decided.v1", "decision.decision_maker_role",
                   "planning-register", "Appeal lodged"):  # fmt: skip
        assert wanted in text
    page.locator("summary", has_text="values of decision.code").click()
    assert page.get_by_text("The appeal succeeded in part").first.is_visible()
    page.locator("summary", has_text="Java").click()
    program = page.get_by_role("region", name="Java: Subscriber.java")
    assert program.is_visible()
    for wanted in ("E09000099.planning.v1", "org.councilbackbone.planning.application-decided.v1", "read_committed"):
        assert wanted in program.inner_text()
    page.get_by_role("link", name="How to subscribe to planning").click()
    page.wait_for_url("**/planning.v1.html#subscribe")
    page.get_by_label("Catalogue").get_by_role("link", name="Data protection").click()
    page.wait_for_url("**/data-protection.html")
    assert "applicant.email" in page.locator("main").inner_text()
    page.get_by_role("link", name="Event catalogue").click()
    page.wait_for_url("**/index.html")


def test_everything_can_be_read_without_javascript(browser: Browser, site: Path) -> None:
    """Without scripts the search is not shown, and the list of events, fields and values is."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    open_page(page, site, "index.html")
    assert not page.locator("#search").is_visible()
    page.get_by_role("link", name="Application decided").click()
    assert page.get_by_role("heading", name="Fields of this event").is_visible()
    page.locator("summary", has_text="values of decision.code").click()
    assert page.get_by_text("Permission was refused").is_visible()
    context.close()


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("name", KINDS)
def test_pages_fit_every_width(page: Page, site: Path, name: str, width: int) -> None:
    """No page scrolls sideways, from a small telephone to a desk; tables and code scroll within themselves."""
    page.set_viewport_size({"width": width, "height": 900})
    open_page(page, site, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(page, f"{Path(name).stem}-{width}")


def test_a_page_prints_without_its_navigation(page: Page, site: Path) -> None:
    """On paper only what is read is left."""
    open_page(page, site, DECIDED)
    page.emulate_media(media="print")
    assert not page.get_by_label("Catalogue").is_visible()
    assert page.locator("h1").is_visible()
    picture(page, "print")


def test_the_keyboard_reaches_the_content(page: Page, site: Path) -> None:
    """The first stop is the link over the navigation, and it leads to the content."""
    open_page(page, site, DECIDED)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main-content")


def attributes(tree: html.HtmlElement, path: str) -> list[str]:
    found = tree.xpath(path)
    assert isinstance(found, list)
    return [str(value) for value in found]


def test_no_link_is_dead_and_none_leaves_the_site(site: Path) -> None:
    """Every link and every source of every page is a file of the site, and every anchor is on its page."""
    parsed = {path: html.fromstring(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert {str(path.relative_to(site)) for path in parsed} == set(PAGES)
    identifiers = {path: attributes(tree, "//@id") for path, tree in parsed.items()}
    for path, tree in parsed.items():
        assert len(set(identifiers[path])) == len(identifiers[path]), f"{path.name} has an id twice"
        for link in attributes(tree, "//@href | //@src"):
            parts = urlsplit(link)
            if link == "data:,":
                continue
            assert parts.scheme == parts.netloc == "", f"{path.name} leads to {link}"
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name} leads to {link}, which is not there"
            if parts.fragment:
                assert parts.fragment in identifiers[target], f"{path.name} leads to {link}, which has no such place"
    assert not re.search(r"url\((?!data:)", (site / "assets" / "govuk.css").read_text("utf-8"))
