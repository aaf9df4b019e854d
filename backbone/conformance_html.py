"""A conformance report as a page for people: plain, accessible, without scripts or anything from elsewhere."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from backbone.conformance import CODES, Report

_PAGES = Environment(
    loader=PackageLoader("backbone", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def as_html(report: Report, names: Sequence[str], at: str) -> str:
    """Return the page; ``names`` says what was checked, ``at`` when."""
    return _PAGES.get_template("conformance.html").render(
        report=report,
        verdict=verdict(report),
        names=names,
        at=at,
        types=sorted(report.types.items()),
        ignored=sorted(report.ignored.items()),
        broken=[finding for finding in report.findings if report.is_violation(finding)],
        notes=[finding for finding in report.findings if not report.is_violation(finding)],
        codes=[(code, text) for code, text in CODES.items() if code in {finding.code for finding in report.findings}],
    )


def verdict(report: Report) -> str:
    """Return the outcome in a sentence."""
    if not report.events:
        return "There was no event to check."
    if not report.violations:
        return f"{report.events:,} events, and no rule was broken."
    times = "once" if report.violations == 1 else f"{report.violations:,} times"
    return f"{report.events:,} events, and rules were broken {times}."
