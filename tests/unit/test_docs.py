"""Documentation stays true: every code has its runbook entry, and every file that a page names exists."""

import re
from pathlib import Path

import pytest

from backbone.status import ALARMS

ROOT = Path(__file__).parents[2]
CODE = re.compile(
    r'"((?:record|document|feed|broker|topic|state|source|config|registry|reject|worker|dependency|internal|event|handler'
    r"|dead-letter|input|transform)\.[a-z0-9-]+"
    r'|subscriber\.(?:no-events|no-topics|two-handlers|unknown|running|starting))"'
)
NOT_ERRORS = {
    "dead-letter.accepted", "dead-letter.left-hard", "document.committed", "document.finished", "event.dead",
    "event.failed", "event.html", "event.settled", "feed.needs-somebody", "feed.recovered", "feed.stalled",
    "feed.stopped", "state.loaded", "state.loading", "topic.record-unreadable", "topic.unread",
    "transform.committed", "transform.stopping", "worker.ended-hard", "worker.log", "worker.serving",
    "worker.stopped", "worker.stopping", "worker.waiting",
}  # fmt: skip
"""Log events, named points and a template, which are spelt alike."""


def test_every_code_has_a_runbook_entry_and_every_entry_a_code() -> None:
    """A code that an operator meets leads to what to do; an entry that nothing raises is removed."""
    sources = [*ROOT.glob("backbone/**/*.py"), *ROOT.glob("adapters/**/*.py")]
    raised = {code for path in sources for code in CODE.findall(path.read_text())} - NOT_ERRORS
    entries = set(re.findall(r"^### (\S+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE))
    assert raised - entries == set()
    assert entries - raised == set()


def test_every_alarm_is_one_in_the_runbook() -> None:
    """Whoever is woken finds that it is an alarm, and what to do."""
    page = (ROOT / "docs" / "operations.md").read_text()
    assert {code for code in ALARMS if f"### {code}\n\n**An alarm.**" in page} == set(ALARMS)
    assert page.count("**An alarm.**") == len(ALARMS)


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("adapters/**/*.md"), *ROOT.glob("examples/*/*.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file or folder that is there."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
